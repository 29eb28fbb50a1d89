/* Bodies: small ones by value, several read at once; large ones in slices, as they are asked for.
 */
#include "maildrop/rados/pool_private.h"

#include "base/crc32c.h"

#include <pop3/message.h>

#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

struct fetching {
	struct pool_session *session;
	struct store_fetch *op;
	struct body_wait wait;
	struct pool_body *bodies[];
};

static const struct drop_listed *message_of(const struct pool_session *session, uint32_t number)
{
	return drop_listing_find(session->listing, number);
}

/* The status of a body that could not be read. */
static enum maildrop_status unreadable(const struct engine_op *op, const unsigned char id[DROP_ID],
				       struct err *err)
{
	char name[BODY_NAME_MAX];

	body_name(id, 0, name);
	(void)pool_failed(op, name, err);
	return op->result == ENGINE_ABSENT ? MAILDROP_GONE : MAILDROP_TEMP;
}

static enum maildrop_status check(const struct drop_listed *message, const struct pool_body *body,
				  struct err *err)
{
	const struct engine_read *read = &body->read;
	char name[BODY_NAME_MAX];

	if (read->op.result != ENGINE_OK)
		return unreadable(&read->op, message->id, err);
	if (read->got == message->stored && crc32c(0, read->room, read->got) == message->body_crc)
		return MAILDROP_OK;
	body_name(message->id, 0, name);
	err_set(err, EX_DATAERR, "%s has other octets than the log says: see `valija rados check`",
		name);
	return MAILDROP_GONE;
}

/* The next body, in the order of their numbers; one that is bad ends them, and is reported when it
 * is asked for first. */
static enum maildrop_status take_value(struct pool_session *session, struct store_fetch *op,
				       const struct pool_body *body)
{
	const struct drop_listed *message = message_of(session, body->number);
	enum maildrop_status status = check(message, body, &op->op.err);

	if (status != MAILDROP_OK)
		return status;
	memcpy(op->room + op->used, body->octets, message->stored);
	op->values[op->ready++] =
		(struct store_value){message->octets, body->number, (uint32_t)message->stored};
	op->used += (uint32_t)message->stored;
	return MAILDROP_OK;
}

static void take_values(struct fetching *fetching)
{
	struct store_fetch *op = fetching->op;
	enum maildrop_status status = MAILDROP_OK;

	for (uint32_t i = 0; i < fetching->wait.count && status == MAILDROP_OK; i++)
		status = take_value(fetching->session, op, fetching->wait.bodies[i]);
	op->form = STORE_VALUES;
	op->op.status = op->ready ? MAILDROP_OK : status;
}

static void lock_is_gone(struct store_op *op)
{
	op->status = MAILDROP_TEMP;
	err_set(&op->err, EX_TEMPFAIL, "the lock of the maildrop may be gone: the session is over");
}

static void end(struct fetching *fetching)
{
	struct pool_session *session = fetching->session;
	struct store_fetch *op = fetching->op;

	if (lease_holds(session))
		take_values(fetching);
	else
		lock_is_gone(&op->op);
	ahead_waited(session, op->first, op->ready, &fetching->wait);
	free(fetching);
}

static void fetched(struct body_wait *wait)
{
	struct fetching *fetching = CONTAINER(wait, struct fetching, wait);
	struct pool_session *session = fetching->session;
	struct store_fetch *op = fetching->op;

	end(fetching);
	op->op.done(&op->op);
	session_done(session);
}

/* How many messages from the first on come by value. */
static uint32_t fitting(const struct pool_session *session, const struct store_fetch *op)
{
	uint64_t used = 0;
	uint32_t n = 0;

	for (; op->room && n < op->count && n < BODIES_AT_ONCE; n++) {
		uint64_t stored = message_of(session, op->first + n)->stored;

		if (stored > STORE_VALUE_MAX || used + stored > op->room_size)
			break;
		used += stored;
	}
	return n;
}

static void fetch_values(struct pool_session *session, struct store_fetch *op, uint32_t n)
{
	struct fetching *fetching = calloc(1, sizeof(*fetching) + n * sizeof(fetching->bodies[0]));

	if (!fetching)
		abort();
	fetching->session = session;
	fetching->op = op;
	fetching->wait =
		(struct body_wait){.done = fetched, .count = n, .bodies = fetching->bodies};
	session_begin(session);
	if (ahead_wait(session, op->first, &fetching->wait))
		return;
	end(fetching);
	pool_end_later(session->pool, &op->op);
	session_done(session);
}

