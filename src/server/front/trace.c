/* See trace.h. */
#include "server/front/trace.h"

#include "base/secret.h"
#include "base/text.h"
#include "server/front/session.h"
#include "server/record.h"

#include <pop3/server.h>

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	LINE_MAX_OCTETS = 1024, /* of a line that is shown; the rest is cut */
	KEPT_MAX = 16384,       /* octets of lines, until it is known whose they are */
	PIECE = 80,             /* octets of a line in one event */
	FIRST_MAX = 120,        /* of the first line of a message */
};

#define MASK "****"
#define MASK_BASE64 "KioqKg==" /* "****" */
#define MASK_DIGEST "00000000000000000000000000000000"

/* A command that is held: its secret is masked when the server has answered. */
enum held { HELD_NONE, HELD_PASS, HELD_APOP, HELD_SASL };

struct line {
	char text[LINE_MAX_OCTETS];
	size_t size;
};

struct trace {
	uint64_t id; /* 0: not known yet whose session it is */
	struct line client, server;
	char name[LINE_MAX_OCTETS]; /* of a held command: what stands before the secret */
	enum held held;
	unsigned turns;   /* responses of the SASL exchange under way */
	unsigned tried;   /* the most responses of one that was refused */
	unsigned settled; /* of which enum held the settings are written: a set */
	bool sasl, greeted, quitting, user_set;
	bool late;            /* the session was there before: not all of its dialogue is told */
	uint64_t body, asked; /* octets so far; of the message that was asked for last */
	char first[FIRST_MAX];
	size_t first_size;
	bool first_over, in_body;
	size_t kept_size;
	char kept[KEPT_MAX]; /* lines, each ended by NUL */
};

/* ---- lines into the ring ---- */

static void record_piece(const struct session *session, enum record_key key, pop3_span text)
{
	struct record record;

	record_begin(&record, RECORD_TRACE, NULL, session->front->frame.child->instance,
		     session->client.node.key);
	record_number(&record, RECORD_KEY_TRACE, session->trace->id);
	record_text(&record, key, text);
	record_write(&record);
}

static void write_line(const struct session *session, pop3_span line)
{
	do {
		size_t n = line.size < PIECE ? line.size : PIECE;
		bool last = n == line.size;

		record_piece(session, last ? RECORD_KEY_LINE : RECORD_KEY_MORE,
			     (pop3_span){line.data, n});
		line.data += n;
		line.size -= n;
	} while (line.size);
}

