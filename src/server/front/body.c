/*
 * Messages on their way out of a front: by value from batches that the keeper sends ahead of the
 * question, or from a lent descriptor, read without waiting for a disk, or by sendfile. See
 * front.h.
 */
#include "server/front/front.h"

#include "base/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#define AHEAD_FIRST 8 /* messages asked for at once: with the first */
#define AHEAD_MAX 32  /* when they come in order */
#define WINDOW (4u << 20)

static void drop_body(struct mail *mail)
{
	if (mail->body_fd >= 0)
		close(mail->body_fd);
	mail->body_fd = -1;
	mail->body = NULL;
	mail->body_left = 0;
}

static void free_batch(struct batch *batch)
{
	if (!batch)
		return;
	arena_return(&batch->lease);
	free(batch);
}

void body_give_back(struct mail *mail)
{
	free_batch(mail->batch);
	free_batch(mail->next_batch);
	mail->batch = mail->next_batch = NULL;
	mail->not_ahead = 0;
}

void body_forget(struct mail *mail)
{
	drop_body(mail);
	body_give_back(mail);
	arena_return(&mail->lease);
}

/* A slot is taken for what comes by value; without one it comes in the packet. */
static bool ask(struct session *session, uint32_t number, uint32_t count)
{
	struct mail *mail = session->mail;
	struct ipc_fetch message = {
		.session = session->client.node.key, .number = number, .count = count};

	arena_return(&mail->lease);
	mail->lease = arena_take(session->link->arena);
	message.slot = mail->lease.arena ? mail->lease.number : IPC_NO_SLOT;
	mail->asked = number;
	mail->asked_count = count;
	return mail_ask(session, IPC_FETCH, &message);
}

static void fetch(struct session *session, uint32_t number)
{
	body_give_back(session->mail);
	if (!ask(session, number, session->mail->ahead))
		mail_fail(session, REASON_MESSAGE_TEMP);
}

/* Finds number in the batch; those before it are skipped for good. */
static bool start_from_batch(struct session *session, uint32_t number)
{
	struct mail *mail = session->mail;
	struct batch *batch = mail->batch;

	while (batch && batch->next < batch->count) {
		const struct ipc_body *body = &batch->bodies[batch->next++];
		uint32_t at = batch->offset;

		batch->offset += body->stored;
		if (body->number != number)
			continue;
		mail->body = batch->octets + at;
		mail->body_left = body->stored;
		mail->body_number = number;
		pop3_server_reply_message(&session->pop3, body->octets);
		return true;
	}
	return false;
}

static bool batch_may_hold(const struct batch *batch, uint32_t number)
{
	return batch && batch->next < batch->count && batch->bodies[batch->next].number <= number &&
	       batch->bodies[batch->count - 1].number >= number;
}

static void ask_ahead(struct session *session);

static uint32_t more(uint32_t ahead)
{
	return ahead * 4 > AHEAD_MAX ? AHEAD_MAX : ahead * 4;
}

/* How many to ask for with a message that has to be waited for. Who begins at the beginning goes
 * on, most of the time. */
static uint32_t from_here(const struct mail *mail, uint32_t number)
{
	if (number == 1)
		return AHEAD_FIRST;
	return number == mail->last + 1 ? more(mail->ahead) : 1;
}

void body_event(struct session *session, const struct pop3_event *event)
{
	struct mail *mail = session->mail;
	uint32_t ahead = from_here(mail, event->number);

	drop_body(mail);
	mail->body_lines = event->type == POP3_EVENT_TOP;
	mail->last = event->number;
	if (!batch_may_hold(mail->batch, event->number) && mail->next_batch) {
		free_batch(mail->batch);
		mail->batch = mail->next_batch;
		mail->next_batch = NULL;
	}
	if (batch_may_hold(mail->batch, event->number) &&
	    start_from_batch(session, event->number)) {
		ask_ahead(session);
		return;
	}
	mail->ahead = ahead;
	mail->body_number = event->number;
	fetch(session, event->number);
}

/* A client that goes through its numbers gets the next batch before it asks: at half of this one.
 */
static void ask_ahead(struct session *session)
{
	struct mail *mail = session->mail;
	const struct batch *batch = mail->batch;
	uint32_t next = batch->bodies[batch->count - 1].number + 1, ahead = more(mail->ahead);

	if (mail->coming || mail->next_batch || batch->next * 2 < batch->count || mail->ahead < 2 ||
	    next > mail->count || next == mail->not_ahead ||
	    session->link->unanswered >= IPC_KEEPER_CREDITS)
		return;
	mail->coming = ask(session, next, ahead);
	mail->not_ahead = next;
	mail->ahead = ahead;
}

