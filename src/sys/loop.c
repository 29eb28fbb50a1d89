/* See loop.h. Every process; one thread. libevent's epoll backend does the waiting; the end of a
 * turn, which it does not know, is done here. */
#include "sys/loop.h"

#include "base/log.h"
#include "sys/loop_queue.h"

#include <event2/event.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

enum { URGENT, COMMON, PRIORITIES }; /* COMMON is the library's default */

struct clock {
	uint64_t now;
	bool known;
};

struct loop {
	struct event_base *base;
	struct clock *clock; /* behind a pointer: reading the time does not change the loop */
	struct clock clock_storage;
	struct loop_queue soon, last, slow; /* for the end of this turn; slow: one of them a turn */
	void *scratch[LOOP_SCRATCHES];
	size_t scratch_size[LOOP_SCRATCHES];
	bool stopped;
};

/* The library's own messages; every failure is also returned by the call. */
static void log_event(int severity, const char *text)
{
	log_write(severity == EVENT_LOG_ERR ? LOG_LEVEL_ERROR : LOG_LEVEL_DEBUG, "libevent: %s",
		  text);
}

struct loop *loop_create(struct err *err)
{
	struct event_config *config = event_config_new();
	struct loop *loop = calloc(1, sizeof(*loop));

	if (!config || !loop)
		goto fail;
	event_set_log_callback(log_event);
	/* no locks: one thread, workers come back through an eventfd */
	event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
	event_config_set_flag(config, EVENT_BASE_FLAG_IGNORE_ENV);
	event_config_require_features(config, EV_FEATURE_ET | EV_FEATURE_O1);
	loop->base = event_base_new_with_config(config);
	if (!loop->base || event_base_priority_init(loop->base, PRIORITIES) < 0)
		goto fail;
	event_config_free(config);
	loop->clock = &loop->clock_storage;
	loop_queue_init(&loop->soon);
	loop_queue_init(&loop->last);
	loop_queue_init(&loop->slow);
	signal(SIGPIPE, SIG_IGN); /* sendfile has no flag for it */
	return loop;
fail:
	if (config)
		event_config_free(config);
	free(loop);
	err_set(err, EX_OSERR, "cannot make an event loop");
	return NULL;
}

void loop_destroy(struct loop *loop)
{
	if (!loop)
		return;
	event_base_free(loop->base);
	for (int i = 0; i < LOOP_SCRATCHES; i++)
		free(loop->scratch[i]);
	free(loop);
}

static void run_laters(struct loop *loop)
{
	loop_queue_run(&loop->soon);
	loop_queue_run(&loop->last);
	loop_queue_run_one(&loop->slow);
}

static bool waits(const struct loop *loop)
{
	return loop->soon.first || loop->last.first || loop->slow.first;
}

void loop_run(struct loop *loop)
{
	loop->stopped = false;
	run_laters(loop); /* added before the first turn */
	while (!loop->stopped) {
		int flags = waits(loop) ? EVLOOP_ONCE | EVLOOP_NONBLOCK : EVLOOP_ONCE;

		loop->clock->known = false;
		if (event_base_loop(loop->base, flags) != 0 && !waits(loop))
			break; /* no event is left to wait for */
		run_laters(loop);
	}
}

struct event_base *loop_base(struct loop *loop)
{
	return loop->base;
}

void loop_stop(struct loop *loop)
{
	loop->stopped = true;
}

