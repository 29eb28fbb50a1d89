/*
 * Commands of the server machine: one table of commands, one short handler a command
 * (RFC 1939, 2449, 2595, 5034, 6856). A handler either replies by itself or fills the event that
 * the program must answer. Lines are whole, at most 253 octets, and hostile.
 */
#include "pop3/server_command_private.h"

#include "pop3/grammar_private.h"
#include "pop3/server_foreign_private.h"
#include "pop3/server_marks_private.h"
#include "pop3/server_reply_private.h"

#include <string.h>

/* Bits of enum pop3_state. */
enum { IN_AUTHORIZATION = 1 << POP3_AUTHORIZATION, IN_TRANSACTION = 1 << POP3_TRANSACTION };
/* arg.data is NULL when the keyword stands alone, so that "USER" and "USER " differ. */
enum arguments { ARG_NONE, ARG_OPTIONAL, ARG_NEEDED };

struct command {
	char name[5];
	uint8_t states;
	uint8_t arguments;
	enum pop3_event_type (*run)(struct pop3_server *server, pop3_span arg,
				    struct pop3_event *event);
};

void p3_refuse(struct pop3_server *server, enum p3_word word)
{
	uint16_t max = server->settings->max_bad_commands;

	server->bad_commands++;
	if (max && server->bad_commands >= max) {
		server->closing = true;
		word = P3_BAD_COMMANDS;
	}
	p3_reply_word(server, "-ERR", word, POP3_WANT_INPUT);
}

static enum pop3_event_type refuse(struct pop3_server *server, enum p3_word word)
{
	p3_refuse(server, word);
	return POP3_EVENT_NONE;
}

/* Replies -ERR to a valid message number that cannot be served, or to a cancelled AUTH: not counted
 * in bad_commands. */
static enum pop3_event_type deny(struct pop3_server *server, enum p3_word word)
{
	p3_reply_word(server, "-ERR", word, POP3_WANT_INPUT);
	return POP3_EVENT_NONE;
}

static enum pop3_event_type ok(struct pop3_server *server, enum p3_word word)
{
	p3_reply_word(server, "+OK", word, POP3_WANT_INPUT);
	return POP3_EVENT_NONE;
}

/* Cuts the first word off *text; false unless there is one and exactly one space behind it. */
static bool first_word(pop3_span *text, pop3_span *ret_word)
{
	const char *space = text->size ? memchr(text->data, ' ', text->size) : NULL;

	if (!space || space == text->data)
		return false;
	*ret_word = (pop3_span){text->data, (size_t)(space - text->data)};
	text->size -= ret_word->size + 1;
	text->data = space + 1;
	return true;
}

static bool one_word(pop3_span text)
{
	return text.size && !memchr(text.data, ' ', text.size);
}

/* The machine's own line is the only place a keyword or a mechanism's name points to. */
static void to_upper(struct pop3_server *server, size_t at, size_t size)
{
	for (char *p = server->line + at; p < server->line + at + size; p++) {
		if (*p >= 'a' && *p <= 'z')
			*p = (char)(*p - 'a' + 'A');
	}
}

static enum pop3_event_type no_plain_login(struct pop3_server *server)
{
	if (server->tls)
		return refuse(server, P3_PLAIN_OFF);
	server->tls_wanted = true;
	if (server->settings->stls)
		return refuse(server, P3_CLEAR_STLS);
	return refuse(server, P3_CLEAR_PORT);
}

static enum pop3_event_type run_capa(struct pop3_server *server, pop3_span arg,
				     struct pop3_event *event)
{
	p3_reply_list(server, P3_OUTPUT_CAPABILITIES);
	return POP3_EVENT_NONE;
}

static enum pop3_event_type run_stls(struct pop3_server *server, pop3_span arg,
				     struct pop3_event *event)
{
	if (server->tls)
		return refuse(server, P3_TLS_ON);
	if (!server->settings->stls)
		return refuse(server, P3_NO_TLS);
	if (server->utf8) /* RFC 6856 section 2 */
		return refuse(server, P3_TLS_BEFORE_UTF8);
	p3_reply_word(server, "+OK", P3_BEGIN_TLS, POP3_WANT_TLS);
	return POP3_EVENT_NONE;
}

static enum pop3_event_type run_user(struct pop3_server *server, pop3_span arg,
				     struct pop3_event *event)
{
	if (!p3_plain_login(server))
		return no_plain_login(server);
	if (!one_word(arg) || arg.size > POP3_NAME_MAX)
		return refuse(server, P3_USER_ARGUMENT);
	if (!server->name) {
		p3_reply_code(server, POP3_CODE_SYS_TEMP,
			      p3_word(P3_OUT_OF_MEMORY, pop3_server_language(server)));
		return POP3_EVENT_NONE;
	}
	memcpy(server->name, arg.data, arg.size);
	server->user_size = (uint8_t)arg.size;
	server->user_given = true;
	return ok(server, P3_NOW_PASS);
}

