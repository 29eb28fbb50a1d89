/*
 * Other nodes: keepers of the same pool, which nobody counts. All of them watch the mark of the
 * pool; what one of them has to say is a notice there, that each of them hears and acknowledges at
 * once, but for the one that has the maildrop which is asked for: its answer is that of its front.
 * Nothing is decided here: the lock is, in the cluster. A notice that gets lost costs an [IN-USE],
 * or a session that is ended by hand.
 *
 *     octets  0       version of what follows
 *             1       kind
 *             2-17    who sends it: 16 hex digits, random
 *     ASK     18      the session may be ended
 *             19-26   after so many milliseconds without a command
 *             27-     path of the maildrop
 *     TELL    18-     the keeper's
 *     and the answer to ASK: version; it is taken; since, idle: 8 octets each; address: 16
 *
 * See pool_private.h.
 */
#include "maildrop/rados/pool_private.h"

#include "base/little_endian.h"
#include "base/log.h"
#include "maildrop/rados/mark.h"

#include <stdlib.h>
#include <string.h>

enum {
	VERSION = 1,
	ASK = 1,
	TELL = 2,
	HEAD = 18,
	ASK_HEAD = 27,
	ANSWER = 34,
	ASK_MS = 2000,  /* RADOS counts seconds */
	TELL_MS = 5000, /* nobody waits for it */
	AGAIN_MS = 5000,
};

static void put_head(const struct pool *pool, char *to, char kind)
{
	to[0] = VERSION;
	to[1] = kind;
	memcpy(to + 2, pool->node_id, HEAD - 2);
}

/* ---- to hear ---- */

struct asked {
	struct store_asked asked;
	struct engine_notice *notice;
};

static void acknowledge(struct pool *pool, struct engine_notice *notice)
{
	engine_acknowledge(pool->engine, &notice, (pop3_span){"", 0});
}

void nodes_answer(struct store *store, struct store_asked *of, const struct store_holding *holding)
{
	struct asked *asked = CONTAINER(of, struct asked, asked);
	char answer[ANSWER] = {VERSION, holding->taken};

	le_put(answer + 2, holding->since, 8);
	le_put(answer + 10, holding->idle, 8);
	memcpy(answer + 18, holding->address, sizeof(holding->address));
	engine_acknowledge(pool_of(store)->engine, &asked->notice,
			   (pop3_span){answer, holding->known ? sizeof(answer) : 0});
	free(asked);
}

/* The session of this process that has it open; NULL: none, or it ends anyway. */
static struct pool_session *holder_of(struct pool *pool, pop3_span text)
{
	char path[ENGINE_NAME_MAX];
	struct pool_session *session;
	struct box *box;

	if (memchr(text.data, '\0', text.size) || text.size >= sizeof(path))
		return NULL;
	memcpy(path, text.data, text.size);
	path[text.size] = '\0';
	box = box_find(pool, path);
	session = box ? box->session : NULL;
	if (session)
		box->hurry = true; /* one that is about to end ends at once */
	return session && session->maildrop.owner && !session->closing && !session->lost ? session
											 : NULL;
}

static void hear_ask(struct pool *pool, struct engine_notice *notice)
{
	pop3_span octets = notice->octets;
	struct pool_session *session;
	struct asked *asked;

	session = octets.size > ASK_HEAD ? holder_of(pool, (pop3_span){octets.data + ASK_HEAD,
								       octets.size - ASK_HEAD})
					 : NULL;
	asked = session ? calloc(1, sizeof(*asked)) : NULL;
	if (!asked) {
		acknowledge(pool, notice);
		return;
	}
	asked->notice = notice;
	asked->asked = (struct store_asked){.idle = le_get(octets.data + HEAD + 1, 8),
					    .take = octets.data[HEAD] != 0};
	pool->store.host->asked(session->maildrop.owner, &asked->asked);
}

static void heard(struct engine_watch *watch, struct engine_notice *notice)
{
	struct pool *pool = CONTAINER(watch, struct pool, watch);
	pop3_span octets = notice->octets;

	if (octets.size < HEAD || octets.data[0] != VERSION ||
	    memcmp(octets.data + 2, pool->node_id, HEAD - 2) == 0) {
		acknowledge(pool, notice);
		return;
	}
	if (octets.data[1] == ASK) {
		hear_ask(pool, notice);
		return;
	}
	if (octets.data[1] == TELL)
		pool->store.host->told(pool->store.host->context,
				       (pop3_span){octets.data + HEAD, octets.size - HEAD});
	acknowledge(pool, notice);
}

