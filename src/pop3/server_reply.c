/*
 * Replies of the server machine: every reply is queued as pieces (a head in the machine's line, a
 * tail that lies elsewhere) that pop3_server_pull() gives out as the connection takes them, so
 * nothing is buffered beyond one line. Listings and bodies are rendered straight into the caller's
 * buffer. Runs in an unprivileged process.
 */
#include "pop3/server_reply_private.h"

#include "pop3/grammar_private.h"
#include "pop3/server_marks_private.h"

#include <assert.h>
#include <string.h>

/* Octets of a head: the line's storage, less a CRLF. */
enum { HEAD_MAX = POP3_COMMAND_MAX + 1 - 2 };

const char *p3_mechanisms(const struct pop3_server *server)
{
	const char *list =
		server->tls ? server->settings->mechanisms_tls : server->settings->mechanisms;

	return list ? list : "";
}

bool p3_plain_login(const struct pop3_server *server)
{
	return server->tls ? server->settings->plain_login_tls : server->settings->plain_login;
}

enum pop3_language pop3_server_language(const struct pop3_server *server)
{
	return (enum pop3_language)server->language;
}

static void begin(struct pop3_server *server, enum pop3_want after)
{
	/* a password may still lie there */
	memset(server->line, 0, sizeof(server->line));
	server->head_at = 0;
	server->head_size = 0;
	server->tail = (pop3_span){NULL, 0};
	server->crlf = false;
	server->output = P3_OUTPUT_LINE;
	server->want = POP3_WANT_OUTPUT;
	server->after = (uint8_t)after;
}

/* Octets of text that fit into room; no character of UTF-8 is cut. */
static size_t fitting(const char *text, size_t size, size_t room)
{
	size_t n = size < room ? size : room;

	while (n && n < size && ((unsigned char)text[n] & 0xc0) == 0x80)
		n--;
	return n;
}

static void put(struct pop3_server *server, const char *text, size_t size)
{
	/* before LANG a reply is ASCII, behind it UTF-8 */
	unsigned char most = server->language == POP3_ENGLISH ? 0x7e : 0xf4;
	size_t n = fitting(text, size, (size_t)HEAD_MAX - server->head_size);

	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)text[i];

		server->line[server->head_size + i] =
			(char)(c < 0x20 || c == 0x7f || c > most ? '?' : c);
	}
	server->head_size = (uint16_t)(server->head_size + n);
}

static void put_text(struct pop3_server *server, const char *text)
{
	put(server, text, strlen(text));
}

static void put_word(struct pop3_server *server, enum p3_word word)
{
	put_text(server, p3_word(word, pop3_server_language(server)));
}

static void put_number(struct pop3_server *server, uint64_t number)
{
	char digits[P3_NUMBER_MAX];

	put(server, digits, p3_put_number(digits, number));
}

static void end_line(struct pop3_server *server)
{
	memcpy(server->line + server->head_size, "\r\n", 2);
	server->head_size = (uint16_t)(server->head_size + 2);
}

void p3_reply(struct pop3_server *server, const char *status, const char *text,
	      enum pop3_want after)
{
	begin(server, after);
	put_text(server, status);
	if (*text) {
		put_text(server, " ");
		put_text(server, text);
	}
	end_line(server);
}

void p3_reply_word(struct pop3_server *server, const char *status, enum p3_word word,
		   enum pop3_want after)
{
	p3_reply(server, status, p3_word(word, pop3_server_language(server)), after);
}

void p3_reply_language(struct pop3_server *server)
{
	begin(server, POP3_WANT_INPUT);
	put_text(server, "+OK ");
	put_text(server, p3_language_tag(pop3_server_language(server)));
	put_text(server, " ");
	put_word(server, P3_LANGUAGE);
	end_line(server);
}

static void put_totals(struct pop3_server *server)
{
	put_number(server, server->count - server->deleted);
	put_word(server, P3_MESSAGES);
	put_number(server, server->octets - server->deleted_octets);
	put_word(server, P3_TOTAL_OCTETS);
	end_line(server);
}

