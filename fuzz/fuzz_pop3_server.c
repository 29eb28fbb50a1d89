/*
 * The server machine against any client: the input is what a client sends (behind two octets that
 * choose the site's settings). Twice, cut differently: events, replies and output must be the same;
 * no wait without reason; what is promised about events holds.
 */
#include <pop3/server.h>

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(condition)          \
	do {                      \
		if (!(condition)) \
			abort();  \
	} while (0)
#define MESSAGES 9

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What happened, as a running sum: events and output, in order. */
struct record {
	uint64_t sum;
};

struct play {
	struct pop3_server server;
	struct pop3_server_settings settings;
	struct record record;
	struct pop3_event asked;
	uint8_t marks[(MESSAGES + 7) / 8];
	char room[600], name[POP3_NAME_MAX];
	uint32_t seed;
	bool whole, tls;
};

static const char *const mail[MESSAGES] = {
	"",         "\n", "a: b\n\n.\n..\n", "no end",
	"a\r\nb\r", ".",  "\r\n\r\n.\r\n",   "x: y\n\n1\n2\n3\n4\n",
	"\r\r\n.\n"};

static void note(struct play *play, const char *data, size_t size)
{
	for (size_t i = 0; i < size; i++)
		play->record.sum = (play->record.sum ^ (uint8_t)data[i]) * 1099511628211u;
}

static size_t cut(struct play *play, size_t available)
{
	if (play->whole)
		return available;
	play->seed = play->seed * 1664525 + 1013904223;
	size_t n = 1 + (play->seed >> 16) % 9;

	return n < available ? n : available;
}

static uint64_t octets_of(uint32_t number)
{
	struct pop3_counter counter;

	pop3_counter_init(&counter);
	pop3_counter_feed(&counter, (pop3_span){mail[number - 1], strlen(mail[number - 1])});
	pop3_counter_finish(&counter);
	return counter.octets;
}

static void log_in(struct play *play, bool right)
{
	uint64_t octets = 0;

	for (uint32_t i = 1; i <= MESSAGES; i++)
		octets += octets_of(i);
	pop3_server_take_back(&play->server);
	if (right) {
		pop3_server_reply_logged_in(&play->server, MESSAGES, octets);
		if (play->settings.login_delay_user)
			pop3_server_user_delay(&play->server, 5);
	} else {
		pop3_server_reply_err(&play->server, POP3_CODE_AUTH, "no");
	}
}

static void answer(struct play *play, const struct pop3_event *event)
{
	static const pop3_span id = {"id", 2};
	struct pop3_server *server = &play->server;

	play->asked = *event;
	CHECK(event->number <= MESSAGES);
	switch (event->type) {
	case POP3_EVENT_PASS:
	case POP3_EVENT_APOP:
		CHECK(event->user.size != 0 && event->secret.size != 0);
		log_in(play, event->secret.data[0] != 'x');
		break;
	case POP3_EVENT_SASL_START:
		CHECK(event->mechanism.size != 0);
		if (!event->has_initial) {
			if (play->settings.stls)
				pop3_server_lend(server, play->room, sizeof(play->room));
			pop3_server_reply_challenge(
				server,
				(pop3_span){"YQ==", event->mechanism.data[0] == 'L' ? 4 : 0});
			break;
		}
		log_in(play, event->secret.size == 0);
		break;
	case POP3_EVENT_SASL_RESPONSE:
		CHECK(event->secret.size <= sizeof(play->room));
		if (event->secret.size == 4)
			pop3_server_reply_challenge(server, (pop3_span){"", 0});
		else
			log_in(play, event->secret.size == 8);
		break;
	case POP3_EVENT_SASL_CANCEL:
		pop3_server_take_back(server);
		break;
	case POP3_EVENT_LIST:
	case POP3_EVENT_UIDL:
		if (event->number == 0)
			pop3_server_reply_listing(server);
		else if (event->type == POP3_EVENT_LIST)
			pop3_server_reply_list_one(server, event->number, octets_of(event->number));
		else
			pop3_server_reply_uidl_one(server, event->number, id);
		break;
	case POP3_EVENT_RETR:
	case POP3_EVENT_TOP:
		CHECK(event->number != 0 && !pop3_server_marked(server, event->number));
		pop3_server_reply_message(server, octets_of(event->number));
		break;
	case POP3_EVENT_DELE:
		CHECK(event->number != 0 && !pop3_server_marked(server, event->number));
		if (!pop3_server_has_marks(server))
			pop3_server_lend_marks(server, play->marks);
		pop3_server_mark(server, event->number, octets_of(event->number));
		break;
	case POP3_EVENT_QUIT:
		pop3_server_reply_ok(server, "bye");
		break;
	case POP3_EVENT_NONE:
	case POP3_EVENT_COUNT:
		abort();
	}
}

