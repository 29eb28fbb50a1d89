/* Sessions of the store: the lock, then the log, then the snapshot; deletions; the end. See
 * pool_private.h. */
#include "maildrop/rados/pool_private.h"

#include "base/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

/* ---- their memory ---- */

static struct pool_session *new_session(struct pool *pool)
{
	struct pool_session *session = calloc(1, sizeof(*session));

	if (!session)
		abort();
	session->pool = pool;
	pool_begin(pool);
	return session;
}

/* ---- opening ---- */

/* Without a lock to give back. */
static void not_opened(struct pool_session *session, enum maildrop_status status)
{
	session->status = status;
	session_end(session);
}

static void snapshot_failed(struct pool_session *session)
{
	session->status = MAILDROP_TEMP;
	err_sys(&session->err, EX_TEMPFAIL, errno, "maildrop %s: its index cannot be made",
		session->box->path);
	session_leave(session);
}

static void was_read(struct box_reading *reading)
{
	struct pool_session *session = CONTAINER(reading, struct pool_session, reading);
	struct store_open *op = session->opening;

	if (reading->status != MAILDROP_OK || !lease_holds(session)) {
		session->status = MAILDROP_TEMP;
		session->err = reading->err;
		if (reading->status == MAILDROP_OK)
			err_set(&session->err, EX_TEMPFAIL,
				"maildrop %s: the cluster took so long that the "
				"lock may be gone",
				session->box->path);
		session_leave(session);
		return;
	}
	if (snapshot_take(session, session->box) < 0) {
		snapshot_failed(session);
		return;
	}
	session->opening = NULL;
	op->maildrop = &session->maildrop;
	op->op.status = MAILDROP_OK;
	op->op.done(&op->op);
}

static void mark_looked_for(struct pool_mark *mark)
{
	struct pool_session *session = CONTAINER(mark, struct pool_session, mark);

	if (!mark->there)
		err_set(&session->err, EX_TEMPFAIL,
			"maildrop %s is not there, and the pool has no mark: it is not the pool of "
			"this "
			"site, or `valija rados init` was not run",
			session->box->path);
	else
		err_set(&session->err, EX_TEMPFAIL, "maildrop %s is not there", session->box->path);
	not_opened(session, mark->there ? MAILDROP_ABSENT : MAILDROP_TEMP);
}

static void locked(struct engine_op *op)
{
	struct pool_session *session = CONTAINER(op, struct pool_session, lock);

	switch (op->result) {
	case ENGINE_OK:
	case ENGINE_EXISTS: /* a request that was sent twice: the cookie is of this session alone */
		lease_begin(session, session->asked_at);
		session->reading.done = was_read;
		box_read(session->box, &session->reading);
		return;
	case ENGINE_LOCKED:
		err_set(&session->err, EX_TEMPFAIL, "maildrop %s: another session has it",
			session->box->path);
		not_opened(session, MAILDROP_IN_USE);
		return;
	case ENGINE_ABSENT:
		session->mark.done = mark_looked_for;
		pool_look_for_mark(session->pool, ENGINE_INDEXES, &session->mark);
		return;
	case ENGINE_UNKNOWN: /* it may be locked, or be so later: then for the time of a lease */
		session->status = pool_failed(op, box_name(session->box), &session->err);
		session_leave(session);
		return;
	case ENGINE_CHANGED:
	case ENGINE_FULL:
	case ENGINE_DENIED:
	case ENGINE_REFUSED:
	case ENGINE_DOWN:
		break;
	}
	(void)pool_failed(op, box_name(session->box), &session->err);
	not_opened(session, MAILDROP_TEMP);
}

void session_open(struct pool *pool, struct store_where *where, struct store_open *op)
{
	struct box *box = box_of(pool, where);
	struct pool_session *session;

	if (box->session) {
		op->op.status = MAILDROP_IN_USE;
		err_set(&op->op.err, EX_TEMPFAIL, "maildrop %s: another session has it", box->path);
		pool_end_later(pool, &op->op);
		return;
	}
	session = new_session(pool);
	session->box = box_take(pool, where->path);
	session->box->session = session;
	session->box->hurry = false;
	session->opening = op;
	store_opened(&session->maildrop, &pool->store, where);
	if (pool_random_text(session->cookie, 32) < 0)
		abort();
	session->asked_at = pool_clock();
	session->lock.done = locked;
	engine_lock(pool->engine, box_name(session->box), session->cookie, pool->node,
		    pool->lease_s, &session->lock);
}

