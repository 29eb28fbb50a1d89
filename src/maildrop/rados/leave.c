/* Ends of sessions: the lock is given back, whoever waits is told, the memory is freed. See
 * pool_private.h. */
#include "maildrop/rados/pool_private.h"

#include <stdlib.h>

void session_free(struct pool_session *session)
{
	struct pool *pool = session->pool;

	lease_end(session);
	if (session->box) {
		if (session->box->session == session)
			session->box->session = NULL;
		box_release(session->box);
	}
	ahead_free(session);
	drop_listing_release(session->listing);
	free(session->deleted);
	free(session->log);
	free(session);
	pool_done(pool);
}

void session_end(struct pool_session *session)
{
	struct store_open *opening = session->opening;
	struct store_close *closing = session->closing;
	struct store_op *op = opening ? &opening->op : &closing->op;

	op->status = opening ? session->status : MAILDROP_OK;
	op->err = session->err;
	session_free(session);
	op->done(op);
}

static void unlocked(struct engine_op *op)
{
	/* whatever it ended as: the lease ends by itself */
	session_end(CONTAINER(op, struct pool_session, lock));
}

static void unlock(struct pool_session *session)
{
	session->lock.done = unlocked;
	engine_unlock(session->pool->engine, box_name(session->box), session->cookie,
		      &session->lock);
}

void session_leave(struct pool_session *session)
{
	lease_end(session);
	session_after(session, unlock); /* a renewal may be under way */
}
