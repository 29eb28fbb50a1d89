/*
 * Lending messages: small ones by value, several at once, before the front asks for them; a large
 * one as a descriptor whose first window has been read into memory, if its filesystem can be read
 * without waiting, else in slices by value. Later windows and slices follow on request, so that a
 * front never waits for a disk. On the keeper's loop; see keeper.h.
 */
#include "server/keeper/body.h"

#include "base/log.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define COUNT_MAX IPC_BODIES_MAX

_Static_assert((int)IPC_UTF8_MAX == (int)MAILDROP_REPLACE_UTF8, "FETCH has one of them");
/* A front gets the store's list of bodies as it is. */
_Static_assert(sizeof(struct store_value) == sizeof(struct ipc_body) &&
		       offsetof(struct store_value, number) == offsetof(struct ipc_body, number) &&
		       offsetof(struct store_value, stored) == offsetof(struct ipc_body, stored),
	       "a body is one of BODIES");

struct fetch {
	struct store_fetch op;
	struct keeper_session *session;
	struct store_value values[COUNT_MAX];
	char data[];
};

struct slice {
	struct store_slice op;
	struct keeper_session *session;
	uint32_t slot; /* of the front's arena: the room; IPC_NO_SLOT: data is */
	char data[];
};

/* Memory for an operation: not cleared where it is room for octets. */
static void *operation(size_t size, size_t room)
{
	void *op = malloc(size + room);

	if (!op)
		abort();
	memset(op, 0, size);
	return op;
}

static void send_failed(struct peer *front, const struct keeper_session *session, uint32_t number,
			const struct store_op *op)
{
	struct ipc_body_failed message = {
		.session = session->node.key, .number = number, .reason = REASON_MESSAGE_TEMP};

	if (op->status == MAILDROP_GONE)
		message.reason = REASON_MESSAGE_GONE;
	else if (op->status == MAILDROP_PERM)
		message.reason = REASON_MESSAGE_PERM;
	else if (op->status == MAILDROP_NEEDS_UTF8)
		message.reason = REASON_NEEDS_UTF8;
	if (op->status != MAILDROP_NEEDS_UTF8)
		log_warning("%s: message %u: %s", session->place->path, number, op->err.text);
	peer_send(front, IPC_BODY_FAILED, &message);
}

static void send_bodies(struct peer *front, const struct fetch *fetch)
{
	const struct store_fetch *op = &fetch->op;
	struct ipc_bodies message = {.session = fetch->session->node.key,
				     .count = op->ready,
				     .in_slot = op->room != fetch->data};
	pop3_span parts[] = {{(const char *)fetch->values, op->ready * sizeof(fetch->values[0])},
			     {fetch->data, op->used}};

	peer_send_parts(front, IPC_BODIES, &message, parts, message.in_slot ? 1 : 2);
}

static void send_lent(struct peer *front, const struct fetch *fetch)
{
	const struct store_fetch *op = &fetch->op;
	struct ipc_body_lent message = {.session = fetch->session->node.key,
					.offset = op->body.offset,
					.stored = op->body.stored,
					.octets = op->body.octets,
					.window = op->window,
					.number = op->first,
					.wire_form = op->body.wire_form,
					.in_memory = op->in_memory};

	if (op->form == STORE_UNSIZED) {
		struct ipc_body_stream stream = {.session = message.session, .number = op->first};

		peer_send(front, IPC_BODY_STREAM, &stream);
		return;
	}
	if (op->form == STORE_STREAM)
		peer_send(front, IPC_BODY_SLICED, &message);
	else
		peer_send_fds(front, IPC_BODY_LENT, &message, &op->body.fd, 1);
}

static void answered(struct keeper_session *session, const struct store_op *op)
{
	if (session->reading == op)
		session->reading = NULL;
	keeper_session_credit_back(session);
}

static void fetched(struct store_op *op)
{
	struct fetch *fetch = (struct fetch *)op;
	struct keeper_session *session = fetch->session;
	struct peer *front = keeper_session_front(session);

	answered(session, op);
	if (front && op->status != MAILDROP_OK)
		send_failed(front, session, fetch->op.first, op);
	else if (front && fetch->op.form == STORE_VALUES)
		send_bodies(front, fetch);
	else if (front)
		send_lent(front, fetch);
	if (fetch->op.body.fd >= 0)
		close(fetch->op.body.fd);
	free(fetch);
	keeper_session_done(session);
}

/*
 * Sends small messages that are in memory at once: two changes of thread cost more than the
 * reading. False: the first message is not in memory, or is large.
 */
static bool fetch_now(struct keeper_session *session, struct peer *front,
		      const struct ipc_fetch *message)
{
	struct fetch *fetch = session->keeper->scratch;
	struct store_fetch *op = &fetch->op;

	if (session->jobs)
		return false; /* an operation uses the maildrop */
	memset(fetch, 0, sizeof(*fetch));
	fetch->session = session;
	op->first = message->number;
	op->count = message->count < COUNT_MAX ? message->count : COUNT_MAX;
	op->utf8 = (enum maildrop_utf8)message->utf8;
	op->values = fetch->values;
	op->room = arena_slot(((struct keeper_front *)front->data)->arena, message->slot);
	op->room_size = op->room ? ARENA_SLOT_SIZE : IPC_BATCH_MAX;
	if (!op->room)
		op->room = fetch->data;
	if (!store_try_fetch(session->maildrop, op))
		return false;
	send_bodies(front, fetch);
	return true;
}

