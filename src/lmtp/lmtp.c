/*
 * The LMTP machine's receiving half: takes command lines and content off the input. verbs.c carries
 * out the commands, reply.c renders the replies. The program owns input, scratch and the machine
 * itself; input is hostile.
 */
#include "lmtp/lmtp.h"

#include "lmtp/reply_private.h"
#include "lmtp/verbs_private.h"

#include <assert.h>
#include <string.h>

/* ---- command lines ---- */

/* Takes octets up to the next CRLF. True: the line is complete. An overlong line's rest is read and
 * forgotten, so that no tail is run as a command. */
static bool take_line(struct lmtp_server *server, pop3_span *in)
{
	size_t taken = 0;

	while (taken < in->size) {
		char c = in->data[taken++];

		if (c == '\n' && server->last_cr) {
			server->last_cr = false;
			*in = (pop3_span){in->data + taken, in->size - taken};
			return true;
		}
		if (server->last_cr)
			server->bad_octet = true; /* a bare CR */
		server->last_cr = c == '\r';
		if (c == '\r')
			continue;
		if ((unsigned char)c < 0x20 || c == 0x7F)
			server->bad_octet = true;
		if (server->line_size == LMTP_COMMAND_LONG_MAX - 2)
			server->discard = true;
		else
			server->line[server->line_size++] = c;
	}
	*in = (pop3_span){in->data + taken, 0};
	return false;
}

/* ---- content ---- */

static void fail_content(struct lmtp_server *server, uint16_t code, const char *enhanced,
			 const char *text)
{
	if (server->all.code)
		return;
	lmtp_set_outcome(&server->all, code, enhanced, text);
	server->failed_at = server->decoder.octets;
}

/* The end of the message was found behind octets that are handed over first: its LF goes back to
 * the input, so that a program that has an event also has input left, and calls again. */
static void put_end_back(const struct lmtp_server *server, pop3_span *in)
{
	if (server->decoder.done)
		*in = (pop3_span){in->data - 1, in->size + 1};
}

static enum lmtp_event_type content(struct lmtp_server *server, pop3_span *in, char *scratch,
				    size_t scratch_size, struct lmtp_event *event)
{
	uint64_t max_size = server->settings->max_size;
	bool failed = server->all.code != 0;
	size_t n = 0;

	if (server->decoder.done)
		*in = (pop3_span){in->data + 1, in->size - 1};
	else
		n = pop3_decoder_run(&server->decoder, in, scratch, scratch_size);
	if (!failed && max_size && server->decoder.octets > max_size) {
		server->too_big = true;
		fail_content(server, 552, "5.3.4", "Message is larger than this server takes");
		put_end_back(server, in);
		return LMTP_EVENT_RESET;
	}
	if (n && !failed) {
		event->text = (pop3_span){scratch, n};
		put_end_back(server, in);
		return LMTP_EVENT_CONTENT;
	}
	if (failed && server->decoder.octets - server->failed_at > LMTP_DISCARD_MAX) {
		lmtp_reply(server, 421, "4.3.2", "The rest of a refused message is too long");
		return LMTP_EVENT_NONE;
	}
	if (!server->decoder.done)
		return LMTP_EVENT_NONE;
	server->phase = PHASE_REPLIES;
	event->size = server->decoder.octets;
	return failed ? LMTP_EVENT_NONE : LMTP_EVENT_END;
}

/* ---- the machine ---- */

static void start(struct lmtp_server *server, const struct lmtp_server_settings *settings)
{
	memset(server, 0, sizeof(*server));
	server->settings = settings;
	server->phase = PHASE_COMMAND;
}

void lmtp_server_init(struct lmtp_server *server, const struct lmtp_server_settings *settings)
{
	start(server, settings);
	lmtp_put(server, "220 ");
	lmtp_put(server, settings->host_name);
	lmtp_put(server, " LMTP");
	lmtp_put_end(server);
}

