/*
 * Lending messages: small ones by value, several at once, before the front asks for them; a large
 * one as a descriptor whose first window has been read into memory, if its filesystem can be read
 * without waiting, else in slices by value. Later windows and slices follow on request, so that a
 * front never waits for a disk. On the keeper's loop and in its workers; see keeper.h.
 */
#include "server/keeper/body.h"

#include "base/log.h"

#include <pop3/message.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
	SMALL_MAX = 32768,
};
#define COUNT_MAX IPC_BODIES_MAX
#define WINDOW IPC_WINDOW_MAX /* octets read ahead at most */

struct body_job {
	struct job job;
	struct keeper_session *session;
	uint32_t number, count;    /* of the request */
	uint32_t ready;            /* bodies in octets */
	uint32_t used, room;       /* octets of these bodies, and their limit */
	char *octets;              /* data, or a slot of the front's arena */
	struct maildrop_body lent; /* fd -1: none, or its octets are given by value */
	enum maildrop_lending lending;
	uint64_t window;
	uint64_t slice_offset, slice_size; /* slice_size not 0: a READ_SLICE */
	bool by_value;                     /* of that slice */
	enum maildrop_status status;
	struct err err;
	struct ipc_body bodies[COUNT_MAX];
	char data[];
};

/* Reads a part of a file, so that the page cache has it. */
static uint64_t warm(int fd, uint64_t offset, uint64_t size)
{
	char scratch[65536];
	uint64_t done = 0;

	while (done < size) {
		size_t want =
			size - done < sizeof(scratch) ? (size_t)(size - done) : sizeof(scratch);
		ssize_t n = pread(fd, scratch, want, (off_t)(offset + done));

		if (n <= 0)
			break;
		done += (uint64_t)n;
	}
	return done;
}

/* Reads a part of a file, less at its end. */
static uint64_t read_part(int fd, uint64_t offset, char *data, uint64_t size)
{
	uint64_t done = 0;

	while (done < size) {
		ssize_t n = pread(fd, data + done, size - done, (off_t)(offset + done));

		if (n <= 0)
			break;
		done += (uint64_t)n;
	}
	return done;
}

static int read_whole(const struct maildrop_body *body, char *data, bool now)
{
	uint64_t done = 0;

	while (done < body->stored) {
		struct iovec part = {data + done, body->stored - done};
		ssize_t n = preadv2(body->fd, &part, 1, (off_t)(body->offset + done),
				    now ? RWF_NOWAIT : 0);

		if (n <= 0)
			return -1;
		done += (uint64_t)n;
	}
	return 0;
}

static bool as_announced(const struct maildrop_body *body, const char *data)
{
	struct pop3_counter counter;

	pop3_counter_init(&counter);
	pop3_counter_feed(&counter, (pop3_span){data, body->stored});
	pop3_counter_finish(&counter);
	return counter.octets == body->octets;
}

/* Adds one body by value. now: only if it is in memory. Returns false for a body that is too large
 * for the room left, or that cannot be read. */
static bool add_body(struct body_job *job, uint32_t number, const struct maildrop_body *body,
		     bool now)
{
	char *to = job->octets + job->used;

	if (body->stored > SMALL_MAX || body->stored > job->room - job->used)
		return false;
	if (read_whole(body, to, now) < 0 || !as_announced(body, to)) {
		if (now)
			return false; /* a worker tries it again */
		job->status = MAILDROP_GONE;
		err_set(&job->err, 0, "it cannot be read, or is not what the index says");
		(void)maildrop_body_wrong(job->session->maildrop, number, &job->err);
		return false;
	}
	job->bodies[job->ready++] = (struct ipc_body){body->octets, number, (uint32_t)body->stored};
	job->used += (uint32_t)body->stored;
	return true;
}

/* A large message: the front gets the descriptor only if it never has to wait for what it reads. */
static void lend(struct body_job *job, const struct maildrop_body *body)
{
	job->lent = *body;
	job->lending = maildrop_lending(body->fd);
	if (job->lending == MAILDROP_LEND_VALUE) {
		close(job->lent.fd);
		job->lent.fd = -1;
		return;
	}
	job->window = warm(body->fd, body->offset, body->stored < WINDOW ? body->stored : WINDOW);
}

