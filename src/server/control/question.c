/* See question.h. */
#include "server/control/question.h"

#include "server/control/explain.h"
#include "server/control/figures.h"
#include "server/control/follow.h"
#include "server/control/tracing.h"
#include "server/lines.h"

#include <stdio.h>
#include <stdlib.h>

static void ask_who(struct caller *caller, struct peer *auth)
{
	struct ipc_who message = {.number = caller_asking(caller, &caller->control->answer),
				  .front = caller->cursor[0],
				  .cursor = caller->cursor[1],
				  .uid = caller->uid,
				  .gid = caller->gid,
				  .act = caller->row->steps[caller->step].what};
	pop3_span target = {caller->target, caller->target_size};

	peer_send_texts(auth, IPC_WHO, &message, &target, 1);
}

static struct ipc_ask question(struct caller *caller, struct loop_deadlines *deadlines)
{
	return (struct ipc_ask){.number = caller_asking(caller, deadlines),
				.cursor = {caller->cursor[0], caller->cursor[1]},
				.topic = caller->row->steps[caller->step].what,
				.uid = caller->uid,
				.gid = caller->gid};
}

static void ask_auth(struct caller *caller, struct peer *auth)
{
	struct ipc_ask message = question(caller, &caller->control->answer);
	pop3_span target = {caller->target, caller->target_size};

	peer_send_texts(auth, IPC_ASK, &message, &target, 1);
}

static void ask_flush(struct caller *caller, struct peer *auth)
{
	struct ipc_flush message = {.number = caller_asking(caller, &caller->control->answer),
				    .uid = caller->uid,
				    .gid = caller->gid};
	pop3_span target = {caller->target, caller->target_size};

	peer_send_texts(auth, IPC_FLUSH, &message, &target, 1);
}

static void ask_trace(struct caller *caller, struct peer *auth)
{
	struct ipc_trace message = {.number = caller_asking(caller, &caller->control->answer),
				    .id = caller->trace_id,
				    .uid = caller->uid,
				    .seconds = caller->trace_seconds};
	pop3_span target = {caller->target, caller->target_size};

	peer_send_texts(auth, IPC_TRACE, &message, &target, 1);
}

static void ask_penalties(struct caller *caller, struct peer *auth)
{
	struct ipc_penalty_ask message = {.number = caller_asking(caller, &caller->control->answer),
					  .cursor = caller->cursor[0],
					  .uid = caller->uid,
					  .gid = caller->gid};

	peer_send(auth, IPC_PENALTY_ASK, &message);
}

/* The monitor has the list of bans. */
static void ask_ban(struct caller *caller)
{
	pop3_span why = {caller->target, caller->target_size};

	caller->ban.number = caller_asking(caller, &caller->control->answer);
	caller->ban.uid = caller->uid;
	caller->ban.gid = caller->gid;
	if (ipc_send_texts(&caller->control->frame.child->monitor, IPC_BAN, &caller->ban, &why, 1) <
	    0) {
		caller_answered(caller);
		caller_conclude(caller, "error", "the server is busy: try again");
	}
}

/* The monitor gets the connection, and so sees itself whose it is. */
static void ask_monitor(struct caller *caller)
{
	struct ipc_ask message = question(caller, &caller->control->patient);
	pop3_span target = {caller->target, caller->target_size};

	if (ipc_send_all(&caller->control->frame.child->monitor, IPC_ASK, &message, &target, 1,
			 &caller->client.conn.fd, 1) < 0) {
		caller_answered(caller);
		caller_conclude(caller, "error", "the monitor takes no questions: see the log");
	}
}

static void begin_logins(struct caller *caller)
{
	if (!lines_obeyed(&caller->control->peers, caller->uid, caller->gid))
		caller_refuse(caller);
	else if (!(caller->tracing = tracing_begin_logins()))
		caller_conclude(caller, "error", "control has no memory for that");
	else
		follow_begin(caller);
}