/* ---- to be heard ---- */

static void watch_later(struct pool *pool)
{
	loop_timer_set(&pool->watch_again, AGAIN_MS);
}

static void lost(struct engine_watch *watch)
{
	log_warning("the cluster could not reach this process for some seconds: what other nodes "
		    "told meanwhile was not heard");
	watch_later(CONTAINER(watch, struct pool, watch));
}

static void watched(struct engine_op *op)
{
	struct engine_watch *watch = CONTAINER(op, struct engine_watch, op);

	if (op->result != ENGINE_OK)
		watch_later(CONTAINER(watch, struct pool, watch));
}

static void watch_again(struct loop_timer *timer)
{
	struct pool *pool = timer->context;

	engine_watch(pool->engine, &pool->watch);
}

void nodes_begin(struct pool *pool)
{
	pool->watch = (struct engine_watch){
		.op.done = watched, .name = mark_name, .heard = heard, .lost = lost};
	loop_timer_init(&pool->watch_again, pool->store.host->loop, watch_again, pool);
	engine_watch(pool->engine, &pool->watch);
}

void nodes_end(struct pool *pool)
{
	loop_timer_cancel(&pool->watch_again);
}

/* ---- to ask, to tell ---- */

struct asking {
	struct engine_notify notify;
	struct store_ask *op;
};

static bool take_answer(pop3_span octets, struct store_holding *ret)
{
	if (octets.size < ANSWER || octets.data[0] != VERSION)
		return false;
	*ret = (struct store_holding){.since = le_get(octets.data + 2, 8),
				      .idle = le_get(octets.data + 10, 8),
				      .known = true,
				      .taken = octets.data[1] != 0};
	memcpy(ret->address, octets.data + 18, sizeof(ret->address));
	return true;
}

static void answered(struct engine_op *engine)
{
	struct asking *asking =
		CONTAINER(CONTAINER(engine, struct engine_notify, op), struct asking, notify);
	struct store_ask *op = asking->op;
	pop3_span octets;

	op->op.status = pool_failed(engine, mark_name, &op->op.err);
	while (engine_notify_answer(&asking->notify, &octets) && !take_answer(octets, &op->holding))
		;
	engine_notify_finish(&asking->notify);
	free(asking);
	op->op.done(&op->op);
}

void nodes_ask(struct store *store, struct store_where *where, struct store_ask *op)
{
	struct pool *pool = pool_of(store);
	struct asking *asking = calloc(1, sizeof(*asking));
	char octets[ENGINE_NOTICE_MAX];
	size_t size = strlen(where->path);

	if (!asking)
		abort();
	asking->notify.op.done = answered;
	asking->op = op;
	put_head(pool, octets, ASK);
	octets[HEAD] = op->take;
	le_put(octets + HEAD + 1, op->idle, 8);
	if (size > sizeof(octets) - ASK_HEAD)
		size = sizeof(octets) - ASK_HEAD; /* names are shorter: ENGINE_NAME_MAX */
	memcpy(octets + ASK_HEAD, where->path, size);
	engine_notify(pool->engine, mark_name, (pop3_span){octets, ASK_HEAD + size}, ASK_MS,
		      &asking->notify);
}

static void was_told(struct engine_op *op)
{
	struct engine_notify *notify = CONTAINER(op, struct engine_notify, op);

	if (op->result != ENGINE_OK)
		log_warning("not all other nodes were told: %s", engine_result_text(op));
	engine_notify_finish(notify);
	free(notify);
}

void nodes_tell(struct store *store, pop3_span told)
{
	struct pool *pool = pool_of(store);
	struct engine_notify *notify = calloc(1, sizeof(*notify));
	char octets[ENGINE_NOTICE_MAX];

	if (!notify)
		abort();
	notify->op.done = was_told;
	put_head(pool, octets, TELL);
	memcpy(octets + HEAD, told.data, told.size);
	engine_notify(pool->engine, mark_name, (pop3_span){octets, HEAD + told.size}, TELL_MS,
		      notify);
}
