/*
 * A queue of things to do at the end of a turn: intrusive, in order of arrival. For loop.c only,
 * which has three of them.
 */
#ifndef SYS_LOOP_QUEUE_H
#define SYS_LOOP_QUEUE_H

#include "sys/loop.h"

struct loop_queue {
	struct loop_later *first, **end;
};

void loop_queue_init(struct loop_queue *queue);
/* Nothing if it is in this queue or another one. */
void loop_queue_add(struct loop_queue *queue, struct loop_later *later);
/* Runs what the queue holds now. What is added meanwhile waits for the next time, so that busy
 * callers cannot keep the loop from the descriptors; cancelling works on both. */
void loop_queue_run(struct loop_queue *queue);
void loop_queue_run_one(struct loop_queue *queue);
/* Takes it out of the queue it is in, if any. */
void loop_queue_remove(struct loop_later *later);

#endif