void body_hold(struct session *session, const struct pop3_event *event)
{
	session->mail->held = *event; /* without spans: RETR, TOP, QUIT */
}

/* What came ahead is there, or is not to be had that way: whoever waited for it goes on. */
static void ahead_over(struct session *session)
{
	struct mail *mail = session->mail;
	struct pop3_event event = mail->held;

	mail->coming = false;
	mail->held.type = POP3_EVENT_NONE;
	if (event.type != POP3_EVENT_NONE)
		mail_event(session, &event);
}

/* Takes over what the lease of the request holds, or copies the packet. */
static struct batch *make_batch(struct mail *mail, const struct ipc_bodies *message,
				const struct ipc_body *bodies)
{
	struct batch *batch = malloc(sizeof(*batch) + message->head.tail);

	if (!batch)
		return NULL;
	batch->count = message->count;
	batch->next = batch->offset = 0;
	memcpy(batch->bodies, bodies, message->head.tail);
	batch->octets = (const char *)&batch->bodies[message->count];
	batch->lease = (struct arena_lease){0};
	if (!message->in_slot) {
		arena_return(&mail->lease);
		return batch;
	}
	batch->lease = mail->lease;
	mail->lease.arena = NULL;
	batch->octets = arena_octets(&batch->lease);
	return batch;
}

static void take_bodies(struct session *session, const struct ipc_bodies *message)
{
	const struct ipc_body *bodies = (const struct ipc_body *)(const void *)ipc_tail(message);
	struct mail *mail = session->mail;
	struct batch *batch;

	batch = make_batch(mail, message, bodies);
	if (!batch) {
		session_abort(session);
		return;
	}
	if (mail->coming) {
		mail->next_batch = batch;
		ahead_over(session);
		return;
	}
	mail->batch = batch;
	if (!start_from_batch(session, mail->body_number))
		mail_fail(session, REASON_MESSAGE_TEMP);
}

static void take_lent(struct session *session, const struct ipc_body_lent *message, int *fd)
{
	struct mail *mail = session->mail;

	if (mail->coming) { /* a large one does not travel ahead */
		ahead_over(session);
		return;
	}
	mail->body_fd = *fd;
	*fd = -1;
	mail->body_offset = message->offset;
	mail->body_left = message->stored;
	mail->body_window = message->offset + message->window;
	mail->body_wire_form = message->wire_form;
	mail->slice_asked = false;
	mail->ahead = 1;
	pop3_server_reply_message(&session->pop3, message->octets);
}

static void take_failed(struct session *session, const struct ipc_body_failed *message)
{
	if (session->mail->coming) {
		ahead_over(session);
		return;
	}
	if (pop3_server_want(&session->pop3) == POP3_WANT_BODY) { /* a later slice */
		log_warning("session %llu: %s", (unsigned long long)session->client.node.key,
			    reason_row(message->reason)->words);
		session_abort(session);
		return;
	}
	mail_fail(session, (enum reason)message->reason);
}

void body_ask_slice(struct session *session)
{
	struct mail *mail = session->mail;
	struct ipc_slice message = {.session = session->client.node.key,
				    .number = mail->body_number,
				    .offset = mail->body_offset,
				    .size = mail->body_left < WINDOW ? mail->body_left : WINDOW};
	struct pop3_event none = {.type = POP3_EVENT_NONE};

	mail->slice_asked = true;
	mail->slice_size = message.size;
	if (session->link->unanswered >= IPC_KEEPER_CREDITS)
		link_wait(session->link, session, &none);
	else if (!mail_ask(session, IPC_READ_SLICE, &message))
		session_abort(session);
}

static void take_slice(struct session *session, const struct ipc_slice *message)
{
	struct mail *mail = session->mail;

	mail->slice_asked = false;
	mail->body_window = mail->body_offset + message->size;
}

static size_t body_by_value(struct session *session, char *out, size_t cap)
{
	struct mail *mail = session->mail;
	pop3_span in = {mail->body, mail->body_left};
	size_t n = pop3_server_body(&session->pop3, &in, true, out, cap);

	mail->body = in.data;
	mail->body_left = in.size;
	return n;
}

/* The next piece of a lent file, without waiting. -1: it is not in memory (asked for now), or the
 * file is broken. */