/* Asks the auth process whose turn it is. */
static void go_on_auth(struct caller *caller)
{
	struct peer *auth = caller_auth_from(caller->control->frame.child, caller->auth);

	if (!auth && !caller->auth && caller_kind(caller) == STEP_TRACE && caller->uid == 0) {
		follow_begin(caller); /* follow_auth_up asks it */
		return;
	}
	if (!auth && !caller->auth) {
		caller_conclude(caller, "error", "auth is being started: try again");
		return;
	}
	if (!auth && caller_kind(caller) == STEP_TRACE) {
		follow_begin(caller);
		return;
	}
	if (!auth) {
		caller_next_step(caller);
		return;
	}
	/* the newest has the penalties of older generations, too */
	while (caller_kind(caller) == STEP_PENALTIES &&
	       caller_auth_from(caller->control->frame.child, auth->instance + 1))
		auth = caller_auth_from(caller->control->frame.child, auth->instance + 1);
	if (auth->instance != caller->auth)
		caller->cursor[0] = caller->cursor[1] = 0;
	caller->auth = auth->instance;
	if (caller_kind(caller) == STEP_WHO)
		ask_who(caller, auth);
	else if (caller_kind(caller) == STEP_FLUSH)
		ask_flush(caller, auth);
	else if (caller_kind(caller) == STEP_PENALTIES)
		ask_penalties(caller, auth);
	else if (caller_kind(caller) == STEP_TRACE)
		ask_trace(caller, auth);
	else
		ask_auth(caller, auth);
}

static void answer_here(struct caller *caller)
{
	const struct control *control = caller->control;
	uint64_t count;
	size_t size;
	char *lines;

	if (!lines_obeyed(&control->peers, caller->uid, caller->gid)) {
		caller_refuse(caller);
		return;
	}
	lines = figures_lines(control, (enum figures_topic)caller->row->steps[caller->step].what,
			      &size, &count);
	caller->count += count;
	caller_next_step(caller);
	caller_say(caller, lines, size);
}

/* The answer to explain, from the recorder. It is one piece, of a bounded size. */
static void answer_explain(struct caller *caller)
{
	struct control *control = caller->control;
	pop3_span target = {caller->target, caller->target_size};
	struct explain_clock clock = explain_clock_now(loop_now(control->frame.child->loop));
	unsigned events = 0;
	char *lines, *whole;
	size_t size = 0;

	if (!lines_obeyed(&control->peers, caller->uid, caller->gid)) {
		caller_refuse(caller);
		return;
	}
	lines = explain(&control->rings, target, &clock, &size, &events);
	whole = lines ? realloc(lines, size + CALLER_LAST_LINE_MAX) : NULL;
	if (!whole) {
		free(lines);
		caller_conclude(caller, "error", "control has no memory for the answer");
		return;
	}
	size += (size_t)snprintf(whole + size, CALLER_LAST_LINE_MAX, "end\t%u\n", events);
	caller->runs = false;
	caller->over |= control->frame.child->draining;
	caller_say(caller, whole, size);
}

void question_go_on(struct caller *caller)
{
	char count[32];

	switch (caller_kind(caller)) {
	case STEP_WHO:
	case STEP_AUTH:
	case STEP_FLUSH:
	case STEP_PENALTIES:
	case STEP_TRACE:
		go_on_auth(caller);
		return;
	case STEP_MONITOR:
		ask_monitor(caller);
		return;
	case STEP_BAN:
		ask_ban(caller);
		return;
	case STEP_HERE:
		answer_here(caller);
		return;
	case STEP_LOGINS:
		begin_logins(caller);
		return;
	case STEP_EXPLAIN:
		answer_explain(caller);
		return;
	case STEP_OVER:
		break;
	}
	snprintf(count, sizeof(count), "%llu", (unsigned long long)caller->count);
	caller_conclude(caller, "end", count);
}