uint64_t loop_now(const struct loop *loop)
{
	struct clock *clock = loop->clock;
	struct timespec ts;

	if (!clock->known) {
		clock_gettime(CLOCK_MONOTONIC, &ts);
		clock->now = (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
		clock->known = true;
	}
	return clock->now;
}

void *loop_scratch(struct loop *loop, enum loop_scratch which, size_t size)
{
	if (loop->scratch_size[which] < size) {
		void *fresh = malloc(size);

		if (!fresh)
			return NULL;
		free(loop->scratch[which]);
		loop->scratch[which] = fresh;
		loop->scratch_size[which] = size;
	}
	return loop->scratch[which];
}

static void watch_event(evutil_socket_t fd, short what, void *arg)
{
	struct loop_watch *watch = arg;
	int ready = 0;

	(void)fd;
	if (watch->wanted & LOOP_HANGUP) {
		ready = LOOP_HANGUP;
	} else {
		if (what & EV_READ)
			ready |= LOOP_READ;
		if (what & EV_WRITE)
			ready |= LOOP_WRITE;
	}
	if (ready)
		watch->ready(watch, ready);
}

void loop_watch_init(struct loop_watch *watch, struct loop *loop, int fd,
		     void (*ready)(struct loop_watch *, int what), void *context)
{
	memset(watch, 0, sizeof(*watch));
	watch->loop = loop;
	watch->fd = fd;
	watch->ready = ready;
	watch->context = context;
}

int loop_watch_want(struct loop_watch *watch, int what)
{
	short events = EV_PERSIST;

	if (watch->wanted == what)
		return 0;
	if (watch->added)
		event_del(&watch->event);
	watch->added = false;
	watch->wanted = 0;
	if (!what)
		return 0;
	if (what & LOOP_READ)
		events |= EV_READ;
	if (what & LOOP_WRITE)
		events |= EV_WRITE;
	/* libevent reports an error or a reset as readable and writable, never as EV_CLOSED, so
	 * only an edge of EV_READ is sure to come and does not come again and again */
	if (what & LOOP_HANGUP)
		events = EV_PERSIST | EV_READ | EV_CLOSED | EV_ET;
	event_assign(&watch->event, watch->loop->base, watch->fd, events, watch_event, watch);
	if (watch->urgent)
		event_priority_set(&watch->event, URGENT);
	if (event_add(&watch->event, NULL) < 0)
		return -1;
	watch->added = true;
	watch->wanted = (uint8_t)what;
	return 0;
}

int loop_watch_urgent(struct loop_watch *watch)
{
	int wanted = watch->wanted;

	watch->urgent = true;
	return loop_watch_want(watch, 0) < 0 ? -1 : loop_watch_want(watch, wanted);
}

void loop_watch_finish(struct loop_watch *watch)
{
	if (watch->added)
		event_del(&watch->event);
	watch->added = false;
	watch->wanted = 0;
}

static void timer_event(evutil_socket_t fd, short what, void *arg)
{
	struct loop_timer *timer = arg;

	(void)fd;
	(void)what;
	timer->fired(timer);
}

void loop_timer_init(struct loop_timer *timer, struct loop *loop,
		     void (*fired)(struct loop_timer *), void *context)
{
	timer->loop = loop;
	timer->fired = fired;
	timer->context = context;
	event_assign(&timer->event, loop->base, -1, 0, timer_event, timer);
}

void loop_timer_set(struct loop_timer *timer, uint64_t ms)
{
	struct timeval tv = {.tv_sec = (time_t)(ms / 1000), .tv_usec = (long)(ms % 1000) * 1000};

	event_add(&timer->event, &tv);
}

void loop_timer_cancel(struct loop_timer *timer)
{
	event_del(&timer->event);
}

static void signal_event(evutil_socket_t number, short what, void *arg)
{
	struct loop_signal *sig = arg;

	(void)what;
	sig->caught(sig, (int)number);
}

void loop_signal_init(struct loop_signal *sig, struct loop *loop, int number,
		      void (*caught)(struct loop_signal *, int number), void *context)
{
	sig->loop = loop;
	sig->caught = caught;
	sig->context = context;
	event_assign(&sig->event, loop->base, number, EV_SIGNAL | EV_PERSIST, signal_event, sig);
	event_add(&sig->event, NULL);
}

void loop_signal_finish(struct loop_signal *sig)
{
	event_del(&sig->event);
}

void loop_later_add(struct loop *loop, struct loop_later *later)
{
	loop_queue_add(&loop->soon, later);
}

void loop_later_add_last(struct loop *loop, struct loop_later *later)
{
	loop_queue_add(&loop->last, later);
}

void loop_later_add_slow(struct loop *loop, struct loop_later *later)
{
	loop_queue_add(&loop->slow, later);
}

bool loop_slow_waits(const struct loop *loop)
{
	return loop->slow.first != NULL;
}

void loop_later_cancel(struct loop_later *later)
{
	loop_queue_remove(later);
}
