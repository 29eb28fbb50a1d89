/*
 * The grammar of LMTP's command lines: verb, path and parameters (RFC 5321 section 4.1, RFC 1870,
 * 6152, 6531). Pure functions, called by verbs.c; a line is whole and hostile, and what is wrong
 * with it comes back as a reply.
 */
#include "lmtp/command_private.h"

#include "base/text.h"

#include <string.h>

#define REFUSE(...)                  \
	return (struct lmtp_refusal) \
	{                            \
		__VA_ARGS__          \
	}
static const struct lmtp_refusal fine = {0, NULL, NULL};

static pop3_span skip(pop3_span text, size_t n)
{
	return (pop3_span){text.data + n, text.size - n};
}

enum lmtp_verb lmtp_verb_parse(pop3_span line, pop3_span *ret_args)
{
	static const struct {
		const char *name;
		enum lmtp_verb verb;
	} verbs[] = {
		{"LHLO", LMTP_LHLO},     {"MAIL", LMTP_MAIL},         {"RCPT", LMTP_RCPT},
		{"DATA", LMTP_DATA},     {"RSET", LMTP_RSET},         {"NOOP", LMTP_NOOP},
		{"QUIT", LMTP_QUIT},     {"VRFY", LMTP_VRFY},         {"HELP", LMTP_HELP},
		{"HELO", LMTP_HELO},     {"EHLO", LMTP_HELO},         {"STARTTLS", LMTP_NOT_HERE},
		{"AUTH", LMTP_NOT_HERE}, {"BDAT", LMTP_NOT_HERE},     {"EXPN", LMTP_NOT_HERE},
		{"ETRN", LMTP_NOT_HERE}, {"XFORWARD", LMTP_NOT_HERE}, {"TURN", LMTP_NOT_HERE},
	};
	pop3_span verb = {line.data, 0};

	while (line.size && line.data[line.size - 1] == ' ')
		line.size--;
	while (verb.size < line.size && line.data[verb.size] != ' ')
		verb.size++;
	*ret_args = skip(line, verb.size < line.size ? verb.size + 1 : verb.size);
	for (size_t i = 0; i < sizeof(verbs) / sizeof(*verbs); i++)
		if (span_equal_nocase(verb, span_of(verbs[i].name)))
			return verbs[i].verb;
	return LMTP_UNKNOWN;
}

/* "<…>" at the front of *args, taken off; the inside without source route to *ret_path. */
static bool take_path(pop3_span *args, pop3_span *ret_path)
{
	pop3_span inside;
	size_t end = 1;
	bool quoted = false;

	if (args->size < 2 || args->data[0] != '<')
		return false;
	for (; end < args->size && (quoted || args->data[end] != '>'); end++) {
		if (args->data[end] == '"')
			quoted = !quoted;
		else if (quoted && args->data[end] == '\\')
			end++;
	}
	if (end >= args->size || (end + 1 < args->size && args->data[end + 1] != ' '))
		return false;
	inside = (pop3_span){args->data + 1, end - 1};
	if (inside.size && inside.data[0] == '@') {
		/* a route is read and ignored (RFC 5321 appendix C) */
		const char *colon = memchr(inside.data, ':', inside.size);

		if (!colon)
			return false;
		inside = skip(inside, (size_t)(colon - inside.data) + 1);
		if (inside.size == 0)
			return false;
	}
	*args = skip(*args, end + 1);
	*ret_path = inside;
	return true;
}

/* The path of MAIL. A sender that an MTA has accepted is not refused for its form, so where the
 * grammar finds no path, everything up to a ">" that ends a word is one. */
static bool take_sender(pop3_span *args, pop3_span *ret_path)
{
	if (take_path(args, ret_path))
		return true;
	if (args->size == 0 || args->data[0] != '<')
		return false;
	for (size_t end = 1; end < args->size; end++) {
		if (args->data[end] != '>' || (end + 1 < args->size && args->data[end + 1] != ' '))
			continue;
		*ret_path = (pop3_span){args->data + 1, end - 1};
		*args = skip(*args, end + 1);
		return true;
	}
	return false;
}

enum parameter { PARAMETER_NONE, PARAMETER_TAKEN, PARAMETER_MALFORMED };

/* The next " keyword[=value]" of *args, taken off. */
static enum parameter take_parameter(pop3_span *args, pop3_span *ret_keyword, pop3_span *ret_value)
{
	pop3_span whole;
	const char *equals;

