/*
 * Commands of the LMTP machine: one short function a verb (RFC 2033 on RFC 5321). Each queues a
 * reply, or returns the event that the program must answer. Called by lmtp.c with a whole line,
 * which is hostile.
 */
#include "lmtp/verbs_private.h"

#include "lmtp/command_private.h"
#include "lmtp/reply_private.h"

#include <assert.h>
#include <string.h>

/* Refuses a line that the grammar refused. A message that is too big is no fault of form: the line
 * does not count as a bad one. */
static void refuse_parsed(struct lmtp_server *server, const struct lmtp_refusal *refusal)
{
	if (refusal->code == 552) {
		server->too_big = true;
		lmtp_reply(server, refusal->code, refusal->enhanced, refusal->text);
	} else {
		lmtp_refuse(server, refusal->code, refusal->enhanced, refusal->text);
	}
}

static enum lmtp_event_type owe(struct lmtp_server *server, enum lmtp_event_type type)
{
	server->owed = (uint8_t)type;
	server->phase = PHASE_OWED;
	return type;
}

/* Ends the transaction. Returns LMTP_EVENT_RESET if one was open. */
static enum lmtp_event_type reset(struct lmtp_server *server)
{
	bool open = server->phase == PHASE_MAIL;

	lmtp_forget_transaction(server);
	return open ? LMTP_EVENT_RESET : LMTP_EVENT_NONE;
}

static void offer(struct lmtp_server *server, const char *feature)
{
	lmtp_put(server, "250-");
	lmtp_put(server, feature);
	lmtp_put_end(server);
}

static enum lmtp_event_type lhlo(struct lmtp_server *server, pop3_span name)
{
	enum lmtp_event_type type;

	if (!lmtp_peer_name_valid(name)) {
		lmtp_refuse(server, 501, "5.5.4", "Syntax: LHLO host-name");
		return LMTP_EVENT_NONE;
	}
	type = reset(server);
	memcpy(server->peer_name, name.data, name.size);
	server->peer_name_size = (uint16_t)name.size;
	server->greeted = true;
	server->bad_commands = 0;
	offer(server, server->settings->host_name);
	offer(server, "PIPELINING");
	offer(server, "ENHANCEDSTATUSCODES");
	offer(server, "8BITMIME");
	if (server->settings->smtputf8)
		offer(server, "SMTPUTF8");
	/* SIZE 0: no limit is announced (RFC 1870 section 4) */
	lmtp_put(server, "250 SIZE ");
	lmtp_put_number(server, server->settings->max_size);
	lmtp_put_end(server);
	return type;
}

static void set_address(struct lmtp_server *server, const struct lmtp_address *address,
			struct lmtp_event *event)
{
	event->address = event->path; /* of a sender that is no address */
	if (address->local.size)
		event->address = (pop3_span){server->address,
					     lmtp_address_unquote(address, server->address)};
}

static enum lmtp_event_type mail(struct lmtp_server *server, pop3_span args,
				 struct lmtp_event *event)
{
	struct lmtp_address address;
	struct lmtp_refusal refusal;

	if (!server->greeted) {
		lmtp_refuse(server, 503, "5.5.1", "Send LHLO first");
		return LMTP_EVENT_NONE;
	}
	if (server->phase == PHASE_MAIL) {
		lmtp_refuse(server, 503, "5.5.1", "A transaction is open already");
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
		lmtp_refuse(server, 503, "5.5.1", "Send MAIL first");
		return LMTP_EVENT_NONE;
	}
	refusal = lmtp_rcpt_parse(args, event, &address);
	if (refusal.code) {
		refuse_parsed(server, &refusal);
		return LMTP_EVENT_NONE;
	}
	if (server->accepted >= server->settings->max_recipients) {
		/* no error of form: a client with many recipients sends the rest later */
		lmtp_reply(server, 452, "4.5.3", "Too many recipients");
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
		lmtp_refuse(server, 501, "5.5.4", "DATA takes no argument");
		return LMTP_EVENT_NONE;
	}
	if (server->accepted == 0) {
		/* RFC 2033 section 4.2; a pipelining client sends DATA before it can know that */
		lmtp_reply(server, 503, "5.5.1", "No valid recipients");
		return LMTP_EVENT_NONE;
	}
	return owe(server, LMTP_EVENT_DATA);
}

static enum lmtp_event_type quit(struct lmtp_server *server)
{
	enum lmtp_event_type type = reset(server);

	lmtp_accept(server, 221, "2.0.0", "Bye");
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
			lmtp_refuse(server, 501, "5.5.4", "RSET takes no argument");
			break;
		}
		type = reset(server);
		lmtp_accept(server, 250, "2.0.0", "Forgotten");
		break;
	case LMTP_NOOP:
		lmtp_accept(server, 250, "2.0.0", "OK");
		break;
	case LMTP_QUIT:
		if (args.size == 0)
			return quit(server);
		lmtp_refuse(server, 501, "5.5.4", "QUIT takes no argument");
		break;
	case LMTP_VRFY:
		if (args.size)
			lmtp_accept(server, 252, "2.0.0", "Send mail to find out");
		else
			lmtp_refuse(server, 501, "5.5.4", "Syntax: VRFY name");
		break;
	case LMTP_HELP:
		lmtp_accept(server, 214, "2.0.0",
			    "LHLO MAIL RCPT DATA RSET NOOP QUIT VRFY HELP (RFC 2033)");
		break;
	case LMTP_HELO:
		lmtp_refuse(server, 500, "5.5.1", "This is LMTP: send LHLO");
		break;
	case LMTP_NOT_HERE:
		lmtp_refuse(server, 502, "5.5.1", "Not offered");
		break;
	case LMTP_UNKNOWN:
		lmtp_refuse(server, 500, "5.5.1", "Command is not known");
		break;
	}
	return type;
}

enum lmtp_event_type lmtp_run_line(struct lmtp_server *server, struct lmtp_event *event)
{
	pop3_span args, line = {server->line, server->line_size};
	bool too_long = server->discard, bad_octet = server->bad_octet;
	enum lmtp_verb verb = lmtp_verb_parse(line, &args);

	server->line_size = 0;
	server->discard = server->bad_octet = false;
	if (verb != LMTP_MAIL && verb != LMTP_RCPT && line.size > LMTP_COMMAND_MAX - 2)
		too_long = true;
	if (too_long)
		lmtp_refuse(server, 500, "5.5.2", "Command line is too long");
	else if (bad_octet)
		lmtp_refuse(server, 500, "5.5.2", "Control character in a command line");
	else
		return run_verb(server, verb, args, event);
	return LMTP_EVENT_NONE;
}