static bool is_there(struct keeper_session *session, uint32_t number, const char *why)
{
	struct maildrop_snapshot snapshot;

	maildrop_snapshot(session->maildrop, &snapshot);
	if (number <= snapshot.count)
		return true;
	peer_break(keeper_session_front(session), why);
	return false;
}

void keeper_fetch(struct keeper_session *session, const struct ipc_fetch *message)
{
	struct peer *front = keeper_session_front(session);
	struct fetch *fetch;

	if (!is_there(session, message->number, "it asks for a message that is not there"))
		return;
	if (session->place->root->remote && session->reading) {
		peer_break(front, "it asks for two messages at once");
		return;
	}
	if (fetch_now(session, front, message) || !keeper_session_credit(session))
		return;
	fetch = operation(sizeof(*fetch), IPC_BATCH_MAX);
	fetch->session = session;
	fetch->op.op.done = fetched;
	fetch->op.first = message->number;
	fetch->op.count = message->count < COUNT_MAX ? message->count : COUNT_MAX;
	fetch->op.utf8 = (enum maildrop_utf8)message->utf8;
	fetch->op.values = fetch->values;
	fetch->op.room = fetch->data; /* what ends later does not write into the front's arena */
	fetch->op.room_size = IPC_BATCH_MAX;
	fetch->op.window_max = IPC_WINDOW_MAX;
	fetch->op.top = message->top;
	fetch->op.lines = message->lines;
	session->reading = &fetch->op.op;
	keeper_session_begin(session);
	store_fetch(session->maildrop, &fetch->op);
}

static void sliced(struct store_op *op)
{
	struct slice *slice = (struct slice *)op;
	struct keeper_session *session = slice->session;
	struct peer *front = keeper_session_front(session);
	struct ipc_slice message = {.session = session->node.key,
				    .offset = slice->op.offset,
				    .size = slice->op.size,
				    .number = slice->op.number,
				    .by_value = slice->op.room != NULL};
	pop3_span octets = {slice->data, slice->op.size};

	answered(session, op);
	if (front && op->status != MAILDROP_OK)
		send_failed(front, session, slice->op.number, op);
	else if (front && slice->op.room)
		peer_send_parts(front, IPC_SLICE, &message, &octets, 1);
	else if (front)
		peer_send(front, IPC_SLICE_READY, &message);
	free(slice);
	keeper_session_done(session);
}

void keeper_slice(struct keeper_session *session, const struct ipc_slice *message)
{
	struct slice *slice;

	if (!is_there(session, message->number, "it asks for a slice that is not there") ||
	    !keeper_session_credit(session))
		return;
	slice = operation(sizeof(*slice), message->by_value ? message->size : 0);
	slice->session = session;
	slice->op.op.done = sliced;
	slice->op.number = message->number;
	slice->op.offset = message->offset;
	slice->op.size = message->size; /* ipc_check bounds it */
	slice->op.room = message->by_value ? slice->data : NULL;
	session->reading = &slice->op.op;
	keeper_session_begin(session);
	store_slice(session->maildrop, &slice->op);
}

static void streamed(struct store_op *op)
{
	struct slice *slice = (struct slice *)op;
	struct keeper_session *session = slice->session;
	struct peer *front = keeper_session_front(session);
	struct ipc_stream message = {.session = session->node.key,
				     .offset = slice->op.offset,
				     .number = slice->op.number,
				     .last = slice->op.last,
				     .slot = slice->slot,
				     .size = (uint32_t)slice->op.size};
	pop3_span octets = {slice->data, slice->op.size};

	answered(session, op);
	if (front && op->status != MAILDROP_OK)
		send_failed(front, session, slice->op.number, op);
	else if (front)
		peer_send_parts(front, IPC_STREAM, &message, &octets,
				slice->slot == IPC_NO_SLOT ? 1 : 0);
	free(slice);
	keeper_session_done(session);
}

/* Room in the front's arena is written until the answer, or until the session is closed: that
 * cancels the reading at once. */
void keeper_stream(struct keeper_session *session, const struct ipc_stream *message)
{
	struct peer *front = keeper_session_front(session);
	char *room = arena_slot(((struct keeper_front *)front->data)->arena, message->slot);
	struct slice *slice;

	if (!is_there(session, message->number, "it asks for a stream that is not there"))
		return;
	if (session->reading) {
		peer_break(front, "it asks for two streams at once");
		return;
	}
	if (!keeper_session_credit(session))
		return;
	slice = operation(sizeof(*slice), room ? 0 : IPC_BATCH_MAX);
	slice->session = session;
	slice->slot = room ? message->slot : IPC_NO_SLOT;
	slice->op.op.done = streamed;
	slice->op.number = message->number;
	slice->op.offset = message->offset;
	slice->op.size = IPC_BATCH_MAX;
	slice->op.room = room ? room : slice->data;
	session->reading = &slice->op.op;
	keeper_session_begin(session);
	store_slice(session->maildrop, &slice->op);
}

void *keeper_body_scratch(void)
{
	return malloc(sizeof(struct fetch) + IPC_BATCH_MAX);
}
