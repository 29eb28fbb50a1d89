/* See client.h. */
#include "server/control/client.h"

#include "base/text.h"
#include "server/control/ban.h"
#include "server/control/command.h"
#include "server/control/explain.h"
#include "server/control/figures.h"
#include "server/control/page.h"
#include "server/control/tracing.h"
#include "server/lines.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

enum {
	IDLE_MS = 60 * 1000,
	FRESH_MS = 1000,
	ANSWER_MS = 30 * 1000,
	LOOK_MS = 200,           /* between two looks for new lines of traces */
	MONITOR_MS = 300 * 1000, /* a reload takes as long as processes and disks need */
	LAST_LINE_MAX = 2600,
};

/* A struct client is one of the frame's; this is a whole connection. */
struct caller {
	struct client client;
	struct control *control;
	uint32_t uid, gid;
	bool over, runs, asked; /* a command is under way; its step was asked for a page */
	const struct command_row *row;
	struct ipc_ban ban; /* the question about bans, so far */
	unsigned step;
	char target[IPC_TEXT_MAX];
	size_t target_size;
	uint64_t auth, cursor[2];   /* the auth process that is asked: its instance */
	uint64_t count;             /* of the lines so far */
	struct table_node question; /* key: its number */
	struct loop_deadline answer;
	char in[COMMAND_LINE_MAX];
	size_t in_size;
	struct tracing *tracing; /* NULL: it follows nobody */
	bool follows;            /* each auth process has told its fronts */
	uint32_t trace_seconds;
	uint64_t trace_id;
	struct caller *next_tracer;
	char *out; /* lines for the client; NULL: none */
	size_t out_size, out_at;
};

static const struct conn_handler handler;

static struct caller *caller_of(struct conn *conn)
{
	return CONTAINER(conn, struct caller, client.conn);
}

static struct caller *caller_with(struct client *client)
{
	return CONTAINER(client, struct caller, client);
}

/* ---- life ---- */

void client_start(struct front_frame *frame, int *fd, const struct accepted *from)
{
	struct control *control = CONTAINER(frame, struct control, frame);
	struct caller *caller = calloc(1, sizeof(*caller));
	struct ucred ucred;
	socklen_t size = sizeof(ucred);

	if (!caller || getsockopt(*fd, SOL_SOCKET, SO_PEERCRED, &ucred, &size) < 0 ||
	    size != sizeof(ucred)) {
		free(caller);
		return;
	}
	caller->control = control;
	caller->uid = ucred.uid;
	caller->gid = ucred.gid;
	loop_deadline_init(&caller->answer);
	frame_add(frame, &caller->client, from);
	loop_deadline_renew(&control->idle, &caller->client.deadline);
	conn_init(&caller->client.conn, frame->child->loop, fd, &handler, NULL);
}

static void end(struct caller *caller)
{
	caller->over = true;
	conn_wake(&caller->client.conn);
}

void client_end_idle(struct front_frame *frame, struct client *client)
{
	struct caller *caller = caller_with(client);

	if (caller->follows) {
		end(caller);
		return;
	}
	if (caller->runs || caller->out)
		return;
	if (caller->row || frame->child->stopping)
		end(caller);
	else /* its first command may be on its way */
		loop_deadline_renew(&caller->control->fresh, &client->deadline);
}

bool client_may_give_way(const struct client *client)
{
	(void)client;
	return true;
}

void client_give_way(struct client *client)
{
	conn_abort(&client->conn);
}

static void answered(struct caller *caller)
{
	if (!caller->asked)
		return;
	caller->asked = false;
	table_remove(&caller->control->questions, &caller->question);
	loop_deadline_cancel(&caller->answer);
}

static void stop_tracing(struct caller *caller);

static void closed(struct conn *conn, enum conn_end why)
{
	struct caller *caller = caller_of(conn);

	(void)why;
	answered(caller);
	stop_tracing(caller);
	frame_remove(&caller->control->frame, &caller->client);
	free(caller->out);
	free(caller);
}

/* ---- answers ---- */

static void say(struct caller *caller, char *lines, size_t size)
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

/* The last line of an answer. */
static void conclude(struct caller *caller, const char *kind, const char *words)
{
	char *line = malloc(LAST_LINE_MAX);
	int size = line ? snprintf(line, LAST_LINE_MAX, "%s\t%s\n", kind, words) : 0;

	caller->runs = false;
	caller->over |= caller->control->frame.child->draining;
	say(caller, line, (size_t)size);
}

