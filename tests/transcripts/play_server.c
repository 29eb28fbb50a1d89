/*
 * Plays a transcript against the server machine: a small post office in memory that answers its
 * events. Checks what the machine promises its program on the way. For tests only.
 */
#include "transcript.h"

#include <pop3/server.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MESSAGES_MAX 256
#define SASL_ROOM 1024

struct office {
	const struct transcript *transcript;
	const struct step *step;
	struct cutting *cutting;
	struct pop3_server server;
	char name[POP3_NAME_MAX]; /* of USER */
	struct pop3_server_settings settings;
	const struct step *messages[MESSAGES_MAX]; /* "id text" */
	uint32_t count;
	uint64_t octets;
	uint8_t marks[MESSAGES_MAX / 8];
	char sasl[SASL_ROOM];
	int sasl_turn;
	struct pop3_event asked; /* LIST, UIDL, RETR or TOP in hand */
	struct buffer log, output;
	char deleted[MESSAGES_MAX * 4];
};

static bool on(const struct office *office, const char *name)
{
	const char *value = transcript_setting(office->transcript, name);

	return value != NULL && strcmp(value, "yes") == 0;
}

static int number_of(const struct office *office, const char *name, int otherwise)
{
	const char *value = transcript_setting(office->transcript, name);

	return value != NULL ? atoi(value) : otherwise;
}

static bool is(pop3_span text, const char *value, size_t size)
{
	return value != NULL && text.size == size && memcmp(text.data, value, size) == 0;
}

static bool is_word(const char *setting, int n, pop3_span text)
{
	while (setting != NULL && n-- > 0) {
		setting = strchr(setting, ' ');
		setting = setting != NULL ? setting + 1 : NULL;
	}
	return setting != NULL && is(text, setting, strcspn(setting, " "));
}

static pop3_span unique_id(const struct office *office, uint32_t number)
{
	const char *text = office->messages[number - 1]->text.data;

	return (pop3_span){text, strcspn(text, " ")};
}

static pop3_span stored(const struct office *office, uint32_t number)
{
	const struct buffer *text = &office->messages[number - 1]->text;
	size_t id = unique_id(office, number).size + 1;

	return (pop3_span){text->data + id, text->size - id};
}

static uint64_t size_of(const struct office *office, uint32_t number)
{
	struct pop3_counter counter;

	pop3_counter_init(&counter);
	pop3_counter_feed(&counter, stored(office, number));
	pop3_counter_finish(&counter);
	return counter.octets;
}

static void log_span(struct office *office, const char *name, pop3_span text)
{
	if (text.size == 0)
		return;
	buffer_print(&office->log, " %s=", name);
	buffer_quote(&office->log, text);
}

static void log_event(struct office *office, const struct pop3_event *event)
{
	static const char *const names[] = {"NONE",          "PASS",        "APOP", "SASL_START",
					    "SASL_RESPONSE", "SASL_CANCEL", "LIST", "UIDL",
					    "RETR",          "TOP",         "DELE", "QUIT"};
	_Static_assert(sizeof(names) / sizeof(names[0]) == POP3_EVENT_COUNT, "every event");

	buffer_print(&office->log, "event %s %u", names[event->type], (unsigned)event->number);
	log_span(office, "user", event->user);
	log_span(office, "secret", event->secret);
	log_span(office, "mechanism", event->mechanism);
	buffer_print(&office->log, " lines=%llu initial=%d\n", (unsigned long long)event->lines,
		     event->has_initial);
}

static void emit(struct office *office, const char *data, size_t size)
{
	buffer_add(&office->output, data, size);
	buffer_add(&office->log, data, size);
}

static void login(struct office *office, bool right)
{
	if (pop3_server_take_back(&office->server) != NULL)
		memset(office->sasl, 0, sizeof(office->sasl));
	if (!right) {
		pop3_server_reply_err(&office->server, POP3_CODE_AUTH,
				      pop3_server_language(&office->server) == POP3_SPANISH
					      ? "contraseña errónea"
					      : "wrong name or password");
	} else if (on(office, "in-use")) {
		pop3_server_reply_err(&office->server, POP3_CODE_IN_USE, "another session has it");
	} else {
		pop3_server_reply_logged_in(&office->server, office->count, office->octets);
		if (office->settings.login_delay_user)
			pop3_server_user_delay(&office->server,
					       number_of(office, "user-delay", -1));
	}
}