void p3_reply_totals(struct pop3_server *server, enum pop3_want after)
{
	begin(server, after);
	put_text(server, "+OK ");
	put_totals(server);
}

static void reply_pair(struct pop3_server *server, uint64_t first, uint64_t second)
{
	begin(server, POP3_WANT_INPUT);
	put_text(server, "+OK ");
	put_number(server, first);
	put_text(server, " ");
	put_number(server, second);
	end_line(server);
}

void p3_reply_stat(struct pop3_server *server)
{
	reply_pair(server, server->count - server->deleted,
		   server->octets - server->deleted_octets);
}

void p3_reply_list(struct pop3_server *server, enum p3_output list)
{
	p3_reply_word(server, "+OK", P3_LIST_FOLLOWS, POP3_WANT_INPUT);
	server->output = (uint8_t)list;
	server->step =
		0; /* the first capability or language, the front of the list of mechanisms */
}

void p3_reply_greeting(struct pop3_server *server, pop3_span host, pop3_span stamp)
{
	const char *words = p3_word(P3_READY, POP3_ENGLISH);
	size_t stamp_size = server->apop ? stamp.size : 0;

	begin(server, POP3_WANT_INPUT);
	put_text(server, "+OK ");
	if (host.size && host.size + stamp_size + sizeof("+OK   ") + strlen(words) <= HEAD_MAX) {
		put(server, host.data, host.size);
		put_text(server, " ");
	}
	put_text(server, words);
	if (server->apop) {
		put_text(server, " ");
		put(server, stamp.data, stamp.size);
	}
	end_line(server);
}

void p3_reply_code(struct pop3_server *server, enum pop3_code code, const char *text)
{
	begin(server, POP3_WANT_INPUT);
	put_text(server, "-ERR ");
	if (code != POP3_CODE_NONE) {
		put_text(server, "[");
		put_text(server, p3_code_name(code));
		put_text(server, "] ");
	}
	put_text(server, text);
	end_line(server);
}

static bool is_login(uint8_t owed)
{
	return owed == POP3_EVENT_PASS || owed == POP3_EVENT_APOP ||
	       owed == POP3_EVENT_SASL_START || owed == POP3_EVENT_SASL_RESPONSE;
}

/* The client has sent the beginning of its response already, and the rest comes: no challenge. A
 * buffer that is too small for the beginning is full: the next octet makes the line too long. */
static void take_initial(struct pop3_server *server)
{
	char *to = server->lent ? server->lent : server->line;
	uint32_t n = server->initial_size;

	if (server->lent && n > server->lent_size)
		n = server->lent_size;
	memmove(to, server->line + server->initial_at, n);
	server->line_size = n;
	server->initial_size = 0;
	server->discard = false;
	server->in_sasl = true;
	server->want = POP3_WANT_INPUT;
}

void pop3_server_reply_challenge(struct pop3_server *server, pop3_span base64)
{
	assert(server->want == POP3_WANT_REPLY);
	assert(server->owed == POP3_EVENT_SASL_START || server->owed == POP3_EVENT_SASL_RESPONSE);
	if (server->initial_size && base64.size == 0) {
		take_initial(server);
		return;
	}
	begin(server, POP3_WANT_INPUT);
	put_text(server, "+ ");
	server->tail = base64;
	server->crlf = true;
	server->in_sasl = true;
}

void pop3_server_close_after(struct pop3_server *server)
{
	server->closing = true;
}

void pop3_server_reply_logged_in(struct pop3_server *server, uint32_t count, uint64_t octets)
{
	assert(server->want == POP3_WANT_REPLY && is_login(server->owed));
	server->in_sasl = false;
	server->state = POP3_TRANSACTION;
	server->count = count;
	server->octets = octets;
	server->user_delay = server->settings->login_delay;
	p3_reply_totals(server, POP3_WANT_INPUT);
}

void pop3_server_user_delay(struct pop3_server *server, int32_t seconds)
{
	assert(server->state == POP3_TRANSACTION);
	server->user_delay = seconds;
}

void pop3_server_reply_err(struct pop3_server *server, enum pop3_code code, const char *text)
{
	assert(server->want == POP3_WANT_REPLY);
	server->in_sasl = false;
	server->closing = server->closing || server->owed == POP3_EVENT_QUIT;
	p3_reply_code(server, code, text);
}

