/* See lmtp.h. Replies are rendered one at a time into server->output, which is empty whenever a
 * command is worked on; so it never overflows and a client that does not read is not read from. */
#include "lmtp/lmtp.h"

#include "lmtp/command.h"

#include "base/text.h"

#include <assert.h>
#include <string.h>

enum phase {
	PHASE_COMMAND,
	PHASE_MAIL, /* a transaction is open */
	PHASE_OWED, /* the program owes a reply to server->owed */
	PHASE_CONTENT,
	PHASE_REPLIES, /* the message is complete */
};

/* --- replies --- */

static void put(struct lmtp_server *server, const char *text)
{
	/* two octets stay free for CRLF */
	for (; *text && server->output_size < LMTP_REPLY_MAX - 2; text++) {
		bool printable = *text >= 0x20 && *text <= 0x7E;

		server->output[server->output_size++] = printable ? *text : '?';
	}
}

static void put_number(struct lmtp_server *server, uint64_t number)
{
	char digits[21];
	size_t at = sizeof(digits) - 1;

	digits[at] = '\0';
	do
		digits[--at] = (char)('0' + number % 10);
	while ((number /= 10) != 0);
	put(server, digits + at);
}

static void put_end(struct lmtp_server *server)
{
	server->output[server->output_size++] = '\r';
	server->output[server->output_size++] = '\n';
}

static void reply(struct lmtp_server *server, uint16_t code, const char *enhanced, const char *text)
{
	assert(server->output_size == 0 && code >= 200 && code <= 599);
	put_number(server, code);
	put(server, " ");
	if (enhanced) {
		put(server, enhanced);
		put(server, " ");
	}
	put(server, text);
	put_end(server);
	if (code == 421)
		server->closing = true;
}

/* A line that is refused for its form. Too many in a row: somebody who does not speak LMTP. */
static void refuse(struct lmtp_server *server, uint16_t code, const char *enhanced,
		   const char *text)
{
	uint32_t limit = server->settings->max_bad_commands;

	if (limit && ++server->bad_commands >= limit)
		reply(server, 421, "4.7.0", "Too many errors, closing");
	else
		reply(server, code, enhanced, text);
}

static void accept_command(struct lmtp_server *server, uint16_t code, const char *enhanced,
			   const char *text)
{
	server->bad_commands = 0;
	reply(server, code, enhanced, text);
}

static void set_outcome(struct lmtp_outcome *outcome, uint16_t code, const char *enhanced,
			const char *text)
{
	size_t n = 0;

	assert(code >= 200 && code <= 599);
	for (; enhanced && enhanced[n] && n < sizeof(outcome->enhanced) - 1; n++)
		outcome->enhanced[n] = enhanced[n];
	outcome->enhanced[n] = '\0';
	outcome->text = text;
	outcome->code = code;
}

/* The outcome that goes out next, NULL: not known yet. */
static const struct lmtp_outcome *next_outcome(const struct lmtp_server *server)
{
	if (server->phase != PHASE_REPLIES)
		return NULL;
	if (server->outcomes && server->outcomes[server->replied].code)
		return &server->outcomes[server->replied];
	return server->all.code ? &server->all : NULL;
}

static void forget_transaction(struct lmtp_server *server)
{
	server->phase = PHASE_COMMAND;
	server->accepted = server->replied = 0;
	server->all.code = 0;
	server->utf8 = false;
}

static void render_outcome(struct lmtp_server *server, const struct lmtp_outcome *outcome)
{
	reply(server, outcome->code, outcome->enhanced[0] ? outcome->enhanced : NULL,
	      outcome->text);
	if (++server->replied == server->accepted)
		forget_transaction(server);
}

