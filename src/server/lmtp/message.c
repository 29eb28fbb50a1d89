/* See message.h. On the loop of the LMTP front, and in its workers, which write to files of the
 * spool: a disk may take its time. */
#include "server/lmtp/message.h"

#include "base/descriptor.h"
#include "sys/conn.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
	PIECE = 128 * 1024, /* what a worker writes at a time */
	BUFFER = PIECE + CONN_SCRATCH,
	COPY = 32 * 1024, /* on a worker's stack */
};

struct lmtp_message {
	struct job job;
	struct workers *workers;
	void (*settled)(void *context); /* NULL: it was released */
	void *context;
	uint64_t size;
	int memory, writing, reading; /* descriptors; -1: none */
	char *buffer;                 /* octets that are not in the spool file yet */
	size_t used;
	bool busy, failed; /* failed: the worker's, while it is busy */
};

struct lmtp_message *message_create(struct workers *workers, void (*settled)(void *context),
				    void *context)
{
	struct lmtp_message *message = calloc(1, sizeof(*message));

	if (!message)
		return NULL;
	message->workers = workers;
	message->settled = settled;
	message->context = context;
	message->writing = message->reading = -1;
	message->memory = memfd_create("message", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (message->memory >= 0)
		return message;
	free(message);
	return NULL;
}

void message_to_disk(struct lmtp_message *message, int fds[2])
{
	message->writing = fds[0];
	message->reading = fds[1];
	fds[0] = fds[1] = -1;
}

bool message_on_disk(const struct lmtp_message *message)
{
	return message->reading >= 0;
}

/* ---- in a worker ---- */

/* Everything from before the message went to the disk. */
static int copy_memory(const struct lmtp_message *message)
{
	char octets[COPY];
	off_t at = 0;
	ssize_t n;

	while ((n = pread(message->memory, octets, sizeof(octets), at)) > 0) {
		if (write_all(message->writing, octets, (size_t)n) < 0)
			return -1;
		at += n;
	}
	return n < 0 ? -1 : 0;
}

static void run(struct job *job)
{
	struct lmtp_message *message = (struct lmtp_message *)job;

	message->failed = (message->memory >= 0 && copy_memory(message) < 0) ||
			  write_all(message->writing, message->buffer, message->used) < 0;
}

/* ---- on the loop ---- */

static void finish(struct lmtp_message *message)
{
	close_fd(&message->memory);
	close_fd(&message->writing);
	close_fd(&message->reading);
	free(message->buffer);
	free(message);
}

static void done(struct job *job)
{
	struct lmtp_message *message = (struct lmtp_message *)job;

	message->busy = false;
	message->used = 0;
	close_fd(&message->memory);
	if (message->settled)
		message->settled(message->context);
	else
		finish(message);
}

static int start_writing(struct lmtp_message *message)
{
	message->job = (struct job){.run = run, .done = done};
	if (workers_add(message->workers, &message->job, false) < 0)
		return -1;
	message->busy = true;
	return 0;
}

static int add_on_disk(struct lmtp_message *message, pop3_span text)
{
	if (!message->buffer)
		message->buffer = malloc(BUFFER);
	if (!message->buffer || text.size > BUFFER - message->used)
		return -1;
	memcpy(message->buffer + message->used, text.data, text.size);
	message->used += text.size;
	return message->memory >= 0 || message->used >= PIECE ? start_writing(message) : 0;
}

int message_add(struct lmtp_message *message, pop3_span text)
{
	int result = message_on_disk(message) ? add_on_disk(message, text)
					      : write_all(message->memory, text.data, text.size);

	if (result < 0)
		message->failed = true;
	else
		message->size += text.size;
	return result;
}

bool message_busy(const struct lmtp_message *message)
{
	return message->busy;
}

bool message_failed(const struct lmtp_message *message)
{
	return !message->busy && message->failed;
}

uint64_t message_size(const struct lmtp_message *message)
{
	return message->size;
}

int message_complete(struct lmtp_message *message)
{
	const int seals = F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK;

	if (!message->busy && message->failed)
		return -1;
	if (!message_on_disk(message))
		return fcntl(message->memory, F_ADD_SEALS, seals) < 0 ? -1 : 1;
	if (!message->busy && (message->used || message->memory >= 0) && start_writing(message) < 0)
		return -1;
	if (message->busy)
		return 0;
	close_fd(&message->writing);
	return 1;
}

int message_fd(const struct lmtp_message *message)
{
	return message_on_disk(message) ? message->reading : message->memory;
}

void message_release(struct lmtp_message **at)
{
	struct lmtp_message *message = *at;

	*at = NULL;
	if (!message)
		return;
	if (message->busy)
		message->settled = NULL;
	else
		finish(message);
}
