/*
 * Locks of open maildrops: a lease, renewed at a quarter of its time. The moment at which it was
 * asked for counts, by a clock that goes on while the machine sleeps; the cluster counts from when
 * it got the request, so it never takes the lock for free before this process does.
 */
#include "maildrop/rados/pool_private.h"

enum { TICK_MS = 1000, MARGIN_MS = 1000 };

static void renewed(struct engine_op *op);

static void renew(struct pool_session *session, uint64_t now)
{
	struct pool *pool = session->pool;

	session->renewing = true;
	session->asked_at = now;
	session->renewal.done = renewed;
	session_begin(session);
	engine_renew(pool->engine, box_name(session->box), session->cookie, pool->node,
		     pool->lease_s, &session->renewal);
}

static void granted(struct pool_session *session, uint64_t asked_at)
{
	uint64_t lease = (uint64_t)session->pool->lease_s * 1000;

	session->until = asked_at + lease - MARGIN_MS;
	session->renew_at = asked_at + lease / 4;
}

static void renewed(struct engine_op *op)
{
	struct pool_session *session = CONTAINER(op, struct pool_session, renewal);

	session->renewing = false;
	if (op->result == ENGINE_OK)
		granted(session, session->asked_at);
	else if (op->result == ENGINE_ABSENT || op->result == ENGINE_LOCKED)
		lease_lost(session);
	/* else tried again at the next tick, until the lease is over */
	session_done(session);
}

static void tell(struct loop_later *later)
{
	struct pool_session *session = CONTAINER(later, struct pool_session, tell);

	if (session->maildrop.owner && !session->closing)
		session->pool->store.host->event(session->maildrop.owner, STORE_LOST);
	session_done(session);
}

void lease_lost(struct pool_session *session)
{
	if (session->lost)
		return;
	session->lost = true;
	lease_end(session);
	session->tell = (struct loop_later){.run = tell};
	session_begin(session);
	loop_later_add(session->pool->store.host->loop, &session->tell);
}

bool lease_holds(struct pool_session *session)
{
	if (!session->lost && session->box && pool_clock() >= session->until)
		lease_lost(session);
	return !session->lost;
}

static void look(struct loop_timer *timer)
{
	struct pool *pool = timer->context;
	uint64_t now = pool_clock();

	pool->ticking = false;
	for (struct pool_session *session = pool->sessions, *next; session; session = next) {
		next = session->next;
		if (now >= session->until)
			lease_lost(session);
		else if (now >= session->renew_at && !session->renewing)
			renew(session, now);
	}
	if (!pool->sessions)
		return;
	pool->ticking = true;
	loop_timer_set(timer, TICK_MS);
}

void lease_begin(struct pool_session *session, uint64_t asked_at)
{
	struct pool *pool = session->pool;

	granted(session, asked_at);
	session->next = pool->sessions;
	session->at = &pool->sessions;
	if (session->next)
		session->next->at = &session->next;
	pool->sessions = session;
	if (pool->ticking)
		return;
	loop_timer_init(&pool->tick, pool->store.host->loop, look, pool);
	loop_timer_set(&pool->tick, TICK_MS);
	pool->ticking = true;
}

void lease_end(struct pool_session *session)
{
	if (!session->at)
		return;
	*session->at = session->next;
	if (session->next)
		session->next->at = session->at;
	session->at = NULL;
}
