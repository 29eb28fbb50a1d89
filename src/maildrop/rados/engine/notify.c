/*
 * See engine.h: notices, by watch and notify of RADOS. A watch is kept by librados: it goes with
 * the object to another OSD, and is lost only where the cluster could not reach this process for
 * WATCH_S. Threads of librados call back.
 */
#include "maildrop/rados/engine/engine_private.h"

#include "base/table.h"

#include <stdlib.h>
#include <string.h>

enum {
	WATCH_S = 15,    /* a process that is gone is waited for so long; librados looks each 5 */
	ANSWER_HEAD = 20 /* octets of an answer in front of its own: who it is from, its size */
};

/* ---- to hear ---- */

static void notice_heard(struct engine_op *op)
{
	struct engine_notice *notice = CONTAINER(op, struct engine_notice, op);
	struct engine *engine = op->engine;

	if (engine->watching && !atomic_load(&engine->watching->is_broken))
		engine->watching->heard(engine->watching, notice);
	else
		engine_acknowledge(engine, &notice, (pop3_span){"", 0});
}

/* In a thread of librados. */
static void hear(void *context, uint64_t id, uint64_t handle, uint64_t sender, void *data,
		 size_t size)
{
	struct engine_watch *watch = context;
	struct engine_notice *notice = calloc(1, sizeof(*notice));

	(void)sender;
	if (!notice)
		abort();
	notice->op = (struct engine_op){.engine = watch->broken.engine, .done = notice_heard};
	notice->id = id;
	notice->handle = handle;
	/* a longer one is of another version: it is acknowledged, and says nothing */
	if (size <= sizeof(notice->data)) {
		if (size)
			memcpy(notice->data, data, size);
		notice->octets = (pop3_span){notice->data, size};
	}
	engine_hand_over(&notice->op);
}

static void is_lost(struct engine_op *op)
{
	struct engine_watch *watch = CONTAINER(op, struct engine_watch, broken);

	if (op->engine->watching == watch)
		watch->lost(watch);
}

/* In a thread of librados; more than once for one watch, perhaps. */
static void broken(void *context, uint64_t handle, int code)
{
	struct engine_watch *watch = context;

	(void)handle;
	(void)code;
	if (!atomic_exchange(&watch->is_broken, true))
		engine_hand_over(&watch->broken);
}

static void forget_done(struct engine_op *op)
{
	free(op);
}

/* Nobody waits for it. */
static void forget(struct engine *engine, uint64_t handle)
{
	struct engine_op *op = calloc(1, sizeof(*op));

	if (!op)
		abort();
	op->done = forget_done;
	if (engine_begin(engine, op, NULL))
		engine_begun(op, rados_aio_unwatch(engine->pools[ENGINE_INDEXES], handle,
						   op->completion));
}

static void unwatch(struct engine *engine)
{
	struct engine_watch *watch = engine->watching;
	struct engine_op *op, *next;

	if (!engine->cluster)
		return;
	engine->watching = NULL;
	if (watch->handle)
		(void)rados_unwatch2(engine->pools[ENGINE_INDEXES], watch->handle);
	(void)rados_watch_flush(engine->cluster);
	for (op = engine_take_ended(engine); op; op = next) {
		next = op->next;
		if (op->done == notice_heard)
			free(CONTAINER(op, struct engine_notice, op));
	}
}

/* librados has forgotten one that failed. */
static void take_watch(struct engine_op *op)
{
	struct engine_watch *watch = CONTAINER(op, struct engine_watch, op);

	if (op->result != ENGINE_OK)
		watch->handle = 0;
}

void engine_watch(struct engine *engine, struct engine_watch *watch)
{
	if (watch->handle)
		forget(engine, watch->handle);
	watch->handle = 0;
	watch->broken = (struct engine_op){.engine = engine, .done = is_lost};
	atomic_store(&watch->is_broken, false);
	engine->watching = watch;
	engine->unwatch = unwatch;
	if (engine_begin(engine, &watch->op, take_watch))
		engine_begun(&watch->op,
			     rados_aio_watch2(engine->pools[ENGINE_INDEXES], watch->name,
					      watch->op.completion, &watch->handle, hear, broken,
					      WATCH_S, watch));
}

void engine_acknowledge(struct engine *engine, struct engine_notice **notice, pop3_span answer)
{
	struct engine_notice *of = *notice;

	*notice = NULL;
	/* it only sends: nobody would know what to do if it failed */
	if (engine->watching && engine->pools[ENGINE_INDEXES])
		(void)rados_notify_ack(engine->pools[ENGINE_INDEXES], engine->watching->name,
				       of->id, of->handle, answer.data, (int)answer.size);
	free(of);
}

/* ---- to tell ---- */

static uint32_t number_at(const char *at)
{
	const unsigned char *octets = (const unsigned char *)at;

	return octets[0] | (uint32_t)octets[1] << 8 | (uint32_t)octets[2] << 16 |
	       (uint32_t)octets[3] << 24;
}

/* Answers are there even where somebody did not answer in time. */
static void take_answers(struct engine_op *op)
{
	struct engine_notify *notify = CONTAINER(op, struct engine_notify, op);

	notify->at = 4;
	if (notify->answers && notify->size >= notify->at)
		notify->left = number_at(notify->answers);
}

void engine_notify(struct engine *engine, const char *name, pop3_span octets, unsigned timeout_ms,
		   struct engine_notify *notify)
{
	notify->answers = NULL;
	notify->size = notify->at = 0;
	notify->left = 0;
	if (engine_begin(engine, &notify->op, take_answers))
		engine_begun(&notify->op,
			     rados_aio_notify(engine->pools[ENGINE_INDEXES], name,
					      notify->op.completion, octets.data, (int)octets.size,
					      timeout_ms, &notify->answers, &notify->size));
}

bool engine_notify_answer(struct engine_notify *notify, pop3_span *ret)
{
	while (notify->left) {
		const char *head = notify->answers + notify->at;
		size_t room = notify->size - notify->at, size;

		notify->left--;
		if (room < ANSWER_HEAD)
			break;
		size = number_at(head + ANSWER_HEAD - 4);
		if (size > room - ANSWER_HEAD)
			break;
		notify->at += ANSWER_HEAD + size;
		*ret = (pop3_span){head + ANSWER_HEAD, size};
		if (size)
			return true;
	}
	notify->left = 0;
	return false;
}

void engine_notify_finish(struct engine_notify *notify)
{
	rados_buffer_free(notify->answers);
	notify->answers = NULL;
}