static enum pop3_event_type run_pass(struct pop3_server *server, pop3_span arg,
				     struct pop3_event *event)
{
	if (!p3_plain_login(server))
		return no_plain_login(server);
	if (server->user_size == 0)
		return refuse(server, P3_USER_FIRST);
	event->user = (pop3_span){server->name, server->user_size};
	event->secret = arg;
	return POP3_EVENT_PASS;
}

static enum pop3_event_type run_apop(struct pop3_server *server, pop3_span arg,
				     struct pop3_event *event)
{
	pop3_span name;

	if (!server->apop)
		return refuse(server, P3_NO_APOP);
	if (!first_word(&arg, &name) || arg.size != 32)
		return refuse(server, P3_APOP_ARGUMENTS);
	for (size_t i = 0; i < arg.size; i++) {
		if (!strchr("0123456789abcdefABCDEF", arg.data[i]))
			return refuse(server, P3_APOP_DIGEST);
	}
	event->user = name;
	event->secret = arg;
	return POP3_EVENT_APOP;
}

static enum pop3_event_type no_mechanism(struct pop3_server *server, pop3_span name)
{
	const struct pop3_server_settings *settings = server->settings;
	bool under_tls = name.size ? p3_in_list(settings->mechanisms_tls, name)
				   : settings->mechanisms_tls != NULL;

	if (!server->tls && under_tls) {
		server->tls_wanted = true;
		return refuse(server, settings->stls ? P3_MECHANISM_STLS : P3_MECHANISM_PORT);
	}
	return refuse(server, P3_NO_MECHANISM);
}

static enum pop3_event_type run_auth(struct pop3_server *server, pop3_span arg,
				     struct pop3_event *event)
{
	pop3_span name = arg, initial = arg;

	if (!arg.data) {
		if (*p3_mechanisms(server) == '\0')
			return no_mechanism(server, (pop3_span){NULL, 0});
		p3_reply_list(server, P3_OUTPUT_MECHANISMS);
		return POP3_EVENT_NONE;
	}
	event->has_initial = first_word(&initial, &name);
	if (!event->has_initial && !one_word(arg))
		return refuse(server, P3_AUTH_ARGUMENTS);
	to_upper(server, (size_t)(name.data - server->line), name.size);
	if (!p3_in_list(p3_mechanisms(server), name))
		return no_mechanism(server, name);
	if (event->has_initial) {
		if (initial.size == 1 && initial.data[0] == '=')
			initial.size = 0; /* RFC 5034 section 4: an empty one, but there */
		else if (initial.size == 0 || !p3_base64(initial))
			return refuse(server, P3_INITIAL_BASE64);
		event->secret = initial;
	}
	event->mechanism = name;
	return POP3_EVENT_SASL_START;
}

static enum pop3_event_type run_stat(struct pop3_server *server, pop3_span arg,
				     struct pop3_event *event)
{
	p3_reply_stat(server);
	return POP3_EVENT_NONE;
}

/* A message number: in range and not marked, or the reply is out and false comes back. */
static bool message_number(struct pop3_server *server, pop3_span text, struct pop3_event *event)
{
	uint64_t number;

	if (!p3_number(text, UINT64_MAX, &number)) {
		/* a number beyond 64 bits is a number, but no message has it */
		if (p3_digits(text) && text.data[0] != '0')
			deny(server, P3_NO_MESSAGE);
		else
			refuse(server, P3_NO_NUMBER);
		return false;
	}
	if (number < 1 || number > server->count) {
		deny(server, P3_NO_MESSAGE);
		return false;
	}
	if (pop3_server_marked(server, (uint32_t)number)) {
		deny(server, P3_MARKED);
		return false;
	}
	event->number = (uint32_t)number;
	return true;
}

static enum pop3_event_type numbered(struct pop3_server *server, pop3_span arg,
				     struct pop3_event *event, enum pop3_event_type type)
{
	if (arg.data && !message_number(server, arg, event))
		return POP3_EVENT_NONE;
	return type;
}

static enum pop3_event_type run_list(struct pop3_server *server, pop3_span arg,
				     struct pop3_event *event)
{
	return numbered(server, arg, event, POP3_EVENT_LIST);
}