/* PLAIN wants one response, LOGIN two; "sasl:" holds the right ones. */
static void sasl(struct office *office, const struct pop3_event *event)
{
	static const char *const turns[] = {"VXNlcm5hbWU6", "UGFzc3dvcmQ6"};
	bool start = event->type == POP3_EVENT_SASL_START;
	int wanted = number_of(office, "turns", on(office, "two-turns") ? 2 : 1);

	if (start)
		office->sasl_turn = 0;
	if (!start || event->has_initial) {
		bool right = is_word(transcript_setting(office->transcript, "sasl"),
				     office->sasl_turn, event->secret);

		if (!right || ++office->sasl_turn == wanted) {
			login(office, right);
			return;
		}
	}
	if (start && !on(office, "no-sasl-room"))
		pop3_server_lend(&office->server, office->sasl, sizeof(office->sasl));
	const char *challenge =
		wanted == 2 && office->sasl_turn < 2 ? turns[office->sasl_turn] : "";

	pop3_server_reply_challenge(&office->server, (pop3_span){challenge, strlen(challenge)});
}

static void quit(struct office *office)
{
	if (on(office, "quit-fails")) {
		pop3_server_reply_err(&office->server, POP3_CODE_SYS_TEMP,
				      "some messages are not deleted");
		return;
	}
	for (uint32_t i = 1; i <= office->count; i++) {
		size_t n = strlen(office->deleted);

		if (pop3_server_marked(&office->server, i))
			snprintf(office->deleted + n, sizeof(office->deleted) - n, " %u",
				 (unsigned)i);
	}
	pop3_server_reply_ok(&office->server, "bye");
}

static void answer(struct office *office, const struct pop3_event *event)
{
	struct pop3_server *server = &office->server;
	const char *user = transcript_setting(office->transcript, "user");
	const char *pass = transcript_setting(office->transcript, "pass");
	const char *digest = transcript_setting(office->transcript, "digest");
	uint32_t number = event->number;

	office->asked = *event;
	switch (event->type) {
	case POP3_EVENT_PASS:
		login(office, user != NULL && is(event->user, user, strlen(user)) &&
				      is(event->secret, pass, strlen(pass)));
		break;
	case POP3_EVENT_APOP:
		login(office, user != NULL && is(event->user, user, strlen(user)) &&
				      is(event->secret, digest, strlen(digest)));
		break;
	case POP3_EVENT_SASL_START:
	case POP3_EVENT_SASL_RESPONSE:
		sasl(office, event);
		break;
	case POP3_EVENT_SASL_CANCEL:
		pop3_server_take_back(server);
		break;
	case POP3_EVENT_LIST:
		if (number != 0)
			pop3_server_reply_list_one(server, number, size_of(office, number));
		else
			pop3_server_reply_listing(server);
		break;
	case POP3_EVENT_UIDL:
		if (number != 0)
			pop3_server_reply_uidl_one(server, number, unique_id(office, number));
		else
			pop3_server_reply_listing(server);
		break;
	case POP3_EVENT_RETR:
	case POP3_EVENT_TOP:
		if (on(office, "mail-gone"))
			pop3_server_reply_err(server, POP3_CODE_SYS_TEMP, "the message is gone");
		else if ((int)number == number_of(office, "needs-utf8", 0) && !server->utf8)
			pop3_server_reply_err(server, POP3_CODE_UTF8, "it needs UTF8");
		else
			pop3_server_reply_message(server,
						  size_of(office, number) +
							  (uint64_t)number_of(office, "lie", 0));
		break;
	case POP3_EVENT_DELE:
		if (!pop3_server_has_marks(server))
			pop3_server_lend_marks(server, office->marks);
		pop3_server_mark(server, number, size_of(office, number));
		break;
	case POP3_EVENT_QUIT:
		quit(office);
		break;
	case POP3_EVENT_NONE:
	case POP3_EVENT_COUNT:
		break;
	}
}

