/* See locker.h. The answers are checked by their row; a locker that an attacker owns can refuse
 * locks, or give none and say so. */
#include "server/keeper/locker.h"

#include "base/descriptor.h"
#include "ipc/messages.h"
#include "sys/chan_ask.h"

#include <errno.h>
#include <string.h>

enum {
	ANSWER_MS = 5000,
	LATE_MAX = 16, /* answers that nobody waited for, before the next question */
};

/* One message, as ipc_send_texts would make it. */
struct packet {
	struct ipc_lock lock;
	char texts[IPC_TEXT_MAX];
};

static size_t make_packet(struct packet *packet, enum ipc_lock_what what, uint64_t number,
			  const char *name, const char *key)
{
	size_t names = strlen(name), keys = key ? strlen(key) : 0;

	if (names + keys > sizeof(packet->texts))
		return 0;
	*packet = (struct packet){.lock = {.number = number, .what = what}};
	packet->lock.head.type = IPC_LOCK;
	packet->lock.head.tail = (uint32_t)(names + keys);
	packet->lock.head.texts[0] = (uint16_t)names;
	packet->lock.head.texts[1] = (uint16_t)keys;
	memcpy(packet->texts, name, names);
	if (keys)
		memcpy(packet->texts + names, key, keys);
	return sizeof(packet->lock) + names + keys;
}

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
	struct packet packet;
	int error = EAGAIN;
	size_t size;

	pthread_mutex_lock(&locker->mutex);
	if (locker->fd < 0)
		error = EACCES; /* nobody makes lock files there */
	size = make_packet(&packet, what, ++locker->number, name, key);
	if (size && locker->fd >= 0 && chan_ask_send(locker->fd, &packet, size) == 0)
		error = receive(locker->fd, locker->number);
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
