/* See loop_queue.h. Every process; the loop's thread. */
#include "sys/loop_queue.h"

void loop_queue_init(struct loop_queue *queue)
{
	queue->first = NULL;
	queue->end = &queue->first;
}

void loop_queue_add(struct loop_queue *queue, struct loop_later *later)
{
	if (later->queue)
		return;
	later->queue = queue;
	later->next = NULL;
	later->link = queue->end;
	*queue->end = later;
	queue->end = &later->next;
}

void loop_queue_remove(struct loop_later *later)
{
	if (!later->queue)
		return;
	*later->link = later->next;
	if (later->next)
		later->next->link = later->link;
	else if (later->queue->end == &later->next)
		later->queue->end = later->link;
	later->queue = NULL;
}

void loop_queue_run(struct loop_queue *queue)
{
	struct loop_later *running = queue->first, *later;

	if (!running)
		return;
	running->link = &running; /* so that loop_queue_remove finds the head of this list */
	loop_queue_init(queue);
	while ((later = running) != NULL) {
		loop_queue_remove(later);
		later->run(later);
	}
}

void loop_queue_run_one(struct loop_queue *queue)
{
	struct loop_later *later = queue->first;

	if (!later)
		return;
	loop_queue_remove(later);
	later->run(later);
}