void lmtp_server_init_refused(struct lmtp_server *server,
			      const struct lmtp_server_settings *settings, const char *text)
{
	start(server, settings);
	lmtp_put(server, "421 4.3.2 ");
	lmtp_put(server, settings->host_name);
	lmtp_put(server, " ");
	lmtp_put(server, text);
	lmtp_put_end(server);
	server->closing = true;
}

bool lmtp_server_took_too_big(struct lmtp_server *server)
{
	bool too_big = server->too_big;

	server->too_big = false;
	return too_big;
}

enum lmtp_want lmtp_server_want(const struct lmtp_server *server)
{
	if (server->output_sent < server->output_size || lmtp_next_outcome(server))
		return LMTP_WANT_OUTPUT;
	if (server->closing)
		return LMTP_WANT_CLOSE;
	if (server->phase == PHASE_OWED)
		return LMTP_WANT_REPLY;
	if (server->phase == PHASE_REPLIES)
		return LMTP_WANT_DATA_REPLIES;
	return LMTP_WANT_INPUT;
}

enum lmtp_event_type lmtp_server_next(struct lmtp_server *server, pop3_span *in, char *scratch,
				      size_t scratch_size, struct lmtp_event *ret_event)
{
	assert(scratch_size >= LMTP_SCRATCH_MIN);
	*ret_event = (struct lmtp_event){.type = LMTP_EVENT_NONE};
	while (lmtp_server_want(server) == LMTP_WANT_INPUT) {
		size_t before = in->size;

		if (server->phase == PHASE_CONTENT)
			ret_event->type = content(server, in, scratch, scratch_size, ret_event);
		else if (take_line(server, in))
			ret_event->type = lmtp_run_line(server, ret_event);
		if (ret_event->type != LMTP_EVENT_NONE || in->size == before)
			break;
	}
	return ret_event->type;
}

void lmtp_server_reply(struct lmtp_server *server, uint16_t code, const char *enhanced,
		       const char *text)
{
	bool accepted = code < 400;

	assert(server->phase == PHASE_OWED && code >= 250 && (code == 250 || !accepted));
	assert(!accepted || server->owed != LMTP_EVENT_DATA);
	server->phase = server->owed == LMTP_EVENT_MAIL && !accepted ? PHASE_COMMAND : PHASE_MAIL;
	if (server->owed == LMTP_EVENT_RCPT && accepted)
		server->accepted++;
	/* the program refuses a recipient or sender: the client's line was good LMTP */
	lmtp_accept(server, code, enhanced, text);
}

void lmtp_server_reply_data_go(struct lmtp_server *server)
{
	assert(server->phase == PHASE_OWED && server->owed == LMTP_EVENT_DATA);
	server->phase = PHASE_CONTENT;
	pop3_decoder_init(&server->decoder, POP3_KEEP_CRLF);
	lmtp_accept(server, 354, NULL, "Send the message, end with CRLF.CRLF");
}

void lmtp_server_fail_content(struct lmtp_server *server, uint16_t code, const char *enhanced,
			      const char *text)
{
	assert(server->phase == PHASE_CONTENT);
	fail_content(server, code, enhanced, text);
}

bool lmtp_server_receives(const struct lmtp_server *server)
{
	return server->phase == PHASE_CONTENT;
}

uint64_t lmtp_server_octets(const struct lmtp_server *server)
{
	return server->decoder.octets;
}

void lmtp_server_end(struct lmtp_server *server, const char *enhanced, const char *text)
{
	assert(lmtp_server_want(server) == LMTP_WANT_INPUT);
	lmtp_reply(server, 421, enhanced, text);
}

bool lmtp_server_idle(const struct lmtp_server *server)
{
	return server->phase == PHASE_COMMAND && server->line_size == 0 && !server->last_cr &&
	       !server->discard && server->output_size == 0;
}

pop3_span lmtp_server_peer_name(const struct lmtp_server *server)
{
	return (pop3_span){server->peer_name, server->peer_name_size};
}
