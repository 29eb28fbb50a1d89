/*
 * The grammar of LMTP's command lines (RFC 5321 section 4.1): the verb, the path of MAIL and RCPT,
 * the parameters of extensions. For the machine in lmtp.c alone. Spans point into the line.
 */
#ifndef LMTP_COMMAND_PRIVATE_H
#define LMTP_COMMAND_PRIVATE_H

#include "lmtp/lmtp.h"

enum lmtp_verb {
	LMTP_LHLO,
	LMTP_MAIL,
	LMTP_RCPT,
	LMTP_DATA,
	LMTP_RSET,
	LMTP_NOOP,
	LMTP_QUIT,
	LMTP_VRFY,
	LMTP_HELP,
	LMTP_HELO,     /* HELO and EHLO: SMTP, not LMTP */
	LMTP_NOT_HERE, /* STARTTLS, AUTH, BDAT …: known, not offered */
	LMTP_UNKNOWN
};

/* line has no CRLF. *ret_args: what is behind the verb and one space, without trailing spaces. */
enum lmtp_verb lmtp_verb_parse(pop3_span line, pop3_span *ret_args);

/* The refusal of a line, as a reply. code 0: it is not refused. */
struct lmtp_refusal {
	uint16_t code;
	const char *enhanced, *text;
};

/* "FROM:<path> parameters" / "TO:<path>". On success the event's path, size, body, utf8 and
 * unwritable are filled in, and *ret_address (MAIL: both parts empty if path is no address). */
struct lmtp_refusal lmtp_mail_parse(pop3_span args, const struct lmtp_server_settings *settings,
				    struct lmtp_event *event, struct lmtp_address *ret_address);
struct lmtp_refusal lmtp_rcpt_parse(pop3_span args, struct lmtp_event *event,
				    struct lmtp_address *ret_address);

/* A domain or address literal as LHLO gives it: printable, harmless in a header. */
bool lmtp_peer_name_valid(pop3_span name);

#endif