void pop3_server_reply_ok(struct pop3_server *server, const char *text)
{
	assert(server->want == POP3_WANT_REPLY && !is_login(server->owed));
	server->closing = server->closing || server->owed == POP3_EVENT_QUIT;
	p3_reply(server, "+OK", text, POP3_WANT_INPUT);
}

void pop3_server_mark(struct pop3_server *server, uint32_t number, uint64_t octets)
{
	assert(server->want == POP3_WANT_REPLY && server->owed == POP3_EVENT_DELE);
	p3_marks_set(server, number, octets);
	begin(server, POP3_WANT_INPUT);
	put_text(server, "+OK ");
	put_word(server, P3_MESSAGE);
	put_number(server, number);
	put_word(server, P3_IS_MARKED);
	end_line(server);
}

void pop3_server_reply_list_one(struct pop3_server *server, uint32_t number, uint64_t octets)
{
	assert(server->want == POP3_WANT_REPLY);
	reply_pair(server, number, octets);
}

void pop3_server_reply_uidl_one(struct pop3_server *server, uint32_t number, pop3_span unique_id)
{
	assert(server->want == POP3_WANT_REPLY);
	begin(server, POP3_WANT_INPUT);
	put_text(server, "+OK ");
	put_number(server, number);
	put_text(server, " ");
	put(server, unique_id.data, unique_id.size);
	end_line(server);
}

void pop3_server_reply_listing(struct pop3_server *server)
{
	assert(server->want == POP3_WANT_REPLY);
	p3_reply_totals(server, POP3_WANT_LINES);
}

static size_t end_item(char *out, size_t n)
{
	out[n] = '\r';
	out[n + 1] = '\n';
	return n + 2;
}

size_t pop3_server_line_list(char *out, size_t cap, uint32_t number, uint64_t octets)
{
	size_t n;

	if (cap < 2 * P3_NUMBER_MAX + 3)
		return 0;
	n = p3_put_number(out, number);
	out[n++] = ' ';
	n += p3_put_number(out + n, octets);
	return end_item(out, n);
}

size_t pop3_server_line_uidl(char *out, size_t cap, uint32_t number, pop3_span unique_id)
{
	size_t n;

	if (cap < P3_NUMBER_MAX + 3 + unique_id.size)
		return 0;
	n = p3_put_number(out, number);
	out[n++] = ' ';
	memcpy(out + n, unique_id.data, unique_id.size);
	return end_item(out, n + unique_id.size);
}

void pop3_server_lines_end(struct pop3_server *server)
{
	assert(server->want == POP3_WANT_LINES);
	p3_reply(server, ".", "", POP3_WANT_INPUT);
}

void pop3_server_reply_message(struct pop3_server *server, uint64_t octets)
{
	bool top = server->owed == POP3_EVENT_TOP;

	assert(server->want == POP3_WANT_REPLY);
	assert(top || server->owed == POP3_EVENT_RETR);
	server->announced = octets;
	server->verbatim = false;
	pop3_encoder_init(&server->encoder, top ? server->lines : POP3_ALL_LINES);
	begin(server, POP3_WANT_BODY);
	put_text(server, "+OK ");
	if (!top && octets == POP3_OCTETS_UNKNOWN) {
		put_word(server, P3_MESSAGE_FOLLOWS);
	} else if (!top) {
		put_number(server, octets);
		put_word(server, P3_OCTETS);
	} else {
		put_word(server, P3_TOP_FOLLOWS);
	}
	end_line(server);
}

/* Octets that the program sent by other means bypassed the encoder, so its line state is stale. The
 * rest is in wire form too and is copied. */
static size_t copy_body(struct pop3_encoder *encoder, pop3_span *in, char *out, size_t cap)
{
	size_t n = in->size < cap ? in->size : cap;

	if (n == 0)
		return 0;
	memcpy(out, in->data, n);
	in->data += n;
	in->size -= n;
	encoder->octets += n;
	return n;
}