static void input(struct play *play, pop3_span *in)
{
	struct pop3_event event;
	pop3_span slice = {in->data, cut(play, in->size)};
	size_t size = slice.size;
	enum pop3_event_type type = pop3_server_next(&play->server, &slice, &event);

	CHECK(type == event.type);
	CHECK(type != POP3_EVENT_NONE || slice.size == 0 ||
	      pop3_server_want(&play->server) != POP3_WANT_INPUT);
	in->data += size - slice.size;
	in->size -= size - slice.size;
	if (type == POP3_EVENT_NONE)
		return;
	char text[64];
	int n = snprintf(text, sizeof(text), "%d %u %llu %d", type, (unsigned)event.number,
			 (unsigned long long)event.lines, event.has_initial);

	note(play, text, (size_t)n);
	note(play, event.user.data, event.user.size);
	note(play, event.secret.data, event.secret.size);
	note(play, event.mechanism.data, event.mechanism.size);
	answer(play, &event);
	CHECK(pop3_server_want(&play->server) != POP3_WANT_REPLY);
}

static void lines(struct play *play)
{
	char out[96];

	for (uint32_t i = 1; i <= MESSAGES; i++) {
		if (!pop3_server_marked(&play->server, i))
			note(play, out, pop3_server_line_list(out, sizeof(out), i, octets_of(i)));
	}
	pop3_server_lines_end(&play->server);
}

static void body(struct play *play)
{
	pop3_span rest = {mail[play->asked.number - 1], strlen(mail[play->asked.number - 1])};
	char out[256];

	while (pop3_server_want(&play->server) == POP3_WANT_BODY) {
		size_t take = rest.size != 0 ? cut(play, rest.size) : 0;
		pop3_span in = {rest.data, take};
		size_t cap = 3 + cut(play, sizeof(out) - 3);
		size_t n = pop3_server_body(&play->server, &in, take == rest.size, out, cap);

		CHECK(n <= cap);
		note(play, out, n);
		rest.data += take - in.size;
		rest.size -= take - in.size;
	}
	CHECK(pop3_server_want(&play->server) == POP3_WANT_OUTPUT);
}

/* A reply's first line has at most 512 octets; every reply ends in CRLF. */
static void output(struct play *play)
{
	char out[1024], last = 0;
	size_t all = 0;

	while (pop3_server_want(&play->server) == POP3_WANT_OUTPUT) {
		size_t n = pop3_server_pull(&play->server, out, cut(play, sizeof(out)));

		note(play, out, n);
		all += n;
		if (n != 0)
			last = out[n - 1];
	}
	CHECK(all != 0 && all < 1024 && last == '\n');
}

static uint64_t run(pop3_span in, unsigned how, bool whole)
{
	struct play *play = calloc(1, sizeof(*play));
	uint64_t sum;

	play->settings = (struct pop3_server_settings){
		.implementation = how & 1 ? "Valija" : NULL,
		.mechanisms = how & 2 ? "PLAIN" : NULL,
		.mechanisms_tls = "PLAIN LOGIN",
		.plain_login = how & 4,
		.plain_login_tls = true,
		.stls = how & 8,
		.max_bad_commands = how & 16 ? 4 : 0,
		.expire_days = (int32_t)(how >> 5 & 3) - 2,
		.login_delay = how & 512 ? 60 : -1,
		.login_delay_user = how & 1024,
		.utf8 = how & 2048,
		.lang = how & 4096,
	};
	play->whole = whole;
	play->seed = how;
	pop3_server_init(&play->server, &play->settings, how & 128, (pop3_span){"host", 4},
			 (pop3_span){"<1@b>", how & 256 ? 5 : 0});
	pop3_server_lend_name(&play->server, play->name);
	for (bool going = true; going;) {
		switch (pop3_server_want(&play->server)) {
		case POP3_WANT_INPUT:
			going = in.size != 0;
			if (going)
				input(play, &in);
			break;
		case POP3_WANT_OUTPUT:
			output(play);
			break;
		case POP3_WANT_LINES:
			lines(play);
			break;
		case POP3_WANT_BODY:
			body(play);
			break;
		case POP3_WANT_TLS:
			/* the rest of the input was sent in the clear and is lost */
			if (in.size != 0)
				input(play, &in);
			else
				pop3_server_tls_started(&play->server);
			break;
		case POP3_WANT_CLOSE:
			going = false;
			break;
		case POP3_WANT_REPLY:
			abort();
		}
	}
	sum = play->record.sum;
	free(play);
	return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 2)
		return 0;
	unsigned how = data[0] | (unsigned)data[1] << 8;
	pop3_span in = {(const char *)data + 2, size - 2};

	CHECK(run(in, how, true) == run(in, how, false));
	return 0;
}