/* The same with the code that a command line program ends with; 0: none. */
static void fail(struct caller *caller, pop3_span words, uint32_t code)
{
	char text[LAST_LINE_MAX - 32];

	if (code)
		snprintf(text, sizeof(text), "%.*s\t%u", (int)words.size, words.data, code);
	else
		snprintf(text, sizeof(text), "%.*s", (int)words.size, words.data);
	conclude(caller, "error", text);
}

/* The auth process with the lowest instance from that one on. NULL: none. */
static struct peer *auth_from(const struct child *child, uint64_t instance)
{
	struct peer *found = NULL;

	for (struct peer *peer = child->peers; peer; peer = peer->next)
		if (peer->role == ROLE_AUTH && peer->instance >= instance &&
		    (!found || peer->instance < found->instance))
			found = peer;
	return found;
}

static enum step_kind kind_of(const struct caller *caller)
{
	return caller->row->steps[caller->step].kind;
}

static bool is_of_monitor(const struct caller *caller)
{
	return kind_of(caller) == STEP_MONITOR || kind_of(caller) == STEP_BAN;
}

/* A question is under way; its number. */
static uint64_t asking(struct caller *caller, struct loop_deadlines *deadlines)
{
	struct control *control = caller->control;

	caller->asked = true;
	table_add(&control->questions, &caller->question, ++control->last_number);
	loop_deadline_renew(deadlines, &caller->answer);
	loop_deadline_cancel(&caller->client.deadline); /* it is we who are slow */
	return control->last_number;
}

