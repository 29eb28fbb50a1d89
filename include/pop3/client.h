/*
 * The client's side of a POP3 session without I/O (RFC 1939, 2449, 2595, 5034).
 *
 * pop3_client_command() renders a command and remembers which reply it will get; pop3_client_next()
 * takes received octets and returns one event at a time. Commands may be pipelined: up to
 * POP3_CLIENT_WINDOW may be unanswered. The machine trusts nothing: lines, listings and ids are
 * bounded, only CRLF.CRLF ends a message.
 */
#ifndef POP3_CLIENT_H
#define POP3_CLIENT_H

#include <pop3/message.h>
#include <pop3/server.h>
#include <pop3/span.h>

#ifdef __cplusplus
extern "C" {
#endif

#define POP3_CLIENT_WINDOW 1024
#define POP3_CLIENT_LINE_MAX 1024 /* of a reply's first line and of listing lines, with CRLF */
#define POP3_UNIQUE_ID_MAX 70

enum pop3_command {
	POP3_GREETING, /* not a command: the reply that comes first */
	POP3_CAPA,
	POP3_STLS,
	POP3_USER, /* text */
	POP3_PASS, /* text */
	POP3_APOP, /* text = "name digest" */
	POP3_AUTH, /* text = "MECHANISM[ initial]" */
	POP3_SASL, /* text = a response line in base64, "*" cancels */
	POP3_STAT,
	POP3_LIST, /* number, 0 = all */
	POP3_UIDL, /* number, 0 = all */
	POP3_RETR, /* number */
	POP3_TOP,  /* number, lines */
	POP3_DELE, /* number */
	POP3_RSET,
	POP3_NOOP,
	POP3_QUIT,
	POP3_COMMAND_COUNT
};

enum pop3_client_event_type {
	POP3_CLIENT_MORE,  /* all input taken: give more */
	POP3_CLIENT_REPLY, /* the first (or only) line: ok, code, text, and for STAT/LIST n/UIDL n
			      the numbers */
	POP3_CLIENT_CHALLENGE, /* "+ " during AUTH: text is base64 */
	POP3_CLIENT_LINE, /* a line of CAPA (text), LIST (number, octets) or UIDL (number, text =
			     unique id) */
	POP3_CLIENT_BODY, /* text: octets of the message, unstuffed, in the line ends asked for */
	POP3_CLIENT_END,  /* the end of a multi-line reply; octets: of the message as received */
	POP3_CLIENT_BAD,  /* the server broke the protocol; text says how; the session is over */
};

struct pop3_client_event {
	enum pop3_client_event_type type;
	enum pop3_command command; /* which command this answers */
	uint32_t number;           /* the message number asked for or listed */
	bool ok;
	bool malformed; /* LINE, and "+OK" to STAT, LIST n, UIDL n: cannot be parsed; octets, count
			   and text are not to be used; a LINE's number is what could be read, or 0
			 */
	enum pop3_code code;
	uint64_t octets; /* STAT: of all; LIST: of the message; RETR reply: what the server
			    announced, 0 if nothing; END: received */
	uint32_t count;  /* STAT */
	pop3_span text;  /* lives until the next call */
};

struct pop3_client_pending {
	uint8_t command;
	uint8_t all; /* LIST/UIDL without a number: multi-line */
	uint32_t number;
};

/* Embedded by the caller; members are private. About 10 KiB (the window); bodies never stay in it.
 */
struct pop3_client {
	uint64_t max_lines; /* of one listing */
	uint64_t lines;
	struct pop3_decoder decoder;
	enum pop3_line_ends line_ends;
	uint32_t head, pending;
	uint32_t line_size;
	uint32_t discarded;
	uint8_t phase;
	bool bad;
	bool last_cr;
	bool discard;
	const char *why;
	char line[POP3_CLIENT_LINE_MAX + 2];
	struct pop3_client_pending window[POP3_CLIENT_WINDOW];
};

/* max_lines: the longest listing that is believed. The greeting is expected first. */
void pop3_client_init(struct pop3_client *client, enum pop3_line_ends line_ends,
		      uint64_t max_lines);

/*
 * Renders a command into out. Returns octets written; -1 when cap is too small, -2 when the window
 * is full or an unanswered AUTH, SASL or STLS forbids a command behind it (STLS itself wants every
 * reply in), -3 when text holds CR, LF or NUL or is empty where it must not be, a number is 0 where
 * it must not be, or the line would exceed its limit (255 octets; AUTH and SASL lines 16 KiB):
 * nothing is sent then.
 */
int pop3_client_command(struct pop3_client *client, enum pop3_command command, uint32_t number,
			uint64_t lines, pop3_span text, char *out, size_t cap);
/* How many commands have no complete reply yet. */
uint32_t pop3_client_unanswered(const struct pop3_client *client);

/*
 * Takes octets from the front of *in and returns the next event. scratch receives decoded body
 * octets (BODY events point into it); scratch_size >= 64.
 */
enum pop3_client_event_type pop3_client_next(struct pop3_client *client, pop3_span *in,
					     char *scratch, size_t scratch_size,
					     struct pop3_client_event *ret_event);
/*
 * After "+OK" to STLS the machine believes nothing more: any octet given to pop3_client_next() is
 * POP3_CLIENT_BAD (an answer injected before the handshake) until this call opens the second half
 * of the session. in: what the caller has received and not yet given. Returns false, and the
 * session is over, if STLS was not just accepted or the server sent anything behind its reply (RFC
 * 2595 section 4).
 */
bool pop3_client_tls_started(struct pop3_client *client, pop3_span in);

/* The well-formed APOP stamp of a greeting's text ("<...@...>", RFC 5322 msg-id), an empty span if
 * there is none. */
pop3_span pop3_greeting_stamp(pop3_span text);

#ifdef __cplusplus
}
#endif

#endif
