/* See interrupt.h. The one mutable global of the fetcher: a handler gets no context. */
#include "fetch/interrupt.h"

#include <signal.h>
#include <stddef.h>
#include <string.h>

static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
static volatile sig_atomic_t noted;

static void note(int number)
{
	noted = number;
}

void fetch_interrupt_catch(void)
{
	struct sigaction action = {.sa_handler = note, .sa_flags = (int)SA_RESETHAND}, before;

	sigemptyset(&action.sa_mask);
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
		/* what nohup or a shell ignores for us stays so */
		if (sigaction(signals[i], NULL, &before) == 0 && before.sa_handler != SIG_IGN)
			sigaction(signals[i], &action, NULL);
	}
	signal(SIGXFSZ, SIG_IGN);
}

void fetch_interrupt_ignore(void)
{
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		signal(signals[i], SIG_IGN);
}

void fetch_interrupt_default(void)
{
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		signal(signals[i], SIG_DFL);
	signal(SIGXFSZ, SIG_DFL);
	signal(SIGPIPE, SIG_DFL);
}

int fetch_interrupted(void)
{
	return noted;
}

int fetch_interrupt_check(struct err *err)
{
	int number = noted;

	if (!number)
		return 0;
	return err_set(
		err, 128 + number,
		"ended by a signal (SIG%s): what was complete is delivered, the rest comes with "
		"the next run",
		sigabbrev_np(number));
}
