/* See follow.h. */
#include "server/control/follow.h"

#include "base/text.h"
#include "server/control/tracing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LOOK_MS = 200 /* between two looks for new lines */ };

void follow_begin(struct caller *caller)
{
	struct control *control = caller->control;

	caller->follows = true;
	loop_deadline_cancel(&caller->client.deadline);
	caller->next_tracer = control->tracers;
	control->tracers = caller;
	loop_timer_set(&control->look, LOOK_MS);
}

void follow_stop(struct caller *caller)
{
	struct caller **at = &caller->control->tracers;
	struct ipc_trace stop = {.id = caller->trace_id, .uid = caller->uid};
	pop3_span user = {caller->target, caller->target_size};
	bool logins;

	if (!caller->tracing)
		return;
	while (caller->follows && *at != caller)
		at = &(*at)->next_tracer;
	if (caller->follows)
		*at = caller->next_tracer;
	caller->follows = false;
	logins = caller->tracing->logins;
	free(caller->tracing);
	caller->tracing = NULL;
	if (logins)
		return;
	for (struct peer *peer = caller->control->frame.child->peers; peer; peer = peer->next)
		if (peer->role == ROLE_AUTH)
			peer_send_texts(peer, IPC_TRACE, &stop, &user, 1);
}

/* Traces go on with a generation whose auth came behind this process: nobody waits for the answer,
 * and auth judges the person as it does at first. */
void follow_auth_up(struct control *control, struct peer *auth)
{
	uint64_t now = loop_now(control->frame.child->loop);

	for (struct caller *caller = control->tracers; caller; caller = caller->next_tracer) {
		pop3_span target = {caller->target, caller->target_size};
		struct ipc_trace message = {.id = caller->trace_id, .uid = caller->uid};

		if (caller->tracing->logins || caller->tracing->until <= now)
			continue;
		message.seconds = (uint32_t)((caller->tracing->until - now + 999) / 1000);
		peer_send_texts(auth, IPC_TRACE, &message, &target, 1);
	}
}

void follow_traced(struct control *control, const struct peer *auth,
		   const struct ipc_traced *message)
{
	struct caller *caller = caller_waiting(control, message->number, auth, STEP_TRACE);

	if (!caller)
		return;
	if (message->status == WHO_END) {
		caller_page_was_last(caller);
		conn_wake(&caller->client.conn);
		return;
	}
	follow_stop(caller);
	caller_conclude(caller, "error",
			message->status == WHO_REFUSED
				? "that is for root"
				: "that user cannot be traced: the name is too long");
}

/* A client that has not taken what it got gets no more: the ring is written on meanwhile. */
static void look_for(struct caller *caller)
{
	struct control *control = caller->control;
	bool over = caller->tracing->until <= loop_now(control->frame.child->loop);
	char *lines, count[32];
	size_t size;

	if (caller->out)
		return;
	lines = tracing_collect(caller->tracing, &control->rings, &size);
	if (size) {
		caller_say(caller, lines, size);
	} else if (over) {
		snprintf(count, sizeof(count), "%llu", (unsigned long long)caller->tracing->lines);
		follow_stop(caller);
		caller_conclude(caller, "end", count);
	}
}

static void look(struct loop_timer *timer)
{
	struct control *control = timer->context;
	struct caller *caller = control->tracers, *next;

	for (; caller; caller = next) {
		next = caller->next_tracer;
		look_for(caller);
	}
	if (control->tracers)
		loop_timer_set(&control->look, LOOK_MS);
}

const char *follow_take(struct caller *caller)
{
	const char *blank = memchr(caller->target, ' ', caller->target_size);
	size_t digits = blank ? (size_t)(blank - caller->target) : 0;
	uint64_t seconds;

	if (!blank || digits + 1 == caller->target_size ||
	    span_number((pop3_span){caller->target, digits}, IPC_TRACE_SECONDS_MAX, &seconds) < 0 ||
	    !seconds)
		return "trace needs seconds and a user";
	caller->target_size -= digits + 1;
	memmove(caller->target, blank + 1, caller->target_size);
	caller->trace_seconds = (uint32_t)seconds;
	caller->trace_id = caller->control->frame.child->instance << 16 |
			   (++caller->control->last_number & 0xffff);
	caller->tracing =
		tracing_begin(&caller->control->rings, caller->trace_id,
			      loop_now(caller->control->frame.child->loop) + seconds * 1000ull);
	return caller->tracing ? NULL : "control has no memory for a trace";
}

void follow_init(struct control *control)
{
	loop_timer_init(&control->look, control->frame.child->loop, look, control);
}