static void emit(struct session *session, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static void emit(struct session *session, const char *format, ...)
{
	struct trace *trace = session->trace;
	char line[2 * LINE_MAX_OCTETS];
	va_list ap;
	size_t size;
	int n;

	va_start(ap, format);
	n = vsnprintf(line, sizeof(line), format, ap);
	va_end(ap);
	size = n < (int)sizeof(line) ? (size_t)n : sizeof(line) - 1;
	if (trace->id)
		write_line(session, (pop3_span){line, size});
	else if (size < sizeof(trace->kept) - trace->kept_size) {
		memcpy(trace->kept + trace->kept_size, line, size + 1);
		trace->kept_size += size + 1;
	}
}

/* As a transcript has it: octets that are no printable ASCII, and what would be an escape. */
static const char *escaped(pop3_span text, char buf[LINE_MAX_OCTETS])
{
	size_t used = 0;

	for (size_t i = 0; i < text.size && used + 8 < LINE_MAX_OCTETS; i++) {
		unsigned char c = (unsigned char)text.data[i];

		if (c < ' ' || c > '~')
			used += (size_t)snprintf(buf + used, 8, "\\x%02x", c);
		else if (c == '\\' || c == '{')
			used += (size_t)snprintf(buf + used, 8, "\\%c", c);
		else
			buf[used++] = (char)c;
	}
	buf[used] = '\0';
	return buf;
}

/* ---- whose sessions ---- */

static void drop_old(struct front *front)
{
	struct traces *traces = &front->traces;
	uint64_t now = loop_now(front->frame.child->loop);

	for (unsigned i = traces->count; i-- > 0;)
		if (traces->list[i].until <= now)
			traces->list[i] = traces->list[--traces->count];
}

static const struct trace_wish *wish_for(struct front *front, pop3_span user)
{
	char key[USER_NAME_MAX];
	pop3_span name;

	drop_old(front);
	if (user.size > sizeof(key))
		return NULL;
	name = user_name_key(user, key);
	for (unsigned i = 0; i < front->traces.count; i++) {
		const struct trace_wish *wish = &front->traces.list[i];

		if (span_equal(name, (pop3_span){wish->name, wish->name_size}))
			return wish;
	}
	return NULL;
}

/* A session that is there already is told from now on. */
static void begin_late(struct session *session, const struct trace_wish *wish)
{
	char address[64];

	if (!session->trace)
		session->trace = calloc(1, sizeof(*session->trace));
	if (!session->trace)
		return;
	session->trace->id = wish->id;
	session->trace->late = session->trace->greeted = true;
	emit(session,
	     "# session %llx-%llu from %s: it was there before, and is told from here on; this "
	     "cannot be played again",
	     (unsigned long long)session->front->frame.child->instance,
	     (unsigned long long)session->client.node.key,
	     record_address(session->address, address));
}

static bool is_followed(const struct front *front, uint64_t id)
{
	for (unsigned i = 0; i < front->traces.count; i++)
		if (front->traces.list[i].id == id)
			return true;
	return false;
}

/* One that logged in before, perhaps followed by a trace that is over. */
static void look_at_open(struct table_node *node, void *context)
{
	struct session *session = CONTAINER(node, struct session, client.node);
	struct front *front = context;
	const struct trace_wish *wish;

	if (session->client.leaving || !session->ending.user ||
	    (session->trace && is_followed(front, session->trace->id)))
		return;
	wish = wish_for(front, span_of(session->ending.user));
	if (wish)
		begin_late(session, wish);
}

void traces_set(struct front *front, const struct ipc_trace_user *message)
{
	struct traces *traces = &front->traces;
	pop3_span name = ipc_text(message, 0);
	struct trace_wish *wish = traces->list;

	drop_old(front);
	while (wish < traces->list + traces->count && wish->id != message->id)
		wish++;
	if (wish == traces->list + TRACES_MAX || name.size > sizeof(wish->name))
		return;
	if (wish == traces->list + traces->count)
		traces->count++;
	*wish = (struct trace_wish){.id = message->id, .name_size = (uint32_t)name.size};
	memcpy(wish->name, name.data, name.size);
	wish->until = loop_now(front->frame.child->loop) + message->seconds * 1000ull;
	drop_old(front);
	if (front->traces.count) /* the end of a trace may leave sessions to another one */
		table_each(&front->frame.clients, look_at_open, front);
}

static void destroy(struct session *session)
{
	wipe(session->trace, sizeof(*session->trace));
	free(session->trace);
	session->trace = NULL;
}

/* ---- a session ---- */

static const char *yes(bool value)
{
	return value ? "yes" : "no";
}

void trace_begin(struct session *session)
{
	const struct pop3_server_settings *settings =
		session->loopback ? &session->front->open : &session->front->strict;
	char address[64];

	if (!session->front->traces.count)
		return;
	drop_old(session->front);
	if (!session->front->traces.count)
		return;
	session->trace = calloc(1, sizeof(*session->trace));
	if (!session->trace)
		return;
	emit(session, "# session %llx-%llu from %s",
	     (unsigned long long)session->front->frame.child->instance,
	     (unsigned long long)session->client.node.key,
	     record_address(session->address, address));
	emit(session, "tls: %s", yes(conn_tls(&session->client.conn) != NULL));
	emit(session, "stls: %s", yes(settings->stls));
	emit(session, "no-plain-login: %s", yes(!settings->plain_login));
	emit(session, "no-plain-login-tls: %s", yes(!settings->plain_login_tls));
	if (settings->implementation)
		emit(session, "implementation: %s", settings->implementation);
	if (settings->mechanisms && *settings->mechanisms)
		emit(session, "mechanisms: %s", settings->mechanisms);
	if (settings->mechanisms_tls && *settings->mechanisms_tls)
		emit(session, "mechanisms-tls: %s", settings->mechanisms_tls);
	emit(session, "expire: %d", settings->expire_days);
	emit(session, "login-delay: %d", settings->login_delay);
	emit(session, "utf8: %s", yes(settings->utf8));
	emit(session, "lang: %s", yes(settings->lang));
}

void trace_secured(struct session *session)
{
	if (session->trace && session->tls_asked)
		emit(session, "-- TLS --");
}

void trace_named(struct session *session, pop3_span user, bool certain)
{
	struct trace *trace = session->trace;
	const struct trace_wish *wish;

	if ((!trace && !certain) || !session->front->traces.count || (trace && trace->id))
		return;
	wish = wish_for(session->front, user);
	if (!trace) {
		if (wish)
			begin_late(session, wish);
		return;
	}
	if (!wish) {
		if (certain)
			destroy(session);
		return;
	}
	trace->id = wish->id;
	for (size_t at = 0; at < trace->kept_size;) {
		pop3_span line = span_of(trace->kept + at);

		write_line(session, line);
		at += line.size + 1;
	}
	wipe(trace->kept, trace->kept_size);
	trace->kept_size = 0;
}

void trace_message(struct session *session, uint64_t octets, pop3_span unique_id)
{
	char id[LINE_MAX_OCTETS];

	if (session->trace && !session->trace->late)
		emit(session, "message: %s {x*%llu}", escaped(unique_id, id),
		     (unsigned long long)(octets > 2 ? octets - 2 : 0));
}

void trace_asked(struct session *session, uint64_t octets)
{
	if (session->trace)
		session->trace->asked = octets;
}

/* ---- what the client says ---- */

static bool is_word(pop3_span line, const char *word)
{
	size_t n = strlen(word);

	return line.size >= n && span_equal_nocase((pop3_span){line.data, n}, span_of(word)) &&
	       (line.size == n || line.data[n] == ' ');
}

/* Holds the line back but for its first words, behind which the secret stands. */
static void hold(struct trace *trace, enum held held, pop3_span line, unsigned words)
{
	size_t at = 0;

	for (; words && at < line.size; at++)
		words -= line.data[at] == ' ';
	if (at >= sizeof(trace->name))
		at = sizeof(trace->name) - 1;
	if (at)
		memcpy(trace->name, line.data, at);
	trace->name[at] = '\0';
	trace->held = held;
}

static bool has_initial(pop3_span line)
{
	unsigned words = 0;

	for (size_t i = 0; i < line.size; i++)
		words += line.data[i] == ' ';
	return words > 1;
}

/* Before the login: only what is known to have no secret is shown. */
static bool is_open(pop3_span line)
{
	static const char *const words[] = {"USER", "CAPA", "STLS", "QUIT", "NOOP", "AUTH"};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (is_word(line, words[i]))
			return true;
	return false;
}

static void open_line(struct session *session, pop3_span line)
{
	char text[LINE_MAX_OCTETS];

	if (is_word(line, "USER") && line.size > 5 && !session->trace->user_set) {
		session->trace->user_set = true;
		emit(session, "user: %s", escaped((pop3_span){line.data + 5, line.size - 5}, text));
	}
	emit(session, "C: %s", escaped(line, text));
}

static void client_line(struct session *session, pop3_span line)
{
	struct trace *trace = session->trace;
	char text[LINE_MAX_OCTETS];
	const void *blank = line.size ? memchr(line.data, ' ', line.size) : NULL;

	trace->quitting = is_word(line, "QUIT");
	if (trace->sasl && !span_equal(line, SPAN_LITERAL("*")))
		hold(trace, HELD_SASL, line, 0);
	else if (session->stage == STAGE_MAIL || is_word(line, "*"))
		emit(session, "C: %s", escaped(line, text));
	else if (is_word(line, "PASS"))
		hold(trace, HELD_PASS, line, 1);
	else if (is_word(line, "APOP"))
		hold(trace, HELD_APOP, line, 2);
	else if (is_word(line, "AUTH") && has_initial(line))
		hold(trace, HELD_SASL, line, 2);
	else if (is_open(line))
		open_line(session, line);
	else if (blank)
		emit(session, "C: %s " MASK,
		     escaped((pop3_span){line.data, (size_t)((const char *)blank - line.data)},
			     text));
	else
		emit(session, "C: " MASK);
	trace->sasl = false;
	if (trace->held == HELD_SASL)
		trace->turns++;
}

/* Calls take for each whole line; the rest of octets stays in line. */
static void split(struct session *session, bool client, pop3_span octets,
		  void (*take)(struct session *, pop3_span))
{
	while (octets.size && session->trace) {
		struct line *line = client ? &session->trace->client : &session->trace->server;
		char c = *octets.data;

		octets.data++;
		octets.size--;
		if (c != '\n') {
			if (line->size < sizeof(line->text))
				line->text[line->size++] = c;
			continue;
		}
		if (line->size && line->text[line->size - 1] == '\r')
			line->size--;
		take(session, (pop3_span){line->text, line->size});
		if (!session->trace)
			return;
		wipe(line->text, line->size);
		line->size = 0;
	}
}

static void end_body(struct session *session)
{
	struct trace *trace = session->trace;
	char text[LINE_MAX_OCTETS];

	if (!trace->in_body)
		return;
	trace->in_body = false;
	emit(session, "# a body of %llu octets; its first line: %s",
	     (unsigned long long)trace->body,
	     escaped((pop3_span){trace->first, trace->first_size}, text));
	emit(session, "S: {x*%llu}", (unsigned long long)(trace->asked > 2 ? trace->asked - 2 : 0));
}

void trace_input(struct session *session, pop3_span octets)
{
	if (!session->trace || !octets.size)
		return;
	end_body(session);
	split(session, true, octets, client_line);
}

/* ---- what the server says ---- */

static const char *mask_of(enum held held, bool refused)
{
	if (held == HELD_APOP)
		return refused ? "ffffffffffffffffffffffffffffffff" : MASK_DIGEST;
	if (held == HELD_SASL)
		return refused ? "LS0tLQ==" : MASK_BASE64;
	return refused ? "----" : MASK;
}

static void settle_sasl(struct session *session, unsigned turns)
{
	char words[256] = "";

	for (unsigned i = 0; i < turns && i < 8; i++)
		snprintf(words + strlen(words), sizeof(words) - strlen(words), "%s%s", i ? " " : "",
			 MASK_BASE64);
	emit(session, "sasl: %s", words);
	emit(session, "turns: %u", turns);
}

/* The settings with which the dialogue replays, once. Of SASL they are those of the exchange that
 * succeeds, which has more responses than one that fails on its way. */
static void settle(struct session *session, bool refused)
{
	struct trace *trace = session->trace;
	char name[LINE_MAX_OCTETS];
	pop3_span user = span_of(trace->name);

	if (trace->held == HELD_SASL && refused) {
		trace->tried = trace->turns > trace->tried ? trace->turns : trace->tried;
		return;
	}
	if (trace->late || trace->settled & 1u << trace->held)
		return;
	trace->settled |= 1u << trace->held;
	if (trace->held == HELD_SASL)
		settle_sasl(session, trace->turns);
	if (trace->held == HELD_APOP && user.size > 5) {
		user.data += 5;
		user.size -= 6;
		if (!trace->user_set)
			emit(session, "user: %s", escaped(user, name));
		trace->user_set = true;
		emit(session, "digest: " MASK_DIGEST);
	}
	if (trace->held == HELD_PASS)
		emit(session, "pass: " MASK);
}

static void release(struct session *session, pop3_span reply)
{
	struct trace *trace = session->trace;
	bool refused = reply.size && reply.data[0] == '-';
	bool goes_on = reply.size && reply.data[0] == '+' && reply.size > 1 && reply.data[1] == ' ';
	char name[LINE_MAX_OCTETS];

	if (trace->held == HELD_NONE)
		return;
	emit(session, "C: %s%s", escaped(span_of(trace->name), name),
	     mask_of(trace->held, refused));
	if (!goes_on) {
		settle(session, refused);
		trace->turns = 0;
	}
	trace->held = HELD_NONE;
}

static void server_line(struct session *session, pop3_span line)
{
	struct trace *trace = session->trace;
	bool refused = line.size && line.data[0] == '-';
	size_t code = 0;
	char text[LINE_MAX_OCTETS];

	release(session, line);
	if (session->stage == STAGE_LOGIN && line.size > 1 && line.data[0] == '+' &&
	    line.data[1] == ' ') {
		trace->sasl = true;
		emit(session, "S: + ...");
		return;
	}
	if (refused || !trace->greeted ||
	    trace->quitting) { /* words of our own, not the machine's */
		code = refused ? 4 : 3;
		if (refused && line.size > 5 && line.data[5] == '[' &&
		    memchr(line.data, ']', line.size))
			code = (size_t)((const char *)memchr(line.data, ']', line.size) -
					line.data) +
			       1;
		emit(session, "# %s", escaped(line, text));
		emit(session, "S: %s...", escaped((pop3_span){line.data, code}, text));
	} else {
		emit(session, "S: %s", escaped(line, text));
	}
	trace->greeted = true;
}

void trace_output(struct session *session, pop3_span octets)
{
	if (!session->trace || !octets.size)
		return;
	end_body(session);
	split(session, false, octets, server_line);
}

void trace_body(struct session *session, pop3_span octets)
{
	struct trace *trace = session->trace;

	if (!trace || !octets.size)
		return;
	if (!trace->in_body) {
		trace->in_body = true;
		trace->body = trace->first_size = 0;
		trace->first_over = false;
	}
	trace->body += octets.size;
	for (size_t i = 0; i < octets.size && !trace->first_over; i++) {
		trace->first_over = octets.data[i] == '\r' || octets.data[i] == '\n' ||
				    trace->first_size == sizeof(trace->first);
		if (!trace->first_over)
			trace->first[trace->first_size++] = octets.data[i];
	}
}

void trace_end(struct session *session, bool closed)
{
	struct trace *trace = session->trace;

	if (!trace)
		return;
	end_body(session);
	if (trace->held != HELD_NONE)
		release(session, SPAN_LITERAL("-"));
	if (trace->tried && !trace->late && !(trace->settled & 1u << HELD_SASL))
		settle_sasl(session, trace->tried);
	if (closed)
		emit(session, "-- closed --");
	emit(session, "# the session has ended");
	destroy(session);
}
