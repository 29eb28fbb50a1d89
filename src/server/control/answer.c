/* See answer.h. */
#include "server/control/answer.h"

#include "server/control/ban.h"
#include "server/control/caller.h"
#include "server/control/page.h"

#include <stdlib.h>
#include <string.h>

static void take_page(struct caller *caller, const struct ipc_who_page *page)
{
	size_t size;
	char *lines;

	switch ((enum ipc_who_status)page->status) {
	case WHO_REFUSED:
		caller_refuse(caller);
		return;
	case WHO_FAILED:
		caller_conclude(caller, "error", "auth has no memory for the answer");
		return;
	case WHO_END:
		caller_page_was_last(caller);
		break;
	case WHO_MORE:
		caller->cursor[0] = page->front;
		caller->cursor[1] = page->cursor;
		break;
	case WHO_STATUSES:
		break;
	}
	caller->count += page->count;
	if (page->count) {
		lines = page_render(page, &size);
		caller_say(caller, lines, size);
	} else {
		conn_wake(&caller->client.conn);
	}
}

static void take_lines(struct caller *caller, const struct ipc_lines *message)
{
	size_t size = message->head.tail;
	char *copy;

	switch ((enum ipc_lines_status)message->status) {
	case LINES_REFUSED:
		caller_refuse(caller);
		return;
	case LINES_FAILED:
		caller_fail(caller, (pop3_span){ipc_tail(message), size}, message->code);
		return;
	case LINES_END:
		caller_page_was_last(caller);
		break;
	case LINES_MORE:
		memcpy(caller->cursor, message->cursor, sizeof(caller->cursor));
		break;
	case LINES_STATUSES:
		break;
	}
	caller->count += message->count;
	if (!size) {
		conn_wake(&caller->client.conn);
		return;
	}
	copy = malloc(size);
	if (copy)
		memcpy(copy, ipc_tail(message), size);
	caller_say(caller, copy, size);
}

void answer_page(struct control *control, const struct peer *auth,
		 const struct ipc_who_page *message)
{
	struct caller *caller = caller_waiting(control, message->number, auth, STEP_WHO);

	if (caller)
		take_page(caller, message);
}

void answer_lines(struct control *control, const struct peer *auth, const struct ipc_lines *message)
{
	struct caller *caller =
		caller_waiting(control, message->number, auth, auth ? STEP_AUTH : STEP_MONITOR);

	if (caller)
		take_lines(caller, message);
}

void answer_flushed(struct control *control, const struct peer *auth,
		    const struct ipc_flushed *message)
{
	struct caller *caller = caller_waiting(control, message->number, auth, STEP_FLUSH);

	if (!caller)
		return;
	if (message->status == WHO_REFUSED) {
		caller_refuse(caller);
		return;
	}
	caller->count += message->count;
	caller_page_was_last(caller); /* another generation's is next, perhaps */
	conn_wake(&caller->client.conn);
}

static void say_lines(struct caller *caller, char *lines, size_t size)
{
	if (size || !lines) {
		caller_say(caller, lines, size);
	} else {
		free(lines);
		conn_wake(&caller->client.conn);
	}
}

void answer_penalties(struct control *control, const struct peer *auth,
		      const struct ipc_penalty_page *message)
{
	struct caller *caller = caller_waiting(control, message->number, auth, STEP_PENALTIES);
	size_t size = 0;
	char *lines;

	if (!caller)
		return;
	if (message->status == WHO_REFUSED) {
		caller_refuse(caller);
		return;
	}
	caller->count += message->count;
	caller->cursor[0] = message->cursor;
	if (message->status != WHO_MORE)
		caller_page_was_last(caller);
	lines = penalties_render(message, &size);
	say_lines(caller, lines, size);
}

void answer_ban_page(struct control *control, const struct ipc_ban_page *page)
{
	struct caller *caller = caller_waiting(control, page->number, NULL, STEP_BAN);
	const char *refusal = ban_refusal(page);
	size_t size = 0;
	char *lines;

	if (!caller)
		return;
	if (refusal) {
		caller_conclude(caller, "error", refusal);
		return;
	}
	caller->count += page->count;
	if (page->status == BAN_OK)
		caller_page_was_last(caller);
	lines = ban_render(page, &caller->ban, &size);
	say_lines(caller, lines, size);
}

struct loss {
	const struct peer *auth;
};

static void lose_one(struct table_node *node, void *context)
{
	struct caller *caller = CONTAINER(node, struct caller, question);
	const struct loss *loss = context;

	if (caller_asks_monitor(caller) || caller->auth != loss->auth->instance)
		return;
	caller_answered(caller);
	if (caller->row->steps[caller->step].what == TOPIC_COUNTS &&
	    caller_kind(caller) == STEP_AUTH) { /* its sessions are gone with it */
		caller_page_was_last(caller);
		conn_wake(&caller->client.conn);
		return;
	}
	caller_conclude(caller, "error", "an auth process ended meanwhile: try again");
}

void answer_auth_gone(struct control *control, const struct peer *auth)
{
	struct loss loss = {auth};

	table_each(&control->questions, lose_one, &loss);
}

void answer_late(struct loop_deadlines *deadlines, struct loop_deadline *deadline)
{
	struct caller *caller = CONTAINER(deadline, struct caller, answer);

	(void)deadlines;
	caller_answered(caller);
	caller_conclude(caller, "error",
			caller_asks_monitor(caller) ? "the monitor does not answer: see the log"
						    : "auth does not answer: see the log");
}