static ssize_t read_slice(struct session *session, char *buf, size_t size)
{
	struct mail *mail = session->mail;
	struct iovec part = {buf, mail->body_left < size ? mail->body_left : size};
	ssize_t n;

	if (part.iov_len == 0)
		return 0;
	n = preadv2(mail->body_fd, &part, 1, (off_t)mail->body_offset, RWF_NOWAIT);
	if (n < 0 &&
	    (errno == EOPNOTSUPP || (errno == EAGAIN && mail->body_offset < mail->body_window)))
		n = pread(mail->body_fd, buf, part.iov_len,
			  (off_t)mail->body_offset); /* the keeper just read it */
	if (n > 0)
		return n;
	if (n < 0 && errno == EAGAIN) {
		body_ask_slice(session);
		return -1;
	}
	log_warning("session %llu: a message became shorter while it was sent",
		    (unsigned long long)session->client.node.key);
	session_abort(session);
	return -1;
}

/* A large message that is stored as it is sent: all but its last line break goes by sendfile. */
static void body_by_sendfile(struct session *session)
{
	struct mail *mail = session->mail;
	uint64_t size = mail->body_left - 2;

	if (mail->body_offset >= mail->body_window) {
		body_ask_slice(session);
		return;
	}
	if (size > mail->body_window - mail->body_offset)
		size = mail->body_window - mail->body_offset;
	mail->file_size = size;
	conn_send_file(&session->client.conn, mail->body_fd, mail->body_offset, size);
}

void mail_file_sent(struct session *session, bool failed)
{
	struct mail *mail = session->mail;

	if (failed || !mail || mail->file_size > mail->body_left) {
		session_abort(session);
		return;
	}
	mail->body_offset += mail->file_size;
	mail->body_left -= mail->file_size;
	pop3_server_body_sent(&session->pop3, mail->file_size);
	mail->file_size = 0;
	session_wake(session);
}

size_t mail_body(struct session *session, char *out, size_t cap)
{
	struct mail *mail = session->mail;
	size_t used = 0;

	if (mail->body)
		return body_by_value(session, out, cap);
	if (mail->slice_asked || mail->file_size)
		return 0;
	if (mail->body_wire_form && mail->body_left > 2 && !mail->body_lines &&
	    conn_can_send_file(&session->client.conn)) {
		body_by_sendfile(session);
		return 0;
	}
	while (pop3_server_want(&session->pop3) == POP3_WANT_BODY && cap - used >= 64) {
		ssize_t n = read_slice(session, session->front->scratch,
				       sizeof(session->front->scratch));
		pop3_span in = {session->front->scratch, n > 0 ? (size_t)n : 0};
		size_t had = in.size, wrote;

		if (n < 0)
			break;
		wrote = pop3_server_body(&session->pop3, &in, (uint64_t)n == mail->body_left,
					 out + used, cap - used);
		used += wrote;
		mail->body_offset += had - in.size;
		mail->body_left -= had - in.size;
		if (!wrote && had == in.size)
			break;
	}
	if (pop3_server_want(&session->pop3) != POP3_WANT_BODY)
		drop_body(mail);
	return used;
}

static bool bodies_fit(const struct mail *mail, const struct ipc_bodies *message)
{
	const struct ipc_body *bodies = (const struct ipc_body *)(const void *)ipc_tail(message);
	uint32_t last = bodies[message->count - 1].number;

	/* the numbers ascend (ipc_check) */
	return bodies[0].number == mail->asked && last - mail->asked < mail->asked_count &&
	       last <= mail->count && (!message->in_slot || mail->lease.arena);
}

static bool slice_fits(const struct mail *mail, const struct ipc_slice *message)
{
	return message->number == mail->body_number && message->offset == mail->body_offset &&
	       message->size <= mail->slice_size;
}

bool body_fits(const struct session *session, enum ipc_type type, const void *message)
{
	const struct mail *mail = session->mail;

	if (type == IPC_BODIES)
		return bodies_fit(mail, message);
	if (type == IPC_BODY_LENT)
		return ((const struct ipc_body_lent *)message)->number == mail->asked;
	if (type == IPC_SLICE_READY)
		return slice_fits(mail, message);
	return ((const struct ipc_body_failed *)message)->number ==
	       (session->asked_keeper == IPC_FETCH ? mail->asked : mail->body_number);
}

void body_message(struct session *session, enum ipc_type type, const void *message, int *fds)
{
	if (type == IPC_BODIES) {
		take_bodies(session, message);
		return;
	}
	arena_return(&session->mail->lease); /* nothing came in it */
	if (type == IPC_BODY_LENT)
		take_lent(session, message, &fds[0]);
	else if (type == IPC_BODY_FAILED)
		take_failed(session, message);
	else
		take_slice(session, message);
}