enum maildrop_status session_open_empty(struct pool *pool, struct maildrop **ret, struct err *err)
{
	struct pool_session *session = new_session(pool);

	if (snapshot_empty(session) < 0) {
		err_sys(err, EX_TEMPFAIL, errno, "an index in memory cannot be made");
		session_free(session);
		return MAILDROP_TEMP;
	}
	*ret = &session->maildrop;
	return MAILDROP_OK;
}

/* ---- deletions ---- */

struct committing {
	struct engine_op engine;
	struct pool_session *session;
	struct store_commit *op;
	struct removal_item *items;
	unsigned char *frames;
};

static enum maildrop_status commit_status(struct pool_session *session, const struct engine_op *op,
					  struct err *err)
{
	(void)pool_failed(op, box_name(session->box), err);
	switch (op->result) {
	case ENGINE_OK:
		return MAILDROP_OK;
	case ENGINE_LOCKED:
		lease_lost(session);
		return MAILDROP_LOST;
	case ENGINE_UNKNOWN:
		return MAILDROP_UNKNOWN;
	case ENGINE_ABSENT:
	case ENGINE_EXISTS:
	case ENGINE_CHANGED:
	case ENGINE_FULL:
	case ENGINE_DENIED:
	case ENGINE_REFUSED:
	case ENGINE_DOWN:
		break;
	}
	return MAILDROP_TEMP;
}

static void appended(struct engine_op *engine)
{
	struct committing *committing = CONTAINER(engine, struct committing, engine);
	struct pool_session *session = committing->session;
	struct store_commit *op = committing->op;

	op->op.status = commit_status(session, engine, &op->op.err);
	if (op->op.status == MAILDROP_OK) {
		session->deleted = committing->items;
		session->deleted_count = op->count;
	} else { /* nothing is removed whose deletion is not certain */
		free(committing->items);
	}
	free(committing->frames);
	free(committing);
	op->op.done(&op->op);
	session_done(session);
}

/* Fills items and frames. */
static size_t list_deletions(const struct pool_session *session, const struct store_commit *op,
			     struct committing *committing)
{
	struct drop_frame frame = {.kind = DROP_DEL};
	size_t size = 0;

	for (uint32_t i = 0; i < op->count; i++) {
		const struct drop_listed *message =
			drop_listing_find(session->listing, op->numbers[i]);

		memcpy(frame.id, message->id, DROP_ID);
		size += drop_frame_encode(&frame, committing->frames + size);
		memcpy(committing->items[i].id, message->id, DROP_ID);
		committing->items[i].stored = message->stored;
	}
	return size;
}

static void begin_commit(struct pool_session *session, struct store_commit *op)
{
	struct committing *committing = calloc(1, sizeof(*committing));
	struct engine_if condition = {.cookie = session->cookie, .when_full = true};
	size_t size;

	if (committing) {
		committing->items = calloc(op->count, sizeof(*committing->items));
		committing->frames = malloc((size_t)op->count * DROP_FRAME_HEAD);
	}
	if (!committing || !committing->items || !committing->frames)
		abort();
	committing->session = session;
	committing->op = op;
	committing->engine.done = appended;
	size = list_deletions(session, op, committing);
	session_begin(session);
	engine_append(session->pool->engine, box_name(session->box), &condition,
		      (pop3_span){(const char *)committing->frames, size}, &committing->engine);
}

void session_commit(struct maildrop *maildrop, struct store_commit *op)
{
	struct pool_session *session = (struct pool_session *)maildrop;

	if (op->count && lease_holds(session)) {
		begin_commit(session, op);
		return;
	}
	op->op.status = op->count ? MAILDROP_LOST : MAILDROP_OK;
	if (op->count)
		err_set(&op->op.err, EX_TEMPFAIL, "the lock is gone: nothing was deleted");
	pool_end_later(session->pool, &op->op);
}

/* ---- the end ---- */

bool session_try_close(struct maildrop *maildrop)
{
	struct pool_session *session = (struct pool_session *)maildrop;

	if (session->box || session->jobs)
		return false;
	session_free(session);
	return true;
}

static void close_now(struct pool_session *session)
{
	struct store_close *op = session->closing;

	if (session->box) {
		session_compact(session);
		return;
	}
	op->op.status = MAILDROP_OK;
	pool_end_later(session->pool, &op->op);
	session_free(session);
}

void session_close(struct maildrop *maildrop, struct store_close *op)
{
	struct pool_session *session = (struct pool_session *)maildrop;

	session->closing = op;
	if (session->box && op->hurry)
		session->box->hurry = true;
	session_after(session, close_now);
}