static enum pop3_event_type run_uidl(struct pop3_server *server, pop3_span arg,
				     struct pop3_event *event)
{
	return numbered(server, arg, event, POP3_EVENT_UIDL);
}

static enum pop3_event_type run_retr(struct pop3_server *server, pop3_span arg,
				     struct pop3_event *event)
{
	return numbered(server, arg, event, POP3_EVENT_RETR);
}

static enum pop3_event_type run_dele(struct pop3_server *server, pop3_span arg,
				     struct pop3_event *event)
{
	return numbered(server, arg, event, POP3_EVENT_DELE);
}

static enum pop3_event_type run_top(struct pop3_server *server, pop3_span arg,
				    struct pop3_event *event)
{
	pop3_span number;

	if (!first_word(&arg, &number) || !p3_digits(arg) || (arg.size > 1 && arg.data[0] == '0'))
		return refuse(server, P3_TOP_ARGUMENTS);
	if (!p3_number(arg, POP3_ALL_LINES, &event->lines))
		event->lines = POP3_ALL_LINES; /* more than can be counted is all of them */
	return numbered(server, number, event, POP3_EVENT_TOP);
}

static enum pop3_event_type run_rset(struct pop3_server *server, pop3_span arg,
				     struct pop3_event *event)
{
	p3_marks_clear(server);
	p3_reply_totals(server, POP3_WANT_INPUT);
	return POP3_EVENT_NONE;
}

static enum pop3_event_type run_noop(struct pop3_server *server, pop3_span arg,
				     struct pop3_event *event)
{
	p3_reply(server, "+OK", "", POP3_WANT_INPUT);
	return POP3_EVENT_NONE;
}

static enum pop3_event_type run_lang(struct pop3_server *server, pop3_span arg,
				     struct pop3_event *event)
{
	enum pop3_language language;

	if (!arg.data) {
		p3_reply_list(server, P3_OUTPUT_LANGUAGES);
		return POP3_EVENT_NONE;
	}
	switch (p3_language_find(arg, &language)) {
	case P3_LANGUAGE_FOUND:
		server->language = (uint8_t)language;
		p3_reply_language(server);
		return POP3_EVENT_NONE;
	case P3_LANGUAGE_UNKNOWN:
		return deny(server, P3_NO_LANGUAGE);
	case P3_LANGUAGE_MALFORMED:
		break;
	}
	return refuse(server, P3_LANG_ARGUMENT);
}

static enum pop3_event_type run_utf8(struct pop3_server *server, pop3_span arg,
				     struct pop3_event *event)
{
	server->utf8 = true;
	return ok(server, P3_UTF8);
}

static enum pop3_event_type run_quit(struct pop3_server *server, pop3_span arg,
				     struct pop3_event *event)
{
	if (server->state == POP3_TRANSACTION) {
		server->state = POP3_UPDATE;
		return POP3_EVENT_QUIT;
	}
	server->closing = true;
	return ok(server, P3_BYE);
}

static const struct command commands[] = {
	{"RETR", IN_TRANSACTION, ARG_NEEDED, run_retr},
	{"DELE", IN_TRANSACTION, ARG_NEEDED, run_dele},
	{"TOP", IN_TRANSACTION, ARG_NEEDED, run_top},
	{"STAT", IN_TRANSACTION, ARG_NONE, run_stat},
	{"LIST", IN_TRANSACTION, ARG_OPTIONAL, run_list},
	{"UIDL", IN_TRANSACTION, ARG_OPTIONAL, run_uidl},
	{"QUIT", IN_AUTHORIZATION | IN_TRANSACTION, ARG_NONE, run_quit},
	{"CAPA", IN_AUTHORIZATION | IN_TRANSACTION, ARG_NONE, run_capa},
	{"USER", IN_AUTHORIZATION, ARG_NEEDED, run_user},
	{"PASS", IN_AUTHORIZATION, ARG_NEEDED, run_pass},
	{"AUTH", IN_AUTHORIZATION, ARG_OPTIONAL, run_auth},
	{"STLS", IN_AUTHORIZATION, ARG_NONE, run_stls},
	{"APOP", IN_AUTHORIZATION, ARG_NEEDED, run_apop},
	{"NOOP", IN_TRANSACTION, ARG_NONE, run_noop},
	{"RSET", IN_TRANSACTION, ARG_NONE, run_rset},
	{"UTF8", IN_AUTHORIZATION, ARG_NONE, run_utf8},
	{"LANG", IN_AUTHORIZATION | IN_TRANSACTION, ARG_OPTIONAL, run_lang},
};

static const struct command *find_command(pop3_span keyword)
{
	if (keyword.size < 3 || keyword.size > 4)
		return NULL;
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (p3_equal_nocase(keyword, commands[i].name))
			return &commands[i];
	}
	return NULL;
}