size_t lmtp_server_pull(struct lmtp_server *server, char *out, size_t cap)
{
	size_t size = 0;

	while (size < cap) {
		const struct lmtp_outcome *outcome;
		size_t n = (size_t)(server->output_size - server->output_sent);

		if (n == 0) {
			server->output_size = server->output_sent = 0;
			if (!(outcome = next_outcome(server)))
				break;
			render_outcome(server, outcome);
			continue;
		}
		if (n > cap - size)
			n = cap - size;
		memcpy(out + size, server->output + server->output_sent, n);
		server->output_sent = (uint16_t)(server->output_sent + n);
		size += n;
	}
	if (server->output_sent == server->output_size)
		server->output_size = server->output_sent = 0;
	return size;
}

/* --- commands --- */

/* What the grammar found. Too big, or an address that needs SMTPUTF8, is no fault of form. */
static void refuse_parsed(struct lmtp_server *server, const struct lmtp_refusal *refusal)
{
	if (refusal->code == 552 || refusal->code == 553)
		reply(server, refusal->code, refusal->enhanced, refusal->text);
	else
		refuse(server, refusal->code, refusal->enhanced, refusal->text);
}

static enum lmtp_event_type owe(struct lmtp_server *server, enum lmtp_event_type type)
{
	server->owed = (uint8_t)type;
	server->phase = PHASE_OWED;
	return type;
}

/* Ends what transaction there is; the event tells the program if there was one. */
static enum lmtp_event_type reset(struct lmtp_server *server)
{
	bool open = server->phase == PHASE_MAIL;

	forget_transaction(server);
	return open ? LMTP_EVENT_RESET : LMTP_EVENT_NONE;
}

static enum lmtp_event_type lhlo(struct lmtp_server *server, pop3_span name)
{
	enum lmtp_event_type type;

	if (!lmtp_peer_name_valid(name)) {
		refuse(server, 501, "5.5.4", "Syntax: LHLO host-name");
		return LMTP_EVENT_NONE;
	}
	type = reset(server);
	memcpy(server->peer_name, name.data, name.size);
	server->peer_name_size = (uint16_t)name.size;
	server->greeted = true;
	server->bad_commands = 0;
	put(server, "250-");
	put(server, server->settings->host_name);
	put_end(server);
	put(server, "250-PIPELINING");
	put_end(server);
	put(server, "250-ENHANCEDSTATUSCODES");
	put_end(server);
	put(server, "250-8BITMIME");
	put_end(server);
	if (server->settings->smtputf8) {
		put(server, "250-SMTPUTF8");
		put_end(server);
	}
	/* SIZE 0 says that there is no limit but what disks set (RFC 1870 section 4) */
	put(server, "250 SIZE ");
	put_number(server, server->settings->max_size);
	put_end(server);
	return type;
}

static void set_address(struct lmtp_server *server, const struct lmtp_address *address,
			struct lmtp_event *event)
{
	size_t size = address->local.size ? lmtp_address_unquote(address, server->address) : 0;

	event->address = (pop3_span){server->address, size};
}

static enum lmtp_event_type mail(struct lmtp_server *server, pop3_span args,
				 struct lmtp_event *event)
{
	struct lmtp_address address;
	struct lmtp_refusal refusal;

	if (!server->greeted) {
		refuse(server, 503, "5.5.1", "Send LHLO first");
		return LMTP_EVENT_NONE;
	}
	if (server->phase == PHASE_MAIL) {
		refuse(server, 503, "5.5.1", "A transaction is open already");
		return LMTP_EVENT_NONE;
	}
	refusal = lmtp_mail_parse(args, server->settings, event, &address);
	if (refusal.code) {
		refuse_parsed(server, &refusal);
		return LMTP_EVENT_NONE;
	}
	set_address(server, &address, event);
	server->utf8 = event->utf8;
	return owe(server, LMTP_EVENT_MAIL);
}

static enum lmtp_event_type rcpt(struct lmtp_server *server, pop3_span args,
				 struct lmtp_event *event)
{
	struct lmtp_address address;
	struct lmtp_refusal refusal;

