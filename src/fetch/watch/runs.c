/* See runs.h. The parent of --watch forks here; the child becomes the process of an account, which
 * run.c confines. What it writes back is not trusted: it has read from the network. */
#include "fetch/watch/runs.h"

#include "fetch/interrupt.h"
#include "fetch/syscalls.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

enum { OUTCOME_FD = 3 };

/* Into an empty pipe without waiting. Where the kernel gives pipes of one page, a large session
 * does not fit, and the next run makes another. */
_Static_assert(sizeof(struct fetch_outcome) <= 4096, "fits into any pipe");

static const int signals[] = {SIGTERM, SIGINT, SIGHUP, SIGCHLD};

static void become_run(const struct fetch_account *account, const struct fetch_options *options,
		       int to, const sigset_t *before)
{
	struct fetch_outcome outcome;
	int code;

	prctl(PR_SET_PDEATHSIG, SIGTERM);
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		signal(signals[i], SIG_DFL);
	fetch_interrupt_catch();
	sigprocmask(SIG_SETMASK, before, NULL);
	setsid(); /* nobody is there to type a password */
	if (to != OUTCOME_FD && dup2(to, OUTCOME_FD) < 0)
		_exit(EX_OSERR);
	fcntl(OUTCOME_FD, F_SETFD, FD_CLOEXEC);
	close_range(OUTCOME_FD + 1, ~0U, 0); /* the loop, the lock, other runs */
	code = fetch_run(account, options, &fetch_files_real, &outcome);
	if (fetch_write_all(&fetch_files_real, OUTCOME_FD, &outcome, sizeof(outcome)) < 0)
		code = code ? code : EX_OSERR;
	else
		fetch_write_all(&fetch_files_real, OUTCOME_FD, options->memory->session,
				options->memory->size);
	fflush(NULL);
	_exit(code);
}

int watch_run_start(const struct fetch_account *account, const struct fetch_options *options,
		    struct watch_run *ret, struct err *err)
{
	sigset_t all, before;
	int ends[2], saved;
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
		return err_sys(err, EX_OSERR, errno, "cannot start a process");
	fflush(NULL);
	sigfillset(&all); /* none may reach the parent's handlers in the child */
	sigprocmask(SIG_SETMASK, &all, &before);
	pid = fork();
	if (pid == 0)
		become_run(account, options, ends[1], &before);
	saved = errno;
	sigprocmask(SIG_SETMASK, &before, NULL);
	close(ends[1]);
	if (pid < 0) {
		close(ends[0]);
		return err_sys(err, EX_OSERR, saved, "cannot start a process");
	}
	*ret = (struct watch_run){.pid = pid, .from = ends[0], .started = fetch_now()};
	return 0;
}

static void make_safe(struct fetch_outcome *outcome)
{
	char text[sizeof(outcome->text)];

	outcome->text[sizeof(outcome->text) - 1] = '\0';
	report_harmless(outcome->text, text, sizeof(text));
	memcpy(outcome->text, text, sizeof(text));
	if ((unsigned)outcome->refusal >= POP3_CODE_COUNT)
		outcome->refusal = POP3_CODE_NONE;
	if (outcome->login_delay > FETCH_INTERVAL_MAX)
		outcome->login_delay = FETCH_INTERVAL_MAX;
	if (outcome->totals.octets > (uint64_t)1 << 50) /* counters shall not wrap */
		outcome->totals.octets = 0;
}

void watch_run_take(struct watch_run *run, int status, struct watch_session *session,
		    struct fetch_outcome *ret)
{
	struct fetch_outcome outcome;
	ssize_t n = read(run->from, &outcome, sizeof(outcome));

	watch_session_take(session, run->from);
	close(run->from);
	*run = (struct watch_run){.from = -1};
	if (n != (ssize_t)sizeof(outcome)) {
		outcome = (struct fetch_outcome){0};
		if (WIFSIGNALED(status))
			snprintf(outcome.text, sizeof(outcome.text), "ended by signal %d",
				 WTERMSIG(status));
		else
			snprintf(outcome.text, sizeof(outcome.text), "ended without a result");
	}
	outcome.code = WIFEXITED(status) ? WEXITSTATUS(status) : EX_SOFTWARE;
	if (n != (ssize_t)sizeof(outcome) && outcome.code == EX_OK)
		outcome.code = EX_SOFTWARE;
	make_safe(&outcome);
	*ret = outcome;
}
