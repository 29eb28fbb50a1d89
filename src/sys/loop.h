/*
 * The event loop of a process: descriptors, timers, signals, and calls at the end of this turn. A
 * turn is one look at all descriptors and timers, the calls they cause, then the calls that were
 * added for its end. libevent (core) stays behind this file. One loop a process, used by one
 * thread; results of worker threads come back through workers.h.
 */
#ifndef SYS_LOOP_H
#define SYS_LOOP_H

#include "base/err.h"

#include <event2/event_struct.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct loop;

struct loop *loop_create(struct err *err); /* SIGPIPE is ignored from here on */
/* Frees the loop, or nothing (NULL). Watches and timers on it stay their owners' memory and are not
 * called any more. */
void loop_destroy(struct loop *loop);
void loop_run(struct loop *loop); /* until loop_stop */
void loop_stop(struct loop *loop);
/* libevent's own, for what else of that library runs on this loop (server/status/http.c). */
struct event_base *loop_base(struct loop *loop);
uint64_t loop_now(const struct loop *loop); /* milliseconds, monotonic, as of this turn */

/* Storage that all users on this loop share, each for the time of one call: nothing survives a
 * return to the loop. Allocated at first use, aligned for any type; NULL: out of memory. */
enum loop_scratch { LOOP_SCRATCH_OUTPUT, LOOP_SCRATCH_INPUT, LOOP_SCRATCH_PACKET, LOOP_SCRATCHES };
void *loop_scratch(struct loop *loop, enum loop_scratch which, size_t size);

/* One descriptor. Embedded; fires as long as it is wanted and ready (level). The descriptor stays
 * the caller's. LOOP_HANGUP is wanted alone: ready() is then called with it on every edge, always
 * after the peer hung up, but also when octets came in: poll(2) tells the two apart. */
enum { LOOP_READ = 1, LOOP_WRITE = 2, LOOP_HANGUP = 4 };
struct loop_watch {
	struct event event;
	struct loop *loop;
	void (*ready)(struct loop_watch *watch, int what);
	void *context;
	int fd;
	uint8_t wanted;
	bool added, urgent;
};
void loop_watch_init(struct loop_watch *watch, struct loop *loop, int fd,
		     void (*ready)(struct loop_watch *, int what), void *context);
/* 0: nothing. Makes system calls only when what is wanted changes. -1: not watched any more. */
int loop_watch_want(struct loop_watch *watch, int what);
/* From now on ready() is called before those of all others in a turn. -1: not watched any more. */
int loop_watch_urgent(struct loop_watch *watch);
void loop_watch_finish(struct loop_watch *watch);

/* A timer, fires once. Embedded. */
struct loop_timer {
	struct event event;
	struct loop *loop;
	void (*fired)(struct loop_timer *timer);
	void *context;
};
void loop_timer_init(struct loop_timer *timer, struct loop *loop,
		     void (*fired)(struct loop_timer *), void *context);
void loop_timer_set(struct loop_timer *timer, uint64_t ms);
void loop_timer_cancel(struct loop_timer *timer); /* also finishes it */

/* Signals of the process, delivered in the loop. */
struct loop_signal {
	struct event event;
	struct loop *loop;
	void (*caught)(struct loop_signal *sig, int number);
	void *context;
};
void loop_signal_init(struct loop_signal *sig, struct loop *loop, int number,
		      void (*caught)(struct loop_signal *, int number), void *context);
void loop_signal_finish(struct loop_signal *sig);

/* A call at the end of this turn (before the loop waits again), once. Embedded, intrusive; adding
 * twice is once. Added from inside a run: it runs at the end of the next turn. */
struct loop_later {
	struct loop_later *next, **link;
	void (*run)(struct loop_later *later);
	void *context;
	struct loop_queue *queue; /* NULL: in none */
};
void loop_later_add(struct loop *loop, struct loop_later *later);
/* The same, behind all of those, in this turn even when one of them adds it: for work that gathers
 * during a turn. */
void loop_later_add_last(struct loop *loop, struct loop_later *later);
/* The same for work that takes long (a TLS handshake costs as much as three logins): it runs behind
 * the others, in order of arrival, one a turn, so that all other work waits for one of them at
 * most. */
void loop_later_add_slow(struct loop *loop, struct loop_later *later);
bool loop_slow_waits(const struct loop *loop); /* slow work is queued */
void loop_later_cancel(struct loop_later *later);

#endif