	if (server->phase != PHASE_MAIL) {
		refuse(server, 503, "5.5.1", "Send MAIL first");
		return LMTP_EVENT_NONE;
	}
	refusal = lmtp_rcpt_parse(args, server->utf8, event, &address);
	if (refusal.code) {
		refuse_parsed(server, &refusal);
		return LMTP_EVENT_NONE;
	}
	if (server->accepted >= server->settings->max_recipients) {
		/* no error of form: a client with many recipients sends the rest later */
		reply(server, 452, "4.5.3", "Too many recipients");
		return LMTP_EVENT_NONE;
	}
	set_address(server, &address, event);
	event->utf8 = server->utf8;
	event->index = server->accepted;
	return owe(server, LMTP_EVENT_RCPT);
}

static enum lmtp_event_type data(struct lmtp_server *server, pop3_span args)
{
	if (args.size) {
		refuse(server, 501, "5.5.4", "DATA takes no argument");
		return LMTP_EVENT_NONE;
	}
	if (server->accepted == 0) {
		/* RFC 2033 section 4.2; a pipelining client comes here without fault of its own */
		reply(server, 503, "5.5.1", "No valid recipients");
		return LMTP_EVENT_NONE;
	}
	return owe(server, LMTP_EVENT_DATA);
}

static enum lmtp_event_type quit(struct lmtp_server *server)
{
	enum lmtp_event_type type = reset(server);

	accept_command(server, 221, "2.0.0", "Bye");
	server->closing = true;
	return type;
}

static enum lmtp_event_type run_verb(struct lmtp_server *server, enum lmtp_verb verb,
				     pop3_span args, struct lmtp_event *event)
{
	enum lmtp_event_type type = LMTP_EVENT_NONE;

	switch (verb) {
	case LMTP_LHLO:
		return lhlo(server, args);
	case LMTP_MAIL:
		return mail(server, args, event);
	case LMTP_RCPT:
		return rcpt(server, args, event);
	case LMTP_DATA:
		return data(server, args);
	case LMTP_RSET:
		if (args.size) {
			refuse(server, 501, "5.5.4", "RSET takes no argument");
			break;
		}
		type = reset(server);
		accept_command(server, 250, "2.0.0", "Forgotten");
		break;
	case LMTP_NOOP:
		accept_command(server, 250, "2.0.0", "OK");
		break;
	case LMTP_QUIT:
		if (args.size == 0)
			return quit(server);
		refuse(server, 501, "5.5.4", "QUIT takes no argument");
		break;
	case LMTP_VRFY:
		if (args.size)
			accept_command(server, 252, "2.0.0", "Send mail to find out");
		else
			refuse(server, 501, "5.5.4", "Syntax: VRFY name");
		break;
	case LMTP_HELP:
		accept_command(server, 214, "2.0.0",
			       "LHLO MAIL RCPT DATA RSET NOOP QUIT VRFY HELP (RFC 2033)");
		break;
	case LMTP_HELO:
		refuse(server, 500, "5.5.1", "This is LMTP: send LHLO");
		break;
	case LMTP_NOT_HERE:
		refuse(server, 502, "5.5.1", "Not offered");
		break;
	case LMTP_UNKNOWN:
		refuse(server, 500, "5.5.1", "Command is not known");
		break;
	}
	return type;
}

static enum lmtp_event_type run_line(struct lmtp_server *server, struct lmtp_event *event)
{
	pop3_span args, line = {server->line, server->line_size};
	bool too_long = server->discard, bad_octet = server->bad_octet;
	enum lmtp_verb verb = lmtp_verb_parse(line, &args);

	server->line_size = 0;
	server->discard = server->bad_octet = false;
	if (verb != LMTP_MAIL && verb != LMTP_RCPT && line.size > LMTP_COMMAND_MAX - 2)
		too_long = true;
	if (too_long)
		refuse(server, 500, "5.5.2", "Command line is too long");
	else if (bad_octet)
		refuse(server, 500, "5.5.2", "Control character in a command line");
	else
		return run_verb(server, verb, args, event);
	return LMTP_EVENT_NONE;
}

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

/* --- content --- */