size_t pop3_server_body(struct pop3_server *server, pop3_span *in, bool last, char *out, size_t cap)
{
	struct pop3_encoder *encoder = &server->encoder;
	bool top = server->owed == POP3_EVENT_TOP;
	size_t n;

	assert(server->want == POP3_WANT_BODY);
	n = server->verbatim ? copy_body(encoder, in, out, cap)
			     : pop3_encoder_run(encoder, in, out, cap);

	if (encoder->octets > server->announced && !top) {
		pop3_server_body_failed(server);
		return 0;
	}
	if (!encoder->done && !(last && in->size == 0))
		return n;
	begin(server, POP3_WANT_INPUT);
	server->head_size = (uint16_t)pop3_encoder_finish(encoder, server->line, HEAD_MAX);
	if (encoder->octets != server->announced && !top &&
	    server->announced != POP3_OCTETS_UNKNOWN)
		pop3_server_body_failed(server);
	return n;
}

void pop3_server_body_sent(struct pop3_server *server, uint64_t octets)
{
	assert(server->want == POP3_WANT_BODY && server->owed == POP3_EVENT_RETR);
	server->encoder.octets += octets;
	server->verbatim = true;
}

void pop3_server_body_failed(struct pop3_server *server)
{
	server->want = POP3_WANT_CLOSE;
}

/* The lines of CAPA's reply, in their order (RFC 2449 section 6, 2595, 3206, 6856). */
enum capability {
	CAPABILITY_TOP,
	CAPABILITY_UIDL,
	CAPABILITY_PIPELINING,
	CAPABILITY_RESP_CODES,
	CAPABILITY_AUTH_RESP_CODE,
	CAPABILITY_USER,
	CAPABILITY_SASL,
	CAPABILITY_STLS,
	CAPABILITY_EXPIRE,
	CAPABILITY_LOGIN_DELAY,
	CAPABILITY_UTF8,
	CAPABILITY_LANG,
	CAPABILITY_IMPLEMENTATION,
	CAPABILITY_END, /* not one: the line that ends the list */
	CAPABILITY_COUNT
};

static const char *const capability_lines[] = {
	[CAPABILITY_TOP] = "TOP",
	[CAPABILITY_UIDL] = "UIDL",
	[CAPABILITY_PIPELINING] = "PIPELINING",
	[CAPABILITY_RESP_CODES] = "RESP-CODES",
	[CAPABILITY_AUTH_RESP_CODE] = "AUTH-RESP-CODE",
	[CAPABILITY_USER] = "USER",
	[CAPABILITY_SASL] = "SASL ",
	[CAPABILITY_STLS] = "STLS",
	[CAPABILITY_EXPIRE] = "EXPIRE ",
	[CAPABILITY_LOGIN_DELAY] = "LOGIN-DELAY ",
	[CAPABILITY_UTF8] = "UTF8",
	[CAPABILITY_LANG] = "LANG",
	[CAPABILITY_IMPLEMENTATION] = "IMPLEMENTATION ",
	[CAPABILITY_END] = ".",
};
_Static_assert(sizeof(capability_lines) / sizeof(capability_lines[0]) == CAPABILITY_COUNT,
	       "every capability has a line");

/* text, if there is any, behind what was put; not copied. */
static bool put_behind(struct pop3_server *server, const char *text)
{
	if (!text || !*text)
		return false;
	server->tail = (pop3_span){text, strlen(text)};
	return true;
}

/* The most that any user may have to wait, until it is known who the user is. */
static bool put_delay(struct pop3_server *server)
{
	bool known = server->state != POP3_AUTHORIZATION;
	int32_t delay = known ? server->user_delay : server->settings->login_delay;

	if (delay < 0)
		return false;
	put_number(server, (uint64_t)delay);
	if (!known && server->settings->login_delay_user)
		put_text(server, " USER");
	return true;
}

