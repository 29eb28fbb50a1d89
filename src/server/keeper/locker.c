/* See locker.h. The answers are checked by their row; a locker that an attacker owns can refuse
 * locks, or give none and say so. */
#include "server/keeper/locker.h"

#include "base/descriptor.h"
#include "base/text.h"
#include "ipc/messages.h"
#include "sys/chan_ask.h"

#include <errno.h>

enum {
	ANSWER_MS = 5000,
	LATE_MAX = 16, /* answers that nobody waited for, before the next question */
};

/* The answer to that question; answers to earlier ones that came too late are passed over, but not
 * more than there can be. Returns what errno says, 0: it was done. */
static int receive(int fd, uint64_t number)
{
	struct ipc_lock_answer answer;
	const char *why;
	ssize_t n;

	for (int late = 0; late <= LATE_MAX; late++) {
		n = chan_ask_receive(fd, &answer, sizeof(answer), ANSWER_MS);
		if (n < 0)
			return EAGAIN;
		if (ipc_check(&answer, (size_t)n, 0, ROLE_LOCKER, ROLE_KEEPER, &why) !=
		    IPC_LOCK_ANSWER)
			return EAGAIN;
		if (answer.number == number)
			return (int)(answer.errnum & 0xfff);
	}
	return EAGAIN;
}

static int ask(struct keeper_locker *locker, enum ipc_lock_what what, const char *name,
	       const char *key)
{
	const pop3_span texts[] = {span_of(name), span_of(key ? key : "")};
	struct ipc_lock message = {.what = what};
	int error = EAGAIN;

	pthread_mutex_lock(&locker->mutex);
	message.number = ++locker->number;
	if (locker->fd < 0)
		error = EACCES; /* nobody makes lock files there */
	else if (texts[0].size + texts[1].size <= IPC_TEXT_MAX &&
		 ipc_ask_texts(locker->fd, IPC_LOCK, &message, texts, 2) == 0)
		error = receive(locker->fd, message.number);
	pthread_mutex_unlock(&locker->mutex);
	errno = error;
	return error ? -1 : 0;
}

static int take(void *context, const char *name, const char *key)
{
	return ask(context, LOCK_TAKE, name, key);
}

static int mark(void *context, const char *name)
{
	return ask(context, LOCK_MARK, name, NULL);
}

static void release(void *context, const char *name)
{
	(void)ask(context, LOCK_RELEASE, name, NULL);
}

void keeper_locker_init(struct keeper_locker *locker)
{
	locker->fd = -1;
	locker->number = 0;
	locker->locker = (struct mbox_locker){take, mark, release, locker};
	pthread_mutex_init(&locker->mutex, NULL);
}

void keeper_locker_take(struct keeper_locker *locker, int *fd)
{
	pthread_mutex_lock(&locker->mutex);
	close_fd(&locker->fd);
	locker->fd = *fd;
	*fd = -1;
	pthread_mutex_unlock(&locker->mutex);
}
