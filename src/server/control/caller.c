/* See caller.h. */
#include "server/control/caller.h"

#include <stdio.h>
#include <stdlib.h>

void caller_answered(struct caller *caller)
{
	if (!caller->asked)
		return;
	caller->asked = false;
	table_remove(&caller->control->questions, &caller->question);
	loop_deadline_cancel(&caller->answer);
}

void caller_say(struct caller *caller, char *lines, size_t size)
{
	if (!lines) {
		conn_abort(&caller->client.conn);
		return;
	}
	caller->out = lines;
	caller->out_size = size;
	caller->out_at = 0;
	loop_deadline_renew(&caller->control->idle, &caller->client.deadline);
	conn_wake(&caller->client.conn);
}

void caller_conclude(struct caller *caller, const char *kind, const char *words)
{
	char *line = malloc(CALLER_LAST_LINE_MAX);
	int size = line ? snprintf(line, CALLER_LAST_LINE_MAX, "%s\t%s\n", kind, words) : 0;

	caller->runs = false;
	caller->over |= caller->control->frame.child->draining;
	caller_say(caller, line, (size_t)size);
}

void caller_fail(struct caller *caller, pop3_span words, uint32_t code)
{
	char text[CALLER_LAST_LINE_MAX - 32];

	if (code)
		snprintf(text, sizeof(text), "%.*s\t%u", (int)words.size, words.data, code);
	else
		snprintf(text, sizeof(text), "%.*s", (int)words.size, words.data);
	caller_conclude(caller, "error", text);
}

enum step_kind caller_kind(const struct caller *caller)
{
	return caller->row->steps[caller->step].kind;
}

bool caller_asks_monitor(const struct caller *caller)
{
	return caller_kind(caller) == STEP_MONITOR || caller_kind(caller) == STEP_BAN;
}

uint64_t caller_asking(struct caller *caller, struct loop_deadlines *deadlines)
{
	struct control *control = caller->control;

	caller->asked = true;
	table_add(&control->questions, &caller->question, ++control->last_number);
	loop_deadline_renew(deadlines, &caller->answer);
	loop_deadline_cancel(&caller->client.deadline); /* it is we who are slow */
	return control->last_number;
}

void caller_next_step(struct caller *caller)
{
	caller->step++;
	caller->auth = caller->cursor[0] = caller->cursor[1] = 0;
}

void caller_refuse(struct caller *caller)
{
	caller_conclude(caller, "error",
			"that is for root and the members of control.group, see valija.conf(5)");
}

void caller_page_was_last(struct caller *caller)
{
	if (caller_asks_monitor(caller) || caller_kind(caller) == STEP_PENALTIES) {
		caller_next_step(caller);
		return;
	}
	caller->auth++;
	caller->cursor[0] = caller->cursor[1] = 0;
}

struct caller *caller_waiting(struct control *control, uint64_t number, const struct peer *auth,
			      enum step_kind kind)
{
	struct table_node *node = table_find(&control->questions, number);
	struct caller *caller = node ? CONTAINER(node, struct caller, question) : NULL;

	if (!caller || caller_kind(caller) != kind || (auth && caller->auth != auth->instance))
		return NULL;
	caller_answered(caller);
	return caller;
}

struct peer *caller_auth_from(const struct child *child, uint64_t instance)
{
	struct peer *found = NULL;

	for (struct peer *peer = child->peers; peer; peer = peer->next)
		if (peer->role == ROLE_AUTH && peer->instance >= instance &&
		    (!found || peer->instance < found->instance))
			found = peer;
	return found;
}
