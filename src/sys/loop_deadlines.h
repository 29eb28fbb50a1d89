/*
 * Deadlines of many things with the same duration: a list in order of expiry, one timer for all,
 * O(1) to renew. A duration of 0 means never. Embedded; one thread, that of the loop.
 */
#ifndef SYS_LOOP_DEADLINES_H
#define SYS_LOOP_DEADLINES_H

#include "sys/loop.h"

struct loop_deadline {
	struct loop_deadline *prev, *next; /* NULL: in no list */
	uint64_t at;
};

struct loop_deadlines {
	struct loop_deadline head;
	struct loop_timer timer;
	struct loop *loop;
	uint64_t duration; /* ms */
	/* Called with the deadline in no list; may renew or cancel any. */
	void (*expired)(struct loop_deadlines *deadlines, struct loop_deadline *deadline);
	void *context;
	bool timing; /* the timer is set */
};

void loop_deadlines_init(struct loop_deadlines *deadlines, struct loop *loop, uint64_t ms,
			 void (*expired)(struct loop_deadlines *, struct loop_deadline *),
			 void *context);
void loop_deadlines_finish(struct loop_deadlines *deadlines); /* not from inside expired() */
void loop_deadline_init(struct loop_deadline *deadline);      /* in no list */
/* Moves the deadline from any list to the end of this one. */
void loop_deadline_renew(struct loop_deadlines *deadlines, struct loop_deadline *deadline);
/* The one that expires first. NULL: there is none, or the duration is 0. */
struct loop_deadline *loop_deadlines_first(const struct loop_deadlines *deadlines);
void loop_deadline_cancel(struct loop_deadline *deadline);

#endif
