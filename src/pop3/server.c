/*
 * The server machine's upper half: its start, the lines it receives, the storage lent to it (see
 * pop3/server.h). Octets are collected until CRLF into the machine's own line or, during SASL, the
 * program's lent buffer; what cannot be a command is refused without being stored. Runs in an
 * unprivileged process; input is hostile.
 */
#include "pop3/line_private.h"
#include "pop3/server_command_private.h"
#include "pop3/server_reply_private.h"

#include <assert.h>
#include <string.h>

enum {
	BARE_LINES_MAX = 100, /* replies to lines that end in LF, while no CRLF comes: a reply is
				 longer than such a line */
	CONTENT_MAX = POP3_COMMAND_MAX - 2, /* octets of a line without its CRLF */
	STAMP_MAX = 128,                    /* octets of an APOP stamp */
};

void pop3_server_init(struct pop3_server *server, const struct pop3_server_settings *settings,
		      bool tls, pop3_span host, pop3_span stamp)
{
	memset(server, 0, sizeof(*server));
	server->settings = settings;
	server->tls = tls;
	/* a stamp is sent whole or not at all */
	server->apop = stamp.size && stamp.size <= STAMP_MAX;
	p3_reply_greeting(server, host, stamp);
}

void pop3_server_init_refused(struct pop3_server *server,
			      const struct pop3_server_settings *settings, enum pop3_code code,
			      const char *text)
{
	memset(server, 0, sizeof(*server));
	server->settings = settings;
	server->closing = true;
	p3_reply_code(server, code, text);
}

enum pop3_want pop3_server_want(const struct pop3_server *server)
{
	return (enum pop3_want)server->want;
}

enum pop3_state pop3_server_state(const struct pop3_server *server)
{
	return (enum pop3_state)server->state;
}

void pop3_server_lend(struct pop3_server *server, char *buffer, uint32_t size)
{
	assert(buffer && !server->lent && server->line_size == 0);
	server->lent = buffer;
	server->lent_size = size < POP3_SASL_LINE_MAX ? size : POP3_SASL_LINE_MAX;
}

char *pop3_server_take_back(struct pop3_server *server)
{
	char *buffer = server->lent;

	if (buffer && server->in_sasl) {
		/* the exchange, if one is open, goes on in the machine's own line */
		server->line_size = 0;
	}
	server->lent = NULL;
	server->lent_size = 0;
	return buffer;
}

/* The buffer of the line in hand, and its limit. */
static struct p3_line line_of(struct pop3_server *server)
{
	bool lent = server->in_sasl && server->lent;

	return (struct p3_line){
		.buffer = lent ? server->lent : server->line,
		.max = lent ? server->lent_size : CONTENT_MAX,
		.size = &server->line_size,
		.last_cr = &server->last_cr,
	};
}

static enum pop3_event_type refuse_line(struct pop3_server *server, enum p3_line_result why)
{
	bool sasl = server->in_sasl;

	server->discard = true;
	server->discards_lines = why == P3_LINE_BARE_LF;
	server->discards_content = false;
	server->discarded = 0;
	server->line_size = 0;
	server->user_size = 0;
	server->in_sasl = false;
	p3_refuse(server, why == P3_LINE_LONG ? P3_LONG_LINE : P3_BARE_LF);
	return sasl ? POP3_EVENT_SASL_CANCEL : POP3_EVENT_NONE;
}

static enum pop3_event_type one_line(struct pop3_server *server, pop3_span *in,
				     struct pop3_event *event)
{
	struct p3_line line = line_of(server);
	enum p3_line_result result = p3_take_line(&line, in);
	pop3_span text = {line.buffer, server->line_size};
	enum pop3_event_type type = POP3_EVENT_NONE;

	if (result == P3_LINE_MORE)
		return POP3_EVENT_NONE;
	server->initial_size = 0;
	if (result == P3_LINE_LONG && !server->in_sasl)
		type = p3_long_auth(server, text, event);
	if (result != P3_LINE_OK && type == POP3_EVENT_NONE)
		return refuse_line(server, result);
	if (result == P3_LINE_OK)
		type = server->in_sasl ? p3_sasl_line(server, text, event)
				       : p3_command(server, text, event);
	server->line_size = 0;
	server->owed = (uint8_t)type;
	server->lines = event->lines;
	if (type != POP3_EVENT_NONE && type != POP3_EVENT_SASL_CANCEL)
		server->want = POP3_WANT_REPLY;
	return type;
}

enum pop3_event_type pop3_server_next(struct pop3_server *server, pop3_span *in,
				      struct pop3_event *ret_event)
{
	*ret_event = (struct pop3_event){.type = POP3_EVENT_NONE};
	while (server->want == POP3_WANT_INPUT && in->size) {
		if (!server->discard) {
			ret_event->type = one_line(server, in, ret_event);
			if (ret_event->type != POP3_EVENT_NONE)
				break;
			continue;
		}
		switch (p3_discard_line(in, &server->last_cr, &server->discarded, POP3_DISCARD_MAX,
					server->discards_lines ? &server->discards_content
							       : NULL)) {
		case P3_LINE_OK:
			server->discard = false;
			break;
		case P3_LINE_MORE:
			break;
		case P3_LINE_BARE_LF:
			if (server->bad_commands < BARE_LINES_MAX)
				p3_refuse(server, P3_BARE_LF);
			break;
		case P3_LINE_LONG:
			server->want = POP3_WANT_CLOSE;
			break;
		}
	}
	if (server->after == POP3_WANT_TLS && in->size) {
		/* what came in the clear behind STLS */
		in->data += in->size;
		in->size = 0;
	}
	return ret_event->type;
}

void pop3_server_lend_name(struct pop3_server *server, char *name)
{
	assert(!server->name);
	server->name = name;
}

char *pop3_server_take_back_name(struct pop3_server *server)
{
	char *name = server->name;

	server->name = NULL;
	server->user_size = 0;
	return name;
}

bool pop3_server_wants_name(const struct pop3_server *server)
{
	return server->state == POP3_AUTHORIZATION && !server->name;
}

void pop3_server_tls_started(struct pop3_server *server)
{
	assert(server->want == POP3_WANT_TLS);
	server->tls = true;
	server->want = POP3_WANT_INPUT;
	server->after = POP3_WANT_INPUT;
	server->line_size = 0;
	server->user_size = 0;
	server->bad_commands = 0;
	server->in_sasl = false;
	server->discard = false;
	server->last_cr = false;
	server->utf8 = false;
	server->language = POP3_ENGLISH; /* whoever asked for another one in the clear */
	memset(server->line, 0, sizeof(server->line));
	if (server->name)
		memset(server->name, 0, POP3_NAME_MAX);
}