static void ask_who(struct caller *caller, struct peer *auth)
{
	struct ipc_who message = {.number = asking(caller, &caller->control->answer),
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
	return (struct ipc_ask){.number = asking(caller, deadlines),
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
	struct ipc_flush message = {.number = asking(caller, &caller->control->answer),
				    .uid = caller->uid,
				    .gid = caller->gid};
	pop3_span target = {caller->target, caller->target_size};

	peer_send_texts(auth, IPC_FLUSH, &message, &target, 1);
}

static void ask_trace(struct caller *caller, struct peer *auth)
{
	struct ipc_trace message = {.number = asking(caller, &caller->control->answer),
				    .id = caller->trace_id,
				    .uid = caller->uid,
				    .seconds = caller->trace_seconds};
	pop3_span target = {caller->target, caller->target_size};

	peer_send_texts(auth, IPC_TRACE, &message, &target, 1);
}

static void ask_penalties(struct caller *caller, struct peer *auth)
{
	struct ipc_penalty_ask message = {.number = asking(caller, &caller->control->answer),
					  .cursor = caller->cursor[0],
					  .uid = caller->uid,
					  .gid = caller->gid};

	peer_send(auth, IPC_PENALTY_ASK, &message);
}

/* The monitor has the list of bans. */
static void ask_ban(struct caller *caller)
{
	pop3_span why = {caller->target, caller->target_size};

	caller->ban.number = asking(caller, &caller->control->answer);
	caller->ban.uid = caller->uid;
	caller->ban.gid = caller->gid;
	if (ipc_send_texts(&caller->control->frame.child->monitor, IPC_BAN, &caller->ban, &why, 1) <
	    0) {
		answered(caller);
		conclude(caller, "error", "the server is busy: try again");
	}
}

/* The monitor gets the connection, and so sees itself whose it is. */
static void ask_monitor(struct caller *caller)
{
	struct ipc_ask message = question(caller, &caller->control->patient);
	pop3_span target = {caller->target, caller->target_size};

	if (ipc_send_all(&caller->control->frame.child->monitor, IPC_ASK, &message, &target, 1,
			 &caller->client.conn.fd, 1) < 0) {
		answered(caller);
		conclude(caller, "error", "the monitor takes no questions: see the log");
	}
}

static void next_step(struct caller *caller)
{
	caller->step++;
	caller->auth = caller->cursor[0] = caller->cursor[1] = 0;
}

/* All fronts know it: lines of theirs are waited for. */
static void begin_following(struct caller *caller)
{
	struct control *control = caller->control;

	caller->follows = true;
	loop_deadline_cancel(&caller->client.deadline);
	caller->next_tracer = control->tracers;
	control->tracers = caller;
	loop_timer_set(&control->look, LOOK_MS);
}

/* Asks the auth process whose turn it is. */
static void go_on_auth(struct caller *caller)
{
	struct peer *auth = auth_from(caller->control->frame.child, caller->auth);

	if (!auth && !caller->auth && kind_of(caller) == STEP_TRACE && caller->uid == 0) {
		begin_following(caller); /* client_auth_up asks it */
		return;
	}
	if (!auth && !caller->auth) {
		conclude(caller, "error", "auth is being started: try again");
		return;
	}
	if (!auth && kind_of(caller) == STEP_TRACE) {
		begin_following(caller);
		return;
	}
	if (!auth) {
		next_step(caller);
		return;
	}
	/* the newest has the penalties of older generations, too */
	while (kind_of(caller) == STEP_PENALTIES &&
	       auth_from(caller->control->frame.child, auth->instance + 1))
		auth = auth_from(caller->control->frame.child, auth->instance + 1);
	if (auth->instance != caller->auth)
		caller->cursor[0] = caller->cursor[1] = 0;
	caller->auth = auth->instance;
	if (kind_of(caller) == STEP_WHO)
		ask_who(caller, auth);
	else if (kind_of(caller) == STEP_FLUSH)
		ask_flush(caller, auth);
	else if (kind_of(caller) == STEP_PENALTIES)
		ask_penalties(caller, auth);
	else if (kind_of(caller) == STEP_TRACE)
		ask_trace(caller, auth);
	else
		ask_auth(caller, auth);
}

static void refuse(struct caller *caller)
{
	conclude(caller, "error",
		 "that is for root and the members of control.group, see valija.conf(5)");
}

static void answer_here(struct caller *caller)
{
	const struct control *control = caller->control;
	uint64_t count;
	size_t size;
	char *lines;

	if (!lines_obeyed(&control->peers, caller->uid, caller->gid)) {
		refuse(caller);
		return;
	}
	lines = figures_lines(control, (enum figures_topic)caller->row->steps[caller->step].what,
			      &size, &count);
	caller->count += count;
	next_step(caller);
	say(caller, lines, size);
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
		refuse(caller);
		return;
	}
	lines = explain(&control->rings, target, &clock, &size, &events);
	whole = lines ? realloc(lines, size + LAST_LINE_MAX) : NULL;
	if (!whole) {
		free(lines);
		conclude(caller, "error", "control has no memory for the answer");
		return;
	}
	size += (size_t)snprintf(whole + size, LAST_LINE_MAX, "end\t%u\n", events);
	caller->runs = false;
	caller->over |= control->frame.child->draining;
	say(caller, whole, size);
}

/* The next page, or the end. */
static void go_on(struct caller *caller)
{
	char count[32];

	switch (kind_of(caller)) {
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
	case STEP_EXPLAIN:
		answer_explain(caller);
		return;
	case STEP_OVER:
		break;
	}
	snprintf(count, sizeof(count), "%llu", (unsigned long long)caller->count);
	conclude(caller, "end", count);
}

/* The process that was asked has nothing more: the next auth process, or the next step. */
static void page_was_last(struct caller *caller)
{
	if (is_of_monitor(caller) || kind_of(caller) == STEP_PENALTIES) {
		next_step(caller);
		return;
	}
	caller->auth++;
	caller->cursor[0] = caller->cursor[1] = 0;
}

static void take_page(struct caller *caller, const struct ipc_who_page *page)
{
	size_t size;
	char *lines;

	switch ((enum ipc_who_status)page->status) {
	case WHO_REFUSED:
		refuse(caller);
		return;
	case WHO_FAILED:
		conclude(caller, "error", "auth has no memory for the answer");
		return;
	case WHO_END:
		page_was_last(caller);
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
		say(caller, lines, size);
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
		refuse(caller);
		return;
	case LINES_FAILED:
		fail(caller, (pop3_span){ipc_tail(message), size}, message->code);
		return;
	case LINES_END:
		page_was_last(caller);
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
	say(caller, copy, size);
}

/* The caller who waits for that answer of that process; NULL: nobody does any more, or it was not
 * asked for this. */
static struct caller *waiting(struct control *control, uint64_t number, const struct peer *auth,
			      enum step_kind kind)
{
	struct table_node *node = table_find(&control->questions, number);
	struct caller *caller = node ? CONTAINER(node, struct caller, question) : NULL;

	if (!caller || kind_of(caller) != kind || (auth && caller->auth != auth->instance))
		return NULL;
	answered(caller);
	return caller;
}

void client_page(struct control *control, const struct peer *auth,
		 const struct ipc_who_page *message)
{
	struct caller *caller = waiting(control, message->number, auth, STEP_WHO);

	if (caller)
		take_page(caller, message);
}

void client_lines(struct control *control, const struct peer *auth, const struct ipc_lines *message)
{
	struct caller *caller =
		waiting(control, message->number, auth, auth ? STEP_AUTH : STEP_MONITOR);

	if (caller)
		take_lines(caller, message);
}

void client_flushed(struct control *control, const struct peer *auth,
		    const struct ipc_flushed *message)
{
	struct caller *caller = waiting(control, message->number, auth, STEP_FLUSH);

	if (!caller)
		return;
	if (message->status == WHO_REFUSED) {
		refuse(caller);
		return;
	}
	caller->count += message->count;
	page_was_last(caller); /* another generation's is next, perhaps */
	conn_wake(&caller->client.conn);
}

static void say_lines(struct caller *caller, char *lines, size_t size)
{
	if (size || !lines) {
		say(caller, lines, size);
	} else {
		free(lines);
		conn_wake(&caller->client.conn);
	}
}

void client_penalties(struct control *control, const struct peer *auth,
		      const struct ipc_penalty_page *message)
{
	struct caller *caller = waiting(control, message->number, auth, STEP_PENALTIES);
	size_t size = 0;
	char *lines;

	if (!caller)
		return;
	if (message->status == WHO_REFUSED) {
		refuse(caller);
		return;
	}
	caller->count += message->count;
	caller->cursor[0] = message->cursor;
	if (message->status != WHO_MORE)
		page_was_last(caller);
	lines = penalties_render(message, &size);
	say_lines(caller, lines, size);
}

void client_ban_page(struct control *control, const struct ipc_ban_page *page)
{
	struct caller *caller = waiting(control, page->number, NULL, STEP_BAN);
	const char *refusal = ban_refusal(page);
	size_t size = 0;
	char *lines;

	if (!caller)
		return;
	if (refusal) {
		conclude(caller, "error", refusal);
		return;
	}
	caller->count += page->count;
	if (page->status == BAN_OK)
		page_was_last(caller);
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

	if (is_of_monitor(caller) || caller->auth != loss->auth->instance)
		return;
	answered(caller);
	if (caller->row->steps[caller->step].what == TOPIC_COUNTS &&
	    kind_of(caller) == STEP_AUTH) { /* its sessions are gone with it */
		page_was_last(caller);
		conn_wake(&caller->client.conn);
		return;
	}
	conclude(caller, "error", "an auth process ended meanwhile: try again");
}

void client_auth_gone(struct control *control, const struct peer *auth)
{
	struct loss loss = {auth};

	table_each(&control->questions, lose_one, &loss);
}

static void no_answer(struct loop_deadlines *deadlines, struct loop_deadline *deadline)
{
	struct caller *caller = CONTAINER(deadline, struct caller, answer);

	(void)deadlines;
	answered(caller);
	conclude(caller, "error",
		 is_of_monitor(caller) ? "the monitor does not answer: see the log"
				       : "auth does not answer: see the log");
}

/* ---- traces ---- */

static void stop_tracing(struct caller *caller)
{
	struct caller **at = &caller->control->tracers;
	struct ipc_trace stop = {.id = caller->trace_id, .uid = caller->uid};
	pop3_span user = {caller->target, caller->target_size};

	if (!caller->tracing)
		return;
	while (caller->follows && *at != caller)
		at = &(*at)->next_tracer;
	if (caller->follows)
		*at = caller->next_tracer;
	caller->follows = false;
	free(caller->tracing);
	caller->tracing = NULL;
	for (struct peer *peer = caller->control->frame.child->peers; peer; peer = peer->next)
		if (peer->role == ROLE_AUTH)
			peer_send_texts(peer, IPC_TRACE, &stop, &user, 1);
}

/* Traces go on with a generation whose auth came behind this process: nobody waits for the answer,
 * and auth judges the person as it does at first. */
void client_auth_up(struct control *control, struct peer *auth)
{
	uint64_t now = loop_now(control->frame.child->loop);

	for (struct caller *caller = control->tracers; caller; caller = caller->next_tracer) {
		pop3_span target = {caller->target, caller->target_size};
		struct ipc_trace message = {.id = caller->trace_id, .uid = caller->uid};

		if (caller->tracing->until <= now)
			continue;
		message.seconds = (uint32_t)((caller->tracing->until - now + 999) / 1000);
		peer_send_texts(auth, IPC_TRACE, &message, &target, 1);
	}
}

void client_traced(struct control *control, const struct peer *auth,
		   const struct ipc_traced *message)
{
	struct caller *caller = waiting(control, message->number, auth, STEP_TRACE);

	if (!caller)
		return;
	if (message->status == WHO_END) {
		page_was_last(caller);
		conn_wake(&caller->client.conn);
		return;
	}
	stop_tracing(caller);
	conclude(caller, "error",
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
		say(caller, lines, size);
	} else if (over) {
		snprintf(count, sizeof(count), "%llu", (unsigned long long)caller->tracing->lines);
		stop_tracing(caller);
		conclude(caller, "end", count);
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

/* "SECONDS USER". NULL: the target is now the user's name. */
static const char *take_trace(struct caller *caller)
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

void client_init(struct control *control)
{
	table_init(&control->questions);
	loop_deadlines_init(&control->idle, control->frame.child->loop, IDLE_MS, frame_expired,
			    control);
	loop_deadlines_init(&control->fresh, control->frame.child->loop, FRESH_MS, frame_expired,
			    control);
	loop_deadlines_init(&control->answer, control->frame.child->loop, ANSWER_MS, no_answer,
			    control);
	loop_timer_init(&control->look, control->frame.child->loop, look, control);
	loop_deadlines_init(&control->patient, control->frame.child->loop, MONITOR_MS, no_answer,
			    control);
}

/* ---- commands ---- */

static void take_line(struct caller *caller, pop3_span line)
{
	struct command command;
	const char *wrong = command_parse(line, &command);

	loop_deadline_renew(&caller->control->idle, &caller->client.deadline);
	if (wrong) {
		conclude(caller, "error", wrong);
		return;
	}
	caller->row = command.row;
	caller->ban = command.ban;
	caller->target_size = command.target.size;
	memcpy(caller->target, command.target.data, command.target.size);
	caller->step = 0;
	caller->auth = caller->cursor[0] = caller->cursor[1] = 0;
	caller->count = 0;
	wrong = kind_of(caller) == STEP_TRACE ? take_trace(caller) : NULL;
	if (wrong)
		conclude(caller, "error", wrong);
	else
		caller->runs = true;
}

/* Takes octets until a line is whole. Returns whether there was one. */
static bool take_input(struct caller *caller, pop3_span *in)
{
	size_t room = sizeof(caller->in) - caller->in_size, n = in->size < room ? in->size : room;
	const char *lf;
	size_t taken;

	if (n)
		memcpy(caller->in + caller->in_size, in->data, n);
	caller->in_size += n;
	in->data += n;
	in->size -= n;
	lf = memchr(caller->in, '\n', caller->in_size);
	if (!lf) {
		if (caller->in_size == sizeof(caller->in))
			caller->over = true;
		return false;
	}
	taken = (size_t)(lf - caller->in) + 1;
	take_line(caller, (pop3_span){caller->in, taken - 1});
	caller->in_size -= taken;
	memmove(caller->in, caller->in + taken, caller->in_size);
	return true;
}

static size_t pull(struct caller *caller, char *out, size_t cap)
{
	size_t left = caller->out_size - caller->out_at, n = left < cap ? left : cap;

	memcpy(out, caller->out + caller->out_at, n);
	caller->out_at += n;
	if (caller->out_at == caller->out_size) {
		free(caller->out);
		caller->out = NULL;
		if (caller->follows) /* the next line may be long in coming */
			loop_deadline_cancel(&caller->client.deadline);
	}
	return n;
}

static size_t exchange(struct conn *conn, pop3_span *in, char *out, size_t cap)
{
	struct caller *caller = caller_of(conn);
	size_t used = 0;

	for (;;) {
		if (caller->out)
			used += pull(caller, out + used, cap - used);
		if (caller->out || caller->asked || caller->over || caller->follows)
			break;
		if (caller->runs)
			go_on(caller);
		else if ((!in->size && !caller->in_size) || !take_input(caller, in))
			break;
	}
	if (caller->over && !caller->out)
		conn_close(conn);
	return used;
}

static bool busy(struct conn *conn)
{
	const struct caller *caller = caller_of(conn);

	return (caller->runs && !caller->follows) || caller->out;
}

static const struct conn_handler handler = {.exchange = exchange, .busy = busy, .closed = closed};