static void lines(struct office *office)
{
	char out[96];

	for (uint32_t i = 1; i <= office->count; i++) {
		size_t n;

		if (pop3_server_marked(&office->server, i))
			continue;
		if (office->asked.type == POP3_EVENT_LIST)
			n = pop3_server_line_list(out, sizeof(out), i, size_of(office, i));
		else
			n = pop3_server_line_uidl(out, sizeof(out), i, unique_id(office, i));
		emit(office, out, n);
	}
	pop3_server_lines_end(&office->server);
}

static void body(struct office *office)
{
	pop3_span rest = stored(office, office->asked.number);
	char out[4096];

	if (on(office, "mail-torn"))
		pop3_server_body_failed(&office->server);
	while (pop3_server_want(&office->server) == POP3_WANT_BODY) {
		size_t take = rest.size != 0 ? cutting_next(office->cutting, rest.size) : 0;
		pop3_span in = {rest.data, take};
		size_t cap = 3 + cutting_next(office->cutting, sizeof(out) - 3);

		emit(office, out,
		     pop3_server_body(&office->server, &in, take == rest.size, out, cap));
		rest.data += take - in.size;
		rest.size -= take - in.size;
	}
}

/* Gives one slice; the machine must take all of it unless it has something else to do. */
static void input(struct office *office, pop3_span *in)
{
	struct pop3_event event;
	pop3_span slice = {in->data, cutting_next(office->cutting, in->size)};
	size_t size = slice.size;
	enum pop3_event_type type = pop3_server_next(&office->server, &slice, &event);

	in->data += size - slice.size;
	in->size -= size - slice.size;
	if (type == POP3_EVENT_NONE) {
		if (slice.size != 0 && pop3_server_want(&office->server) == POP3_WANT_INPUT)
			transcript_fail(office->transcript, office->step, "input is not taken");
		return;
	}
	log_event(office, &event);
	answer(office, &event);
	if (pop3_server_want(&office->server) == POP3_WANT_REPLY)
		transcript_fail(office->transcript, office->step, "the reply was not taken");
}

static void feed(struct office *office, pop3_span in)
{
	char out[4096];

	for (;;) {
		switch (pop3_server_want(&office->server)) {
		case POP3_WANT_TLS: /* offered, and thrown away by the machine */
		case POP3_WANT_INPUT:
			if (in.size == 0)
				return;
			input(office, &in);
			break;
		case POP3_WANT_OUTPUT:
			emit(office, out,
			     pop3_server_pull(&office->server, out,
					      cutting_next(office->cutting, sizeof(out))));
			break;
		case POP3_WANT_LINES:
			lines(office);
			break;
		case POP3_WANT_BODY:
			body(office);
			break;
		case POP3_WANT_REPLY:
		case POP3_WANT_CLOSE:
			return;
		}
	}
}

static void expect_line(struct office *office, size_t *at)
{
	const struct step *step = office->step;
	const char *got = office->output.data + *at;
	size_t left = office->output.size - *at;
	const char *lf = left != 0 ? memchr(got, '\n', left) : NULL;
	size_t size = lf != NULL ? (size_t)(lf - got) + 1 : left;
	size_t want = step->text.size;
	bool prefix = want >= 5 && strcmp(step->text.data + want - 5, "...\r\n") == 0;

	/* "S- text": as many octets as it has */
	if (want < 2 || step->text.data[want - 1] != '\n')
		size = want < left ? want : left;
	if (prefix ? size < want - 5 || memcmp(got, step->text.data, want - 5) != 0
		   : size != want || memcmp(got, step->text.data, want) != 0) {
		struct buffer quoted = {NULL, 0, 0};

		buffer_quote(&quoted, (pop3_span){got, size});
		transcript_fail(office->transcript, step, "the server says \"%s\"",
				quoted.data != NULL ? quoted.data : "");
	}
	*at += size;
}