	while (args->size && args->data[0] == ' ')
		*args = skip(*args, 1);
	if (args->size == 0)
		return PARAMETER_NONE;
	whole = (pop3_span){args->data, 0};
	while (whole.size < args->size && args->data[whole.size] != ' ')
		whole.size++;
	*args = skip(*args, whole.size);
	equals = memchr(whole.data, '=', whole.size);
	*ret_keyword = whole;
	*ret_value = (pop3_span){whole.data + whole.size, 0};
	if (equals) {
		ret_keyword->size = (size_t)(equals - whole.data);
		*ret_value = skip(whole, ret_keyword->size + 1);
		if (ret_value->size == 0)
			return PARAMETER_MALFORMED;
	}
	for (size_t i = 0; i < ret_keyword->size; i++) {
		char c = ret_keyword->data[i];

		if (!((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
		      (i && c == '-')))
			return PARAMETER_MALFORMED;
	}
	return ret_keyword->size ? PARAMETER_TAKEN : PARAMETER_MALFORMED;
}

struct mail_parameters {
	bool size, body, utf8; /* seen */
};

static struct lmtp_refusal mail_parameter(pop3_span keyword, pop3_span value,
					  const struct lmtp_server_settings *settings,
					  struct mail_parameters *seen, struct lmtp_event *event)
{
	if (span_equal_nocase(keyword, SPAN_LITERAL("SIZE"))) {
		/* RFC 1870: at most 20 digits */
		if (seen->size || value.size > 20 ||
		    span_number(value, UINT64_MAX, &event->size) < 0)
			REFUSE(501, "5.5.4", "SIZE wants one number of octets");
		seen->size = true;
		if (settings->max_size && event->size > settings->max_size)
			REFUSE(552, "5.3.4", "Message is larger than this server takes");
		return fine;
	}
	if (span_equal_nocase(keyword, SPAN_LITERAL("BODY"))) {
		if (!seen->body && span_equal_nocase(value, SPAN_LITERAL("8BITMIME")))
			event->body = LMTP_BODY_8BITMIME;
		else if (seen->body || !span_equal_nocase(value, SPAN_LITERAL("7BIT")))
			REFUSE(501, "5.5.4", "BODY wants 7BIT or 8BITMIME");
		seen->body = true;
		return fine;
	}
	if (settings->smtputf8 && span_equal_nocase(keyword, SPAN_LITERAL("SMTPUTF8"))) {
		if (seen->utf8 || value.size)
			REFUSE(501, "5.5.4", "SMTPUTF8 stands alone");
		seen->utf8 = event->utf8 = true;
		return fine;
	}
	REFUSE(555, "5.5.4", "MAIL parameter is not known here");
}

struct lmtp_refusal lmtp_mail_parse(pop3_span args, const struct lmtp_server_settings *settings,
				    struct lmtp_event *event, struct lmtp_address *ret_address)
{
	struct mail_parameters seen = {false, false, false};
	pop3_span path, keyword, value;
	enum parameter found;

	event->size = 0;
	event->utf8 = false;
	event->body = LMTP_BODY_7BIT;
	if (args.size < 5 || !span_equal_nocase((pop3_span){args.data, 5}, SPAN_LITERAL("FROM:")))
		REFUSE(501, "5.5.4", "Syntax: MAIL FROM:<address>");
	args = skip(args, 5);
	if (!take_sender(&args, &path))
		REFUSE(501, "5.5.4", "Syntax: MAIL FROM:<address>");
	while ((found = take_parameter(&args, &keyword, &value)) == PARAMETER_TAKEN) {
		struct lmtp_refusal refusal =
			mail_parameter(keyword, value, settings, &seen, event);

		if (refusal.code)
			return refusal;
	}
	if (found == PARAMETER_MALFORMED)
		REFUSE(501, "5.5.4", "MAIL parameter is malformed");
	event->path = path;
	event->unwritable = (pop3_span){path.data, 0};
	*ret_address = (struct lmtp_address){event->unwritable, event->unwritable};
	if (!lmtp_sender_writable(path) || (path.size && path.data[0] == '@')) {
		event->unwritable = path;
		event->path.size = 0;
	} else {
		/* what is no address by the grammar is a sender all the same */
		(void)lmtp_address_check(path, true, true, ret_address);
	}
	return fine;
}

struct lmtp_refusal lmtp_rcpt_parse(pop3_span args, struct lmtp_event *event,
				    struct lmtp_address *ret_address)
{
	pop3_span path, keyword, value;

	if (args.size < 3 || !span_equal_nocase((pop3_span){args.data, 3}, SPAN_LITERAL("TO:")))
		REFUSE(501, "5.5.4", "Syntax: RCPT TO:<address>");
	args = skip(args, 3);
	if (!take_path(&args, &path))
		REFUSE(501, "5.5.4", "Syntax: RCPT TO:<address>");
	switch (take_parameter(&args, &keyword, &value)) {
	case PARAMETER_NONE:
		break;
	case PARAMETER_MALFORMED:
		REFUSE(501, "5.5.4", "RCPT parameter is malformed");
	case PARAMETER_TAKEN:
		REFUSE(555, "5.5.4", "RCPT parameter is not known here");
	}
	event->path = path;
	/* without a domain: Postmaster (RFC 5321 4.1.1.3), and for LMTP any local name. UTF-8 also
	 * without SMTPUTF8: the MTA has accepted the message, and the user may well exist */
	switch (lmtp_address_check(path, true, true, ret_address)) {
	case LMTP_ADDRESS_OK:
		return fine;
	case LMTP_ADDRESS_LONG:
		REFUSE(501, "5.1.3", "Recipient address is too long");
	case LMTP_ADDRESS_NOT_ASCII:
	case LMTP_ADDRESS_BAD:
		break;
	}
	REFUSE(501, "5.1.3", "Recipient address is malformed");
}

bool lmtp_peer_name_valid(pop3_span name)
{
	if (name.size == 0 || name.size > LMTP_PEER_NAME_MAX)
		return false;
	for (size_t i = 0; i < name.size; i++) {
		char c = name.data[i];

		if (!((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
		      (c && strchr(".-_:[]", c))))
			return false;
	}
	return true;
}
