/* What the files of the engine share: the connection, and how operations begin and end. */
#ifndef MAILDROP_RADOS_ENGINE_ENGINE_PRIVATE_H
#define MAILDROP_RADOS_ENGINE_ENGINE_PRIVATE_H

#include "maildrop/rados/engine/engine.h"
#include "sys/loop.h"

#include <pthread.h>
#include <rados/librados.h>

struct engine {
	rados_t cluster;
	rados_ioctx_t pools[2]; /* enum engine_pool */
	struct loop *loop;      /* NULL: none */
	struct loop_watch watch;
	int event_fd;
	char *conf, *names[2], *user;
	unsigned timeout_ms;
	int (*check)(struct engine *engine, void *context, struct err *err);
	void *check_context;
	pthread_t thread;
	pthread_mutex_t mutex; /* of all below */
	pthread_cond_t changed;
	struct engine_op *ended, **last;
	bool connected, tried, stop;
	struct err why; /* it is not connected */
	/* on the loop alone (notify.c) */
	struct engine_watch *watching; /* NULL: no object is watched */
	/* Before the connection ends: nothing is heard any more. Waits. */
	void (*unwatch)(struct engine *engine);
};

/* The operation has ended: done() follows, on the loop. In any thread. */
void engine_hand_over(struct engine_op *op);
/* False: it has ended already, and done() follows. */
bool engine_begin(struct engine *engine, struct engine_op *op, void (*take)(struct engine_op *op));
/* What the call of librados that begins the operation returned. */
void engine_begun(struct engine_op *op, int result);
/* What has ended, first to last; none of it is on the list any more. */
struct engine_op *engine_take_ended(struct engine *engine);

#endif