bool session_try_fetch(struct maildrop *maildrop, struct store_fetch *op)
{
	struct pool_session *session = (struct pool_session *)maildrop;
	uint32_t n, ready;

	if (!session->ahead || !lease_holds(session))
		return false;
	n = fitting(session, op);
	ready = ahead_ready(session, op->first, n);
	/* a few would cost a turn more than waiting for the others */
	if (!ready || ready < n / 2)
		return false;
	for (uint32_t i = 0; i < ready; i++)
		if (take_value(session, op, ahead_body(session, op->first + i)) != MAILDROP_OK)
			break;
	if (!op->ready)
		return false;
	ahead_given(session, op->first, n, op->ready);
	op->form = STORE_VALUES;
	op->op.status = MAILDROP_OK;
	return true;
}

static void lend(struct pool_session *session, struct store_fetch *op)
{
	const struct drop_listed *message = message_of(session, op->first);

	op->form = STORE_STREAM;
	op->body = (struct maildrop_body){.fd = -1,
					  .stored = message->stored,
					  .octets = message->octets,
					  .wire_form = message->flags & DROP_WIRE_FORM};
	op->window = 0;
	op->in_memory = false;
	op->op.status = MAILDROP_OK;
}

void session_fetch(struct maildrop *maildrop, struct store_fetch *op)
{
	struct pool_session *session = (struct pool_session *)maildrop;
	uint32_t n = fitting(session, op);

	if (lease_holds(session) && n) {
		fetch_values(session, op, n);
		return;
	}
	if (session->lost)
		lock_is_gone(&op->op);
	else
		lend(session, op);
	pool_end_later(session->pool, &op->op);
}

/* ---- slices ---- */

struct slicing {
	struct engine_read read;
	struct pool_session *session;
	struct store_slice *op;
};

static void sliced(struct engine_op *engine)
{
	struct slicing *slicing = CONTAINER((struct engine_read *)engine, struct slicing, read);
	struct pool_session *session = slicing->session;
	struct store_slice *op = slicing->op;

	op->size = slicing->read.got;
	op->op.status = MAILDROP_OK;
	if (!lease_holds(session)) {
		lock_is_gone(&op->op);
	} else if (engine->result != ENGINE_OK) {
		op->op.status =
			unreadable(engine, message_of(session, op->number)->id, &op->op.err);
	} else if (!op->size) {
		op->op.status = MAILDROP_GONE;
		err_set(&op->op.err, EX_DATAERR,
			"the body in the cluster is shorter than the log says");
	}
	free(slicing);
	op->op.done(&op->op);
	session_done(session);
}

void session_slice(struct maildrop *maildrop, struct store_slice *op)
{
	struct pool_session *session = (struct pool_session *)maildrop;
	const struct drop_listed *message = message_of(session, op->number);
	uint64_t left = op->offset < message->stored ? message->stored - op->offset : 0,
		 in_chunk = ENGINE_CHUNK - op->offset % ENGINE_CHUNK;
	struct slicing *slicing;
	char name[BODY_NAME_MAX];

	if (!lease_holds(session) || !left || !op->room) {
		op->op.status = MAILDROP_GONE;
		err_set(&op->op.err, EX_SOFTWARE,
			"a slice beyond the message, or of a session that is over");
		pool_end_later(session->pool, &op->op);
		return;
	}
	slicing = calloc(1, sizeof(*slicing));
	if (!slicing)
		abort();
	slicing->session = session;
	slicing->op = op;
	slicing->read = (struct engine_read){.op.done = sliced,
					     .offset = op->offset % ENGINE_CHUNK,
					     .size = op->size < left ? op->size : left,
					     .room = op->room};
	if (slicing->read.size > in_chunk)
		slicing->read.size = in_chunk;
	body_name(message->id, (uint32_t)(op->offset / ENGINE_CHUNK), name);
	session_begin(session);
	engine_read(session->pool->engine, name, &slicing->read);
}

/* What was announced is in the log, and a body is never changed: there is nothing to be mended. */
void session_wrong(struct maildrop *maildrop, struct store_wrong *op)
{
	struct pool_session *session = (struct pool_session *)maildrop;
	char name[BODY_NAME_MAX];

	op->op.status = MAILDROP_OK;
	if (!op->number && session->box) {
		drop_listings_forget(&session->box->listings); /* the next session gets another */
	} else if (op->number) {
		body_name(message_of(session, op->number)->id, 0, name);
		op->op.status = MAILDROP_GONE;
		err_set(&op->op.err, EX_DATAERR,
			"%s has other octets than the log says: see `valija rados check`", name);
	}
	pool_end_later(session->pool, &op->op);
}
