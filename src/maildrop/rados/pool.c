/* See rados.h: the table of the store, and what needs no session. */
#include "maildrop/rados/pool_private.h"
#include "maildrop/rados/health.h"

#include "base/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

enum {
	LEASE_S = 120,
	YOUNG_MS = 10 * 60 * 1000,
	AGAIN_MS = 200,
	SLACK = 4096,
	THREADS = 2,
	JOBS_MAX = 1 << 20,
};

/* ---- what needs no session ---- */

/* The path of the mail folder leads elsewhere (store_away): nothing is begun. */
static void refuse(struct pool *pool, struct store_op *op)
{
	op->status = MAILDROP_TEMP;
	err_set(&op->err, EX_TEMPFAIL,
		"the path of the mail folder leads elsewhere: see valijad's log before");
	pool_end_later(pool, op);
}

struct counting {
	struct box_reading reading;
	struct pool_mark mark;
	struct pool *pool;
	struct store_usage *op;
};

static void end_counting(struct counting *counting)
{
	struct store_usage *op = counting->op;

	pool_done(counting->pool);
	free(counting);
	op->op.done(&op->op);
}

/* A maildrop that is not made yet has no mail. */
static void absent_looked_for(struct pool_mark *mark)
{
	struct counting *counting = CONTAINER(mark, struct counting, mark);

	counting->op->usage = (struct maildrop_usage){0, 0};
	counting->op->op.status = mark->there ? MAILDROP_OK : MAILDROP_TEMP;
	end_counting(counting);
}

static void counted(struct box_reading *reading)
{
	struct counting *counting = CONTAINER(reading, struct counting, reading);
	struct store_usage *op = counting->op;

	op->op.status = reading->status;
	op->op.err = reading->err;
	op->usage = (struct maildrop_usage){reading->box->log.live, reading->box->log.stored};
	counting->mark.done = absent_looked_for;
	if (reading->status == MAILDROP_ABSENT)
		pool_look_for_mark(counting->pool, ENGINE_INDEXES, &counting->mark);
	else
		end_counting(counting);
}

static void usage(struct store *store, struct store_where *where, struct store_usage *op)
{
	struct pool *pool = pool_of(store);
	struct counting *counting;

	if (pool->away) {
		refuse(pool, &op->op);
		return;
	}
	counting = calloc(1, sizeof(*counting));
	if (!counting)
		abort();
	counting->reading.done = counted;
	counting->pool = pool;
	counting->op = op;
	pool_begin(pool);
	box_read(box_of(pool, where), &counting->reading);
}

struct making {
	struct engine_op engine;
	struct pool *pool;
	struct store_op *op;
	char name[ENGINE_NAME_MAX];
};

static void made(struct engine_op *engine)
{
	struct making *making = CONTAINER(engine, struct making, engine);
	struct store_op *op = making->op;

	op->status = MAILDROP_OK;
	if (engine->result != ENGINE_OK && engine->result != ENGINE_EXISTS)
		op->status = pool_failed(engine, making->name, &op->err);
	if (op->status == MAILDROP_ABSENT)
		op->status = MAILDROP_TEMP; /* the pool itself is gone */
	pool_done(making->pool);
	free(making);
	op->done(op);
}

static void make(struct store *store, struct store_where *where, struct store_op *op)
{
	struct pool *pool = pool_of(store);
	char generation[ENGINE_GENERATION + 1];
	struct making *making;

	if (pool->away) {
		refuse(pool, op);
		return;
	}
	making = calloc(1, sizeof(*making));
	if (!making || pool_random_text(generation, ENGINE_GENERATION) < 0)
		abort();
	making->engine.done = made;
	making->pool = pool;
	making->op = op;
	snprintf(making->name, sizeof(making->name), "%s", box_name(box_of(pool, where)));
	pool_begin(pool);
	engine_make(pool->engine, making->name, generation, &making->engine);
}

/* ---- the table ---- */

static void set_away(struct store *store, bool away)
{
	pool_of(store)->away = away;
}

static void leave(struct store *store, struct store_where *where)
{
	struct box *box = (struct box *)(void *)where->lane;

	(void)store;
	where->lane = NULL;
	if (box)
		box_release(box);
}

static void hurry(struct store *store, struct store_where *where)
{
	struct box *box = (struct box *)(void *)where->lane;

	(void)store;
	if (box)
		box->hurry = true;
}

static enum maildrop_status try_open(struct store *store, struct store_where *where,
				     const struct store_who *who, struct maildrop **ret)
{
	(void)who;
	(void)ret;
	return box_of(pool_of(store), where)->session ? MAILDROP_IN_USE : MAILDROP_WAIT;
}

