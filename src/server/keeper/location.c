/* See location.h. */
#include "server/keeper/location.h"

#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>

struct question {
	struct table_node node;   /* key: its number */
	struct loop_timer refuse; /* where it cannot be sent */
	struct keeper *keeper;
	keeper_located *located;
	void *context;
};

static int post(struct keeper *keeper, enum ipc_location_ask ask, uint64_t number,
		const struct keeper_lane *lane)
{
	struct ipc_location message = {.number = number, .ask = ask};
	pop3_span path = span_of(lane->path);

	return ipc_send_texts(&keeper->child->monitor, IPC_LOCATION, &message, &path, 1);
}

static void finish(struct question *question, bool allowed, const char *why)
{
	struct keeper *keeper = question->keeper;

	table_remove(&keeper->questions, &question->node);
	loop_timer_cancel(&question->refuse);
	question->located(question->context, allowed, why);
	free(question);
	keeper_job_over(keeper);
}

static void refuse(struct loop_timer *timer)
{
	finish(timer->context, false, "the monitor takes no question about it");
}

void keeper_location_ask(struct keeper *keeper, enum ipc_location_ask ask,
			 const struct keeper_lane *lane, keeper_located *located, void *context)
{
	struct question *question = calloc(1, sizeof(*question));

	if (!question)
		abort();
	question->keeper = keeper;
	question->located = located;
	question->context = context;
	loop_timer_init(&question->refuse, keeper->child->loop, refuse, question);
	table_add(&keeper->questions, &question->node, ++keeper->question_number);
	keeper->busy++;
	if (post(keeper, ask, question->node.key, lane) < 0)
		loop_timer_set(&question->refuse, 0);
}

void keeper_location_answer(struct keeper *keeper, const struct ipc_location_answer *message)
{
	struct table_node *node = table_find(&keeper->questions, message->number);
	char why[IPC_TEXT_MAX + 1];

	if (!node)
		return; /* it was refused meanwhile */
	(void)span_copy(ipc_text(message, 0), why, sizeof(why));
	finish(CONTAINER(node, struct question, node), message->allowed != 0, why);
}

void keeper_location_seen(struct keeper *keeper, const struct keeper_lane *lane)
{
	uint64_t *seen = &keeper->seen[lane->node.key % KEEPER_SEEN];

	if (*seen != lane->node.key && post(keeper, LOCATION_SEEN, 0, lane) == 0)
		*seen = lane->node.key;
}