static void fetch_run(struct job *base)
{
	struct body_job *job = (struct body_job *)base;
	struct maildrop *maildrop = job->session->maildrop;
	struct maildrop_snapshot snapshot;
	struct maildrop_body body;

	maildrop_snapshot(maildrop, &snapshot);
	for (uint32_t i = 0; i < job->count && job->number + i <= snapshot.count; i++) {
		job->status = maildrop_body(maildrop, job->number + i, &body, &job->err);
		if (job->status != MAILDROP_OK)
			break;
		if (!add_body(job, job->number + i, &body, false)) {
			if (i == 0 && job->status == MAILDROP_OK) {
				lend(job, &body);
				return;
			}
			close(body.fd);
			break;
		}
		close(body.fd);
	}
	if (job->ready)
		job->status = MAILDROP_OK; /* a failure behind these bodies is reported when the
					      front asks for that message */
}

static void send_failed(struct peer *front, const struct body_job *job)
{
	struct ipc_body_failed message = {.session = job->session->node.key,
					  .number = job->number,
					  .reason = REASON_MESSAGE_TEMP};

	if (job->status == MAILDROP_GONE)
		message.reason = REASON_MESSAGE_GONE;
	else if (job->status == MAILDROP_PERM)
		message.reason = REASON_MESSAGE_PERM;
	log_warning("%s: message %u: %s", job->session->lane->path, job->number, job->err.text);
	peer_send(front, IPC_BODY_FAILED, &message);
}

static void send_bodies(struct peer *front, struct body_job *job)
{
	struct ipc_bodies message = {.session = job->session->node.key,
				     .count = job->ready,
				     .in_slot = job->octets != job->data};
	pop3_span parts[] = {{(const char *)job->bodies, job->ready * sizeof(job->bodies[0])},
			     {job->data, job->used}};

	peer_send_parts(front, IPC_BODIES, &message, parts, message.in_slot ? 1 : 2);
}

static void send_lent(struct peer *front, struct body_job *job)
{
	struct ipc_body_lent message = {.session = job->session->node.key,
					.offset = job->lent.offset,
					.stored = job->lent.stored,
					.octets = job->lent.octets,
					.window = job->window,
					.number = job->number,
					.wire_form = job->lent.wire_form,
					.in_memory = job->lending == MAILDROP_LEND_MEMORY};

	if (job->lent.fd < 0)
		peer_send(front, IPC_BODY_SLICED, &message);
	else
		peer_send_fds(front, IPC_BODY_LENT, &message, &job->lent.fd, 1);
}

static void send_slice(struct peer *front, struct body_job *job)
{
	struct ipc_slice message = {.session = job->session->node.key,
				    .offset = job->slice_offset,
				    .size = job->slice_size,
				    .number = job->number,
				    .by_value = job->by_value};
	pop3_span octets = {job->data, job->slice_size};

	if (job->by_value)
		peer_send_parts(front, IPC_SLICE, &message, &octets, 1);
	else
		peer_send(front, IPC_SLICE_READY, &message);
}

static void body_done(struct job *base)
{
	struct body_job *job = (struct body_job *)base;
	struct keeper_session *session = job->session;
	struct peer *front = keeper_session_front(session);

	if (front) {
		keeper_session_credit_back(session);
		if (job->status != MAILDROP_OK)
			send_failed(front, job);
		else if (job->slice_size)
			send_slice(front, job);
		else if (job->ready)
			send_bodies(front, job);
		else
			send_lent(front, job);
	}
	if (job->lent.fd >= 0)
		close(job->lent.fd);
	free(job);
	keeper_session_job_over(session);
}

static void add(struct keeper_session *session, struct body_job *job, void (*run)(struct job *))
{
	job->job.run = run;
	job->job.done = body_done;
	job->session = session;
	job->lent.fd = -1;
	session->jobs++;
	keeper_add_job(session->keeper, session->lane, &job->job, "reading a message");
}