static enum maildrop_status open_empty(struct store *store, struct store_where *where,
				       struct maildrop **ret, struct err *err)
{
	enum maildrop_status status = session_open_empty(pool_of(store), ret, err);

	if (status == MAILDROP_OK)
		store_opened(*ret, store, where);
	return status;
}

static void open_later(struct store *store, struct store_where *where, struct store_open *op)
{
	if (pool_of(store)->away)
		refuse(pool_of(store), &op->op);
	else
		session_open(pool_of(store), where, op);
}

static void deliver(struct store *store, struct store_where *where, struct store_deliver *op)
{
	if (pool_of(store)->away)
		refuse(pool_of(store), &op->op);
	else
		pool_deliver(pool_of(store), where, op);
}

/* Each operation has a deadline at the engine's, and what it ends as costs nothing. */
static void cancel(struct store *store, struct store_op *op)
{
	(void)store;
	(void)op;
}

static const struct store_ops ops = {
	.abilities = STORE_MAKES | STORE_QUOTA | STORE_NODES,
	.away = set_away,
	.leave = leave,
	.hurry = hurry,
	.try_open = try_open,
	.open_empty = open_empty,
	.open = open_later,
	.try_fetch = session_try_fetch,
	.fetch = session_fetch,
	.slice = session_slice,
	.wrong = session_wrong,
	.commit = session_commit,
	.try_close = session_try_close,
	.close = session_close,
	.usage = usage,
	.deliver = deliver,
	.make = make,
	.cancel = cancel,
	.ask = nodes_ask,
	.answer = nodes_answer,
	.tell = nodes_tell,
};

/* ---- the store ---- */

static int name_node(struct pool *pool, struct err *err)
{
	char host[64] = "";

	if (pool_random_text(pool->node_id, 16) < 0)
		return err_set(err, EX_OSERR, "the kernel has no random octets");
	gethostname(host, sizeof(host) - 1);
	snprintf(pool->node, sizeof(pool->node), "%s %s", host, pool->node_id);
	return 0;
}

static void warn(const char *text)
{
	log_warning("%s", text);
}

static int check_pools(struct engine *engine, void *context, struct err *err)
{
	const struct rados_settings *rados = context;

	return health_check(engine, rados->pool, rados->bodies, rados->single_copy, warn, err);
}

struct store *store_rados_create(const struct store_host *host,
				 const struct maildrop_settings *settings, int root_fd,
				 struct err *err)
{
	const struct rados_settings *rados = settings->rados;
	struct engine_settings of = {.conf = rados->conf,
				     .pool = rados->pool,
				     .bodies = rados->bodies,
				     .user = rados->user,
				     .timeout_ms = rados->timeout_ms,
				     .check = check_pools,
				     .context = (void *)(uintptr_t)rados};
	struct pool *pool = calloc(1, sizeof(*pool));

	(void)root_fd;
	if (!pool) {
		err_set(err, EX_OSERR, "out of memory");
		return NULL;
	}
	pool->store.ops = &ops;
	pool->store.host = host;
	pool->settings = *settings;
	pool->lease_s = rados->lease_s ? rados->lease_s : LEASE_S;
	pool->young_ms = rados->young_ms ? rados->young_ms : YOUNG_MS;
	pool->again_ms = rados->again_ms ? rados->again_ms : AGAIN_MS;
	pool->slack = rados->slack ? rados->slack : SLACK;
	pool->idle_last = &pool->idle;
	pool->last_ahead = &pool->aheads;
	table_init(&pool->boxes);
	if (name_node(pool, err) == 0)
		pool->workers = workers_create(host->loop, THREADS, 0, JOBS_MAX, err);
	if (pool->workers)
		pool->engine = engine_create(&of, host->loop, rados->connect_ms, err);
	if (pool->engine) {
		nodes_begin(pool);
		return &pool->store;
	}
	workers_destroy(pool->workers);
	free(pool);
	return NULL;
}

bool store_rados_idle(const struct store *store)
{
	return !((const struct pool *)store)->under_way;
}

void store_rados_destroy(struct store *store)
{
	struct pool *pool = pool_of(store);

	if (!pool)
		return;
	if (pool->ticking)
		loop_timer_cancel(&pool->tick);
	nodes_end(pool);
	pool_free_idle(pool);
	engine_destroy(pool->engine);
	workers_destroy(pool->workers);
	table_finish(&pool->boxes);
	free(pool);
}