static void mark(struct office *office)
{
	const struct step *step = office->step;
	const char *text = step->text.data;
	enum pop3_want want = pop3_server_want(&office->server);

	if (strcmp(text, "TLS") == 0) {
		if (want != POP3_WANT_TLS)
			transcript_fail(office->transcript, step, "no handshake is wanted");
		pop3_server_tls_started(&office->server);
		buffer_print(&office->log, "TLS\n");
	} else if (strcmp(text, "closed") == 0) {
		if (want != POP3_WANT_CLOSE)
			transcript_fail(office->transcript, step, "the session goes on");
		buffer_print(&office->log, "closed\n");
	} else if (strncmp(text, "deleted", 7) == 0) {
		const char *said = strcmp(text, "deleted nothing") == 0 ? "" : text + 7;

		if (strcmp(office->deleted, said) != 0)
			transcript_fail(office->transcript, step, "deleted:%s", office->deleted);
		buffer_print(&office->log, "deleted%s\n", office->deleted);
	} else {
		transcript_fail(office->transcript, step, "unknown mark");
	}
}

static pop3_span setting_span(const struct transcript *transcript, const char *name)
{
	const char *value = transcript_setting(transcript, name);

	return value != NULL ? (pop3_span){value, strlen(value)} : (pop3_span){NULL, 0};
}

static void open_office(struct office *office)
{
	const struct transcript *transcript = office->transcript;
	const char *refused = transcript_setting(transcript, "refused");

	for (size_t i = 0; i < transcript->count; i++) {
		const struct step *step = &transcript->steps[i];

		if (step->kind != STEP_SETTING || strcmp(step->name, "message") != 0)
			continue;
		if (office->count == MESSAGES_MAX)
			transcript_fail(transcript, step, "too many messages");
		office->messages[office->count++] = step;
		office->octets += size_of(office, office->count);
	}
	office->settings = (struct pop3_server_settings){
		.implementation = transcript_setting(transcript, "implementation"),
		.mechanisms = transcript_setting(transcript, "mechanisms"),
		.mechanisms_tls = transcript_setting(transcript, "mechanisms-tls"),
		.plain_login = !on(office, "no-plain-login"),
		.plain_login_tls = !on(office, "no-plain-login-tls"),
		.stls = on(office, "stls"),
		.max_bad_commands = (uint16_t)number_of(office, "max-bad-commands", 0),
		.expire_days = number_of(office, "expire", -2),
		.login_delay = number_of(office, "login-delay", -1),
		.login_delay_user = transcript_setting(transcript, "user-delay") != NULL,
		.utf8 = on(office, "utf8"),
		.lang = on(office, "lang"),
	};
	if (refused != NULL)
		pop3_server_init_refused(&office->server, &office->settings, POP3_CODE_SYS_TEMP,
					 refused);
	else
		pop3_server_init(&office->server, &office->settings, on(office, "tls"),
				 setting_span(transcript, "host"),
				 setting_span(transcript, "stamp"));
	pop3_server_lend_name(&office->server, office->name);
}

/* In step, each of the client's lines is given alone; otherwise everything up to the next mark is
 * one stream. */
struct buffer play_server(const struct transcript *transcript, struct cutting *cutting)
{
	struct office *office = calloc(1, sizeof(*office));
	struct buffer stream = {NULL, 0, 0}, log;
	enum step_kind before = STEP_SETTING;
	size_t said = 0;

	office->transcript = transcript;
	office->cutting = cutting;
	office->step = transcript->steps;
	open_office(office);
	feed(office, (pop3_span){NULL, 0});
	for (const struct step *step = transcript->steps;; step++) {
		bool flush = step->kind == STEP_MARK || step->kind == STEP_END;

		office->step = step;
		if (cutting->in_step && step->kind == STEP_SERVER)
			expect_line(office, &said);
		else if (cutting->in_step && (flush || before == STEP_SERVER) &&
			 said != office->output.size)
			transcript_fail(transcript, step, "the server has said more: %s",
					office->output.data + said);
		before = step->kind;
		if (step->kind == STEP_CLIENT)
			buffer_add(&stream, step->text.data, step->text.size);
		if (stream.size != 0 && (flush || cutting->in_step)) {
			feed(office, (pop3_span){stream.data, stream.size});
			stream.size = 0;
		}
		if (step->kind == STEP_MARK)
			mark(office);
		if (step->kind == STEP_END)
			break;
	}
	log = office->log;
	buffer_free(&stream);
	buffer_free(&office->output);
	free(office);
	return log;
}