/*
 * Sends small messages that are in memory at once, without a worker: two changes of thread cost
 * more than the reading. False: the first message is not in memory, or is large.
 */
static bool fetch_now(struct keeper_session *session, struct peer *front,
		      const struct ipc_fetch *message)
{
	struct body_job *job = session->keeper->scratch;
	struct maildrop_snapshot snapshot;
	struct maildrop_body body;
	uint32_t most = message->count < COUNT_MAX ? message->count : COUNT_MAX;
	bool full;

	if (session->jobs)
		return false; /* a worker uses the maildrop */
	maildrop_snapshot(session->maildrop, &snapshot);
	memset(job, 0, sizeof(*job));
	job->session = session;
	job->octets = arena_slot(((struct keeper_front *)front->data)->arena, message->slot);
	job->room = job->octets ? ARENA_SLOT_SIZE : IPC_BATCH_MAX;
	if (!job->octets)
		job->octets = job->data;
	for (uint32_t i = 0; i < most; i++) {
		bool added;

		if (message->number + i > snapshot.count)
			break;
		if (maildrop_body_now(session->maildrop, message->number + i, &body) != MAILDROP_OK)
			return false;
		full = body.stored > job->room - job->used || body.stored > SMALL_MAX;
		added = !full && add_body(job, message->number + i, &body, true);
		close(body.fd);
		if (!added && !full)
			return false;
		if (full)
			break;
	}
	if (job->ready)
		send_bodies(front, job);
	return job->ready > 0;
}

void keeper_fetch(struct keeper_session *session, const struct ipc_fetch *message)
{
	struct peer *front = keeper_session_front(session);
	struct maildrop_snapshot snapshot;
	struct body_job *job;

	maildrop_snapshot(session->maildrop, &snapshot);
	if (message->number > snapshot.count) {
		peer_break(front, "it asks for a message that is not there");
		return;
	}
	if (fetch_now(session, front, message) || !keeper_session_credit(session))
		return;
	job = malloc(sizeof(*job) + IPC_BATCH_MAX); /* not cleared: most of it is room for octets */
	if (!job)
		abort();
	memset(job, 0, sizeof(*job));
	job->octets = job->data; /* workers do not write into the front's arena */
	job->room = IPC_BATCH_MAX;
	job->number = message->number;
	job->count = message->count < COUNT_MAX ? message->count : COUNT_MAX;
	add(session, job, fetch_run);
}

static void slice_run(struct job *base)
{
	struct body_job *job = (struct body_job *)base;
	struct maildrop_body body;

	job->status = maildrop_body(job->session->maildrop, job->number, &body, &job->err);
	if (job->status != MAILDROP_OK)
		return;
	if (job->slice_offset >= body.stored)
		job->slice_size = 0;
	else if (job->slice_size > body.stored - job->slice_offset)
		job->slice_size = body.stored - job->slice_offset;
	if (job->by_value)
		job->slice_size = read_part(body.fd, body.offset + job->slice_offset, job->data,
					    job->slice_size);
	else
		job->slice_size = warm(body.fd, body.offset + job->slice_offset, job->slice_size);
	close(body.fd);
	if (job->slice_size)
		return;
	job->status = MAILDROP_GONE;
	err_set(&job->err, 0, "it became shorter while it was read");
}

void keeper_slice(struct keeper_session *session, const struct ipc_slice *message)
{
	struct peer *front = keeper_session_front(session);
	struct maildrop_snapshot snapshot;
	struct body_job *job;

	maildrop_snapshot(session->maildrop, &snapshot);
	if (message->number > snapshot.count) {
		peer_break(front, "it asks for a slice that is not there");
		return;
	}
	if (!keeper_session_credit(session))
		return;
	job = malloc(sizeof(*job) + (message->by_value ? message->size : 0));
	if (!job)
		abort();
	memset(job, 0, sizeof(*job));
	job->number = message->number;
	job->slice_offset = message->offset;
	job->slice_size = message->size; /* ipc_check bounds it */
	job->by_value = message->by_value;
	add(session, job, slice_run);
}

void *keeper_body_scratch(void)
{
	return malloc(sizeof(struct body_job) + IPC_BATCH_MAX);
}