static void fail_content(struct lmtp_server *server, uint16_t code, const char *enhanced,
			 const char *text)
{
	if (server->all.code == 0)
		set_outcome(&server->all, code, enhanced, text);
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
		fail_content(server, 552, "5.3.4", "Message is larger than this server takes");
		put_end_back(server, in);
		return LMTP_EVENT_RESET;
	}
	if (n && !failed) {
		event->text = (pop3_span){scratch, n};
		put_end_back(server, in);
		return LMTP_EVENT_CONTENT;
	}
	if (!server->decoder.done)
		return LMTP_EVENT_NONE;
	server->phase = PHASE_REPLIES;
	event->size = server->decoder.octets;
	return failed ? LMTP_EVENT_NONE : LMTP_EVENT_END;
}

/* --- the machine --- */

static void start(struct lmtp_server *server, const struct lmtp_server_settings *settings)
{
	memset(server, 0, sizeof(*server));
	server->settings = settings;
	server->phase = PHASE_COMMAND;
}

void lmtp_server_init(struct lmtp_server *server, const struct lmtp_server_settings *settings)
{
	start(server, settings);
	put(server, "220 ");
	put(server, settings->host_name);
	put(server, " LMTP");
	put_end(server);
}

void lmtp_server_init_refused(struct lmtp_server *server,
			      const struct lmtp_server_settings *settings, const char *text)
{
	start(server, settings);
	put(server, "421 4.3.2 ");
	put(server, settings->host_name);
	put(server, " ");
	put(server, text);
	put_end(server);
	server->closing = true;
}

enum lmtp_want lmtp_server_want(const struct lmtp_server *server)
{
	if (server->output_sent < server->output_size || next_outcome(server))
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
			ret_event->type = run_line(server, ret_event);
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
	/* a refusal is the program's judgement, not a client that does not speak LMTP */
	accept_command(server, code, enhanced, text);
}

void lmtp_server_reply_data_go(struct lmtp_server *server)
{
	assert(server->phase == PHASE_OWED && server->owed == LMTP_EVENT_DATA);
	server->phase = PHASE_CONTENT;
	pop3_decoder_init(&server->decoder, POP3_KEEP_CRLF);
	accept_command(server, 354, NULL, "Send the message, end with CRLF.CRLF");
}

void lmtp_server_fail_content(struct lmtp_server *server, uint16_t code, const char *enhanced,
			      const char *text)
{
	assert(server->phase == PHASE_CONTENT);
	fail_content(server, code, enhanced, text);
}

uint32_t lmtp_server_accepted(const struct lmtp_server *server)
{
	return server->accepted;
}

void lmtp_server_lend(struct lmtp_server *server, struct lmtp_outcome *outcomes)
{
	assert(server->phase == PHASE_REPLIES && server->replied == 0);
	memset(outcomes, 0, server->accepted * sizeof(*outcomes));
	server->outcomes = outcomes;
}

struct lmtp_outcome *lmtp_server_take_back(struct lmtp_server *server)
{
	struct lmtp_outcome *outcomes = server->outcomes;

	server->outcomes = NULL;
	return outcomes;
}

void lmtp_server_reply_recipient(struct lmtp_server *server, uint32_t index, uint16_t code,
				 const char *enhanced, const char *text)
{
	assert(server->phase == PHASE_REPLIES && server->outcomes && index < server->accepted &&
	       server->outcomes[index].code == 0);
	set_outcome(&server->outcomes[index], code, enhanced, text);
}

void lmtp_server_reply_all(struct lmtp_server *server, uint16_t code, const char *enhanced,
			   const char *text)
{
	assert(server->phase == PHASE_REPLIES && server->all.code == 0);
	set_outcome(&server->all, code, enhanced, text);
}

void lmtp_server_end(struct lmtp_server *server, const char *enhanced, const char *text)
{
	assert(lmtp_server_want(server) == LMTP_WANT_INPUT);
	reply(server, 421, enhanced, text);
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
