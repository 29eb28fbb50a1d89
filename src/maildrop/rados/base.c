/* See pool_private.h: helpers that all files of the room stand on. */
#include "maildrop/rados/pool_private.h"

#include "base/random.h"
#include "base/text.h"
#include "maildrop/rados/mark.h"

#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>
#include <time.h>

void pool_begin(struct pool *pool)
{
	pool->under_way++;
}

void pool_done(struct pool *pool)
{
	pool->under_way--;
}

uint64_t pool_clock(void)
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

int pool_random_text(char *ret, size_t digits)
{
	unsigned char octets[32];

	if (random_octets(octets, digits / 2) < 0)
		return -1;
	hex_encode(octets, digits / 2, ret);
	return 0;
}

enum maildrop_status pool_status(const struct engine_op *op)
{
	switch (op->result) {
	case ENGINE_OK:
		return MAILDROP_OK;
	case ENGINE_ABSENT:
		return MAILDROP_ABSENT;
	case ENGINE_FULL:
		return MAILDROP_FULL;
	case ENGINE_UNKNOWN:
	case ENGINE_EXISTS:
	case ENGINE_CHANGED:
	case ENGINE_LOCKED:
	case ENGINE_DENIED:
	case ENGINE_REFUSED:
	case ENGINE_DOWN:
		break;
	}
	return MAILDROP_TEMP;
}

enum maildrop_status pool_failed(const struct engine_op *op, const char *name, struct err *err)
{
	if (op->code)
		err_sys(err, EX_TEMPFAIL, -op->code, "%s: %s", name, engine_result_text(op));
	else
		err_set(err, EX_TEMPFAIL, "%s: %s", name, engine_result_text(op));
	return pool_status(op);
}

static void mark_found(struct engine_op *op)
{
	struct pool_mark *mark = CONTAINER((struct engine_index *)op, struct pool_mark, index);

	mark->there = op->result == ENGINE_OK;
	pool_done(mark->pool);
	mark->done(mark);
}

static void body_mark_found(struct engine_op *op)
{
	struct pool_mark *mark = CONTAINER((struct engine_stat *)op, struct pool_mark, stat);

	mark->there = op->result == ENGINE_OK;
	pool_done(mark->pool);
	mark->done(mark);
}

void pool_look_for_mark(struct pool *pool, enum engine_pool which, struct pool_mark *mark)
{
	mark->pool = pool;
	pool_begin(pool);
	if (which == ENGINE_BODIES) {
		mark->stat.op.done = body_mark_found;
		engine_stat(pool->engine, mark_name, &mark->stat);
		return;
	}
	mark->index = (struct engine_index){.op.done = mark_found};
	engine_index(pool->engine, mark_name, &mark->index);
}

struct later {
	struct loop_later call;
	struct pool *pool;
	struct store_op *op;
};

static void end_later(struct loop_later *call)
{
	struct later *later = CONTAINER(call, struct later, call);
	struct store_op *op = later->op;

	pool_done(later->pool);
	free(later);
	op->done(op);
}

void pool_end_later(struct pool *pool, struct store_op *op)
{
	struct later *later = calloc(1, sizeof(*later));

	if (!later)
		abort();
	later->call.run = end_later;
	later->pool = pool;
	later->op = op;
	pool_begin(pool);
	loop_later_add(pool->store.host->loop, &later->call);
}