/* One line of CAPA's reply; false: this one is not offered, and what was put is to be dropped. */
static bool put_capability(struct pop3_server *server, enum capability capability)
{
	const struct pop3_server_settings *settings = server->settings;

	put_text(server, capability_lines[capability]);
	switch (capability) {
	case CAPABILITY_TOP:
	case CAPABILITY_UIDL:
	case CAPABILITY_PIPELINING:
	case CAPABILITY_RESP_CODES:
	case CAPABILITY_AUTH_RESP_CODE:
		return true;
	case CAPABILITY_USER:
		return p3_plain_login(server);
	case CAPABILITY_SASL:
		return put_behind(server, p3_mechanisms(server));
	case CAPABILITY_STLS:
		return settings->stls && !server->tls && server->state == POP3_AUTHORIZATION;
	case CAPABILITY_EXPIRE:
		if (settings->expire_days == -1)
			put_text(server, "NEVER");
		else if (settings->expire_days >= 0)
			put_number(server, (uint64_t)settings->expire_days);
		return settings->expire_days >= -1;
	case CAPABILITY_LOGIN_DELAY:
		return put_delay(server);
	case CAPABILITY_UTF8:
		return settings->utf8;
	case CAPABILITY_LANG:
		return settings->lang;
	case CAPABILITY_IMPLEMENTATION:
		return put_behind(server, settings->implementation);
	case CAPABILITY_END:
	case CAPABILITY_COUNT:
		break;
	}
	server->output = P3_OUTPUT_LINE;
	return true;
}

/* The next word of the list of mechanisms; step is where in the list it begins. */
static void put_mechanism(struct pop3_server *server)
{
	const char *rest = p3_mechanisms(server) + server->step;
	size_t n = strcspn(rest, " ");

	if (n == 0) {
		put_text(server, ".");
		server->output = P3_OUTPUT_LINE;
		return;
	}
	server->tail = (pop3_span){rest, n};
	server->step = (uint16_t)(server->step + n + (rest[n] == ' '));
}

/* A line of LANG's list: "es Español". Its name is UTF-8 in every language of the session. */
static void put_language(struct pop3_server *server)
{
	enum pop3_language language = (enum pop3_language)server->step++;

	if (language == POP3_LANGUAGE_COUNT) {
		put_text(server, ".");
		server->output = P3_OUTPUT_LINE;
		return;
	}
	put_text(server, p3_language_tag(language));
	put_text(server, " ");
	put_behind(server, p3_language_name(language));
}

/* Makes the next piece of what is going out; at its end the want moves on. */
static bool next_piece(struct pop3_server *server)
{
	server->head_at = 0;
	server->head_size = 0;
	if (server->crlf) {
		server->crlf = false;
		end_line(server);
		return true;
	}
	switch ((enum p3_output)server->output) {
	case P3_OUTPUT_LINE:
		server->want = server->closing ? POP3_WANT_CLOSE : server->after;
		return false;
	case P3_OUTPUT_CAPABILITIES:
		while (!put_capability(server, (enum capability)server->step++)) {
			server->head_size = 0;
			server->tail = (pop3_span){NULL, 0};
		}
		break;
	case P3_OUTPUT_MECHANISMS:
		put_mechanism(server);
		break;
	case P3_OUTPUT_LANGUAGES:
		put_language(server);
		break;
	}
	server->crlf = true;
	return true;
}

size_t pop3_server_pull(struct pop3_server *server, char *out, size_t cap)
{
	size_t n = 0;

	if (server->want != POP3_WANT_OUTPUT)
		return 0;
	while (n < cap) {
		size_t head = (size_t)server->head_size - server->head_at;
		size_t room = cap - n;

		if (head) {
			size_t take = head < room ? head : room;

			memcpy(out + n, server->line + server->head_at, take);
			server->head_at = (uint16_t)(server->head_at + take);
			n += take;
		} else if (server->tail.size) {
			size_t take = server->tail.size < room ? server->tail.size : room;

			memcpy(out + n, server->tail.data, take);
			server->tail.data += take;
			server->tail.size -= take;
			n += take;
		} else if (!next_piece(server)) {
			break;
		}
	}
	/* all is out: the want moves on now, so that no empty pull is needed */
	if (n == cap && server->head_at == server->head_size && server->tail.size == 0 &&
	    !server->crlf && server->output == P3_OUTPUT_LINE)
		next_piece(server);
	return n;
}
