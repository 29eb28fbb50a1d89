/* See loop_deadlines.h. Every process; the loop's thread. */
#include "sys/loop_deadlines.h"

#include <string.h>

static void deadline_unlink(struct loop_deadline *deadline)
{
	if (!deadline->next)
		return;
	deadline->prev->next = deadline->next;
	deadline->next->prev = deadline->prev;
	deadline->prev = deadline->next = NULL;
}

static void set_timer(struct loop_deadlines *deadlines, uint64_t ms)
{
	deadlines->timing = true;
	loop_timer_set(&deadlines->timer, ms);
}

static void deadlines_fired(struct loop_timer *timer)
{
	struct loop_deadlines *deadlines = timer->context;
	struct loop_deadline *head = &deadlines->head, *first;
	uint64_t now = loop_now(timer->loop);

	deadlines->timing = false;
	/* expired() may renew or cancel any of them, but not finish the whole */
	while ((first = head->next) != head && first->at <= now) {
		deadline_unlink(first);
		deadlines->expired(deadlines, first);
	}
	if (head->next != head)
		set_timer(deadlines, head->next->at - now);
}

void loop_deadlines_init(struct loop_deadlines *deadlines, struct loop *loop, uint64_t ms,
			 void (*expired)(struct loop_deadlines *, struct loop_deadline *),
			 void *context)
{
	deadlines->head.prev = deadlines->head.next = &deadlines->head;
	deadlines->loop = loop;
	deadlines->duration = ms;
	deadlines->timing = false;
	deadlines->expired = expired;
	deadlines->context = context;
	loop_timer_init(&deadlines->timer, loop, deadlines_fired, deadlines);
}

void loop_deadlines_finish(struct loop_deadlines *deadlines)
{
	while (deadlines->head.next != &deadlines->head)
		deadline_unlink(deadlines->head.next);
	loop_timer_cancel(&deadlines->timer);
	deadlines->timing = false;
}

void loop_deadline_init(struct loop_deadline *deadline)
{
	memset(deadline, 0, sizeof(*deadline));
}

void loop_deadline_renew(struct loop_deadlines *deadlines, struct loop_deadline *deadline)
{
	struct loop_deadline *head = &deadlines->head;

	deadline_unlink(deadline);
	if (!deadlines->duration)
		return;
	deadline->at = loop_now(deadlines->loop) + deadlines->duration;
	deadline->prev = head->prev;
	deadline->next = head;
	head->prev->next = deadline;
	head->prev = deadline;
	/* renewing others leaves the timer alone: it fires early at worst and is set again */
	if (!deadlines->timing)
		set_timer(deadlines, deadlines->duration);
}

struct loop_deadline *loop_deadlines_first(const struct loop_deadlines *deadlines)
{
	return deadlines->head.next == &deadlines->head ? NULL : deadlines->head.next;
}

void loop_deadline_cancel(struct loop_deadline *deadline)
{
	deadline_unlink(deadline);
}
