/*
 * The end of a session that has the lock. A log most of which tells of deleted messages is replaced
 * by a shorter one of a new generation: first their bodies are removed, for a deletion is dropped
 * only when its body has gone; then the object is replaced if no delivery was appended meanwhile. A
 * session that somebody waits for leaves that to a later one.
 */
#include "maildrop/rados/pool_private.h"

#include "base/log.h"

#include <stdlib.h>
#include <string.h>

enum { TRIES_MAX = 3 };

static void read_again(struct pool_session *session);

/* What this session deleted is removed, wanted or not, when nobody waits any more. */
static void leave(struct pool_session *session)
{
	struct removal_item *items = session->deleted;

	session->deleted = NULL;
	if (items)
		removal_in_background(session->pool, items, session->deleted_count);
	session_leave(session);
}

static bool goes_on(struct pool_session *session)
{
	return !session->box->hurry && lease_holds(session);
}

static void replaced(struct engine_op *op)
{
	struct pool_session *session = CONTAINER(op, struct pool_session, lock);

	if (op->result == ENGINE_OK)
		box_replaced(session->box, session->generation,
			     (pop3_span){(const char *)session->log, session->log_size});
	free(session->log);
	session->log = NULL;
	/* a delivery came in between, or a renewal of the lock */
	if (op->result == ENGINE_CHANGED && ++session->tries < TRIES_MAX && goes_on(session))
		read_again(session);
	else
		session_leave(session);
}

static void replace(struct box_reading *reading)
{
	struct pool_session *session = CONTAINER(reading, struct pool_session, reading);
	struct engine_if condition = {
		.cookie = session->cookie, .version = session->box->version, .when_full = true};
	pop3_span octets;

	if (reading->status != MAILDROP_OK || !goes_on(session) ||
	    pool_random_text(session->generation, ENGINE_GENERATION) < 0 ||
	    drop_log_compact(&session->box->log, &session->log, &session->log_size) < 0) {
		session_leave(session);
		return;
	}
	octets = (pop3_span){(const char *)session->log, session->log_size};
	session->lock.done = replaced;
	engine_replace(session->pool->engine, box_name(session->box), &condition,
		       session->generation, &octets, &session->lock);
}

static void read_again(struct pool_session *session)
{
	session->reading.done = replace;
	box_read(session->box, &session->reading);
}

static void removed(struct removal *removal)
{
	struct pool_session *session = CONTAINER(removal, struct pool_session, removal);
	bool all = true;

	for (size_t i = 0; i < removal->count; i++) {
		struct drop_message *message =
			drop_log_find(&session->box->log, removal->items[i].id);

		if (message && removal->items[i].gone)
			message->gone = true;
		all = all && removal->items[i].gone;
	}
	free(removal->items);
	removal->items = NULL;
	if (all) {
		free(session->deleted); /* they were among them */
		session->deleted = NULL;
	}
	if (goes_on(session) && all)
		read_again(session);
	else
		leave(session);
}

static void begin_removal(struct pool_session *session)
{
	const struct drop_log *log = &session->box->log;
	struct removal *removal = &session->removal;

	*removal = (struct removal){
		.done = removed, .stop = &session->box->hurry, .pool = session->pool};
	removal->items = calloc(log->count + 1, sizeof(*removal->items));
	if (!removal->items)
		abort();
	for (size_t i = 0; i < log->count; i++) {
		const struct drop_message *message = &log->messages[i];
		struct removal_item *item = &removal->items[removal->count];

		if (!message->deleted || message->gone)
			continue;
		memcpy(item->id, message->id, DROP_ID);
		item->stored = message->stored;
		removal->count++;
	}
	removal_begin(removal);
}

static bool is_due(const struct pool_session *session, const struct drop_log *log)
{
	return !log->unknown && log->size > 2 * log->live_size + session->pool->slack;
}

static void was_read(struct box_reading *reading)
{
	struct pool_session *session = CONTAINER(reading, struct pool_session, reading);

	if (reading->status == MAILDROP_OK && is_due(session, &session->box->log) &&
	    goes_on(session))
		begin_removal(session);
	else
		leave(session);
}

/* Without another reading: would it be due with these deletions? */
static bool may_be_due(const struct pool_session *session)
{
	struct drop_log log = session->box->log;
	uint64_t dead = 0;

	for (size_t i = 0; i < session->deleted_count; i++)
		dead += DROP_FRAME_ADD;
	log.size += session->deleted_count * DROP_FRAME_HEAD;
	log.live_size = log.live_size > dead ? log.live_size - dead : 0;
	return is_due(session, &log);
}

void session_compact(struct pool_session *session)
{
	if (!may_be_due(session) || !goes_on(session)) {
		leave(session);
		return;
	}
	session->reading.done = was_read;
	box_read(session->box, &session->reading);
}