static bool is_offered(const struct pop3_server_settings *settings, const struct command *command)
{
	if (command->run == run_utf8)
		return settings->utf8;
	return command->run != run_lang || settings->lang;
}

/* Printable ASCII. Octets above 0x7F are taken where a command carries a name or a password: AUTH
 * has both in UTF-8 (RFC 4616), and whoever logs in by AUTH logs in by USER as well. */
static bool printable(pop3_span line)
{
	pop3_span keyword = {line.data, line.size < 5 ? line.size : 5};
	bool eight_bit = p3_equal_nocase(keyword, "PASS ") || p3_equal_nocase(keyword, "USER ") ||
			 p3_equal_nocase(keyword, "APOP ");

	for (size_t i = 0; i < line.size; i++) {
		unsigned char c = (unsigned char)line.data[i];

		if (c < 0x20 || c == 0x7f || (c > 0x7f && !eight_bit))
			return false;
	}
	return true;
}

static bool arguments_fit(const struct command *command, pop3_span arg)
{
	switch ((enum arguments)command->arguments) {
	case ARG_NONE:
		return !arg.data;
	case ARG_OPTIONAL:
		return !arg.data || arg.size;
	case ARG_NEEDED:
		return arg.size;
	}
	return false;
}

static enum pop3_event_type understand(struct pop3_server *server, pop3_span line,
				       struct pop3_event *event)
{
	pop3_span keyword = line, arg = {NULL, 0};
	const char *space = line.size ? memchr(line.data, ' ', line.size) : NULL;
	const struct command *command;

	if (!printable(line))
		return refuse(server, P3_NOT_PRINTABLE);
	if (space) {
		keyword.size = (size_t)(space - line.data);
		arg = (pop3_span){space + 1, line.size - keyword.size - 1};
	}
	command = find_command(keyword);
	if (!command || !is_offered(server->settings, command))
		return refuse(server, p3_foreign_word(keyword, arg));
	if (!(command->states & 1 << server->state))
		return refuse(server, server->state == POP3_AUTHORIZATION ? P3_LOG_IN_FIRST
									  : P3_NOT_AFTER_LOGIN);
	if (!arguments_fit(command, arg))
		return refuse(server, command->arguments == ARG_NONE ? P3_NO_ARGUMENT
								     : P3_ARGUMENT_MISSING);
	return command->run(server, arg, event);
}

enum pop3_event_type p3_command(struct pop3_server *server, pop3_span line,
				struct pop3_event *event)
{
	uint16_t bad = server->bad_commands;
	enum pop3_event_type type;

	/* PASS only directly behind a good USER: every other line forgets the name */
	server->user_given = false;
	type = understand(server, line, event);
	if (!server->user_given)
		server->user_size = 0;
	if (server->bad_commands == bad)
		server->bad_commands = 0;
	return type;
}

/* RFC 5034 section 4 wants a response that does not fit into a line to wait for the challenge.
 * Clients with tokens send it at once all the same. */
enum pop3_event_type p3_long_auth(struct pop3_server *server, pop3_span line,
				  struct pop3_event *event)
{
	pop3_span keyword, name, initial = line;

	if (server->state != POP3_AUTHORIZATION || !first_word(&initial, &keyword) ||
	    !p3_equal_nocase(keyword, "AUTH") || !first_word(&initial, &name) || !initial.size)
		return POP3_EVENT_NONE;
	to_upper(server, (size_t)(name.data - server->line), name.size);
	if (!p3_in_list(p3_mechanisms(server), name))
		return POP3_EVENT_NONE;
	server->user_given = false;
	server->user_size = 0;
	server->bad_commands = 0;
	server->initial_at = (uint8_t)(initial.data - server->line);
	server->initial_size = (uint8_t)initial.size;
	server->discard = true; /* unless the exchange goes on */
	server->discarded = 0;
	event->mechanism = name;
	return POP3_EVENT_SASL_START;
}

enum pop3_event_type p3_sasl_line(struct pop3_server *server, pop3_span line,
				  struct pop3_event *event)
{
	if (line.size == 1 && line.data[0] == '*') {
		server->in_sasl = false;
		deny(server, P3_CANCELLED);
		return POP3_EVENT_SASL_CANCEL;
	}
	if (!p3_base64(line)) {
		server->in_sasl = false;
		p3_refuse(server, P3_NOT_BASE64);
		return POP3_EVENT_SASL_CANCEL;
	}
	event->secret = line;
	return POP3_EVENT_SASL_RESPONSE;
}
