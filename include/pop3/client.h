/*
 * The client's side of a POP3 session without I/O (RFC 1939, 2449, 2595, 5034, 6856).
 *
 * pop3_client_command() renders a command and remembers which reply it will get; pop3_client_next()
 * takes received octets and returns one event at a time. Commands may be pipelined: up to
 * POP3_CLIENT_WINDOW may be unanswered. The machine trusts nothing: lines, listings and ids are
 * bounded, only CRLF.CRLF ends a message. No socket, no clock, no allocation.
 */
#ifndef POP3_CLIENT_H
#define POP3_CLIENT_H

#include <pop3/message.h>
#include <pop3/server.h>
#include <pop3/span.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Commands that may be unanswered at a time. */
#define POP3_CLIENT_WINDOW 1024
/* Octets of a reply's first line and of a listing's lines, with CRLF. */
#define POP3_CLIENT_LINE_MAX 1024
/* Octets of a unique id, RFC 1939 section 7. */
#define POP3_UNIQUE_ID_MAX 70
/* Octets of a unique id that the client machine takes from a server: many give longer ones than RFC
 * 1939 allows, with octets beyond ASCII and blanks inside; control characters are refused. */
#define POP3_CLIENT_ID_MAX 255

/* The commands; behind each the arguments of pop3_client_command() that it uses. */
enum pop3_command {
	POP3_GREETING, /* not a command: the reply that comes first */
	POP3_CAPA,
	POP3_STLS,
	POP3_USER, /* text: the name */
	POP3_PASS, /* text: the password */
	POP3_APOP, /* text: "name digest" */
	POP3_AUTH, /* text: "MECHANISM" or "MECHANISM initial-response" */
	POP3_SASL, /* text: a response in base64, may be empty; "*" cancels */
	POP3_STAT,
	POP3_LIST, /* number, 0: all */
	POP3_UIDL, /* number, 0: all */
	POP3_RETR, /* number */
	POP3_TOP,  /* number, lines */
	POP3_DELE, /* number */
	POP3_RSET,
	POP3_NOOP,
	POP3_QUIT,
	POP3_UTF8,
	POP3_LANG, /* text: a language such as "es", "*": the server's own, or empty: a list */
	POP3_COMMAND_COUNT
};

/* Results of pop3_client_next(); behind each the members of the event that hold something. */
enum pop3_client_event_type {
	/* All input is taken: receive more. */
	POP3_CLIENT_MORE,
	/* The first or only line of a reply: ok, code, text (UTF-8 behind LANG). STAT: count,
	 * octets. LIST n: octets. UIDL n: text is the unique id. RETR: octets. */
	POP3_CLIENT_REPLY,
	/* "+ " during AUTH: text is the challenge in base64. */
	POP3_CLIENT_CHALLENGE,
	/* A line of a listing. CAPA, LANG: text. LIST: number, octets. UIDL: number, text is the
	 * unique id, 1 to POP3_CLIENT_ID_MAX octets without the blanks around it. */
	POP3_CLIENT_LINE,
	/* Octets of a message: text, unstuffed, in the line ends asked for. */
	POP3_CLIENT_BODY,
	/* The end of a listing or of a message; octets: of the message. */
	POP3_CLIENT_END,
	/* The server broke the protocol and the session is over: text is the reason, in English. */
	POP3_CLIENT_BAD,
};

struct pop3_client_event {
	enum pop3_client_event_type type;
	/* The command that this answers. */
	enum pop3_command command;
	/* The message number asked for or listed, from 1; 0: none. */
	uint32_t number;
	/* "+OK" or "+ ", not "-ERR". */
	bool ok;
	/*
	 * The numbers of a LINE, or of "+OK" to STAT, LIST n or UIDL n, cannot be parsed: octets,
	 * count and text hold nothing. The number of such a LINE is what could be read, or 0: of a
	 * line of LIST without a readable size it is there.
	 */
	bool malformed;
	/* The response code in "[]" (RFC 2449 section 8, RFC 3206). */
	enum pop3_code code;
	/*
	 * STAT: octets of all messages. LIST: octets of the message. The reply to RETR: the octets
	 * that the server announced, 0 if none. END: octets received (after unstuffing).
	 */
	uint64_t octets;
	/* STAT: the number of messages. */
	uint32_t count;
	/* Valid until the next call that takes the machine; of a BODY, as long as the scratch. */
	pop3_span text;
};

/* Private: a command without a complete reply. */
struct pop3_client_pending {
	uint8_t command;
	uint8_t all; /* LIST/UIDL without a number, LANG without a language: multi-line */
	uint32_t number;
};

/* Embedded by the caller; every member is private. About 10 KiB, most of it the window, which can
 * be cut: pop3_client_size(). */
struct pop3_client {
	uint64_t max_lines; /* of one listing */
	uint64_t lines;
	struct pop3_decoder decoder;
	enum pop3_line_ends line_ends;
	uint32_t head, pending;
	uint32_t window_size;
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

/* Errors of pop3_client_command(). */
enum pop3_client_error {
	/* The storage is too small for the line. */
	POP3_CLIENT_NO_ROOM = -1,
	/* Not now: the window is full; or AUTH, SASL or STLS is unanswered; or STLS itself while a
	 * reply is due; or the session is over. */
	POP3_CLIENT_MUST_WAIT = -2,
	/* An argument breaks the line (CR, LF, NUL), is empty or 0 where that is not allowed, or
	 * makes the line longer than its limit. */
	POP3_CLIENT_BAD_ARGUMENT = -3,
};

/*
 * Begins a session; the greeting is expected first.
 * line_ends: the line ends in which messages are handed over. max_lines: the lines that a listing
 * may have (CAPA and LANG: 256 at most); a longer one is POP3_CLIENT_BAD.
 */
void pop3_client_init(struct pop3_client *client, enum pop3_line_ends line_ends,
		      uint64_t max_lines);

/*
 * For storage that is smaller, where many sessions are idle: the octets that a client needs of
 * whose commands at most window (1 to POP3_CLIENT_WINDOW) are unanswered; pop3_client_init_window()
 * begins a session in them, as pop3_client_init() does, and nothing behind them is ever touched.
 */
size_t pop3_client_size(uint32_t window);
void pop3_client_init_window(struct pop3_client *client, enum pop3_line_ends line_ends,
			     uint64_t max_lines, uint32_t window);

/*
 * Renders a command and remembers that its reply is due. The caller sends the octets.
 * number: a message number from 1, or 0 for all messages of LIST and UIDL. lines: lines of the body
 * for TOP. text: see enum pop3_command; it is not needed after the call. out, cap: storage for the
 * line, cap in octets. A line with its CRLF has at most POP3_COMMAND_MAX octets, of AUTH and SASL
 * POP3_SASL_LINE_MAX.
 * Returns the octets written, or an error of enum pop3_client_error; nothing is to be sent then.
 * RFC 1939 section 3, RFC 2449 sections 4 and 6.6, RFC 5034 section 4, RFC 6856 sections 2 and 3.
 */
int pop3_client_command(struct pop3_client *client, enum pop3_command command, uint32_t number,
			uint64_t lines, pop3_span text, char *out, size_t cap);

/* Returns how many commands, the greeting included, have no complete reply yet. */
uint32_t pop3_client_unanswered(const struct pop3_client *client);

/*
 * Takes received octets up to the next event.
 * in: received octets; it is advanced past those taken. scratch, scratch_size: storage for the
 * octets of a message, in octets, at least 64.
 * Returns the event's type, also in *ret_event. POP3_CLIENT_MORE: *in is empty. POP3_CLIENT_BAD:
 * the server broke the protocol; every later call returns it again.
 * The text of a BODY points into scratch, of other events into the machine: valid until the next
 * call that takes it.
 * RFC 1939 section 3.
 */
enum pop3_client_event_type pop3_client_next(struct pop3_client *client, pop3_span *in,
					     char *scratch, size_t scratch_size,
					     struct pop3_client_event *ret_event);

/*
 * Continues the session after the TLS handshake. Between "+OK" to STLS and this call any octet
 * given to pop3_client_next() is POP3_CLIENT_BAD: an answer injected before the handshake. in:
 * received octets that pop3_client_next() has not taken; they must be none. Returns false, and the
 * session is over, if STLS was not just accepted or in has octets. RFC 2595 section 4.
 */
bool pop3_client_tls_started(struct pop3_client *client, pop3_span in);

/*
 * Finds the stamp "<...@...>" that APOP's digest is made from.
 * text: the text of the greeting's event.
 * Returns the first well-formed stamp (RFC 5322 msg-id), a span of size 0 if there is none. It is
 * part of text and lives as long.
 * RFC 1939 section 7.
 */
pop3_span pop3_greeting_stamp(pop3_span text);

#ifdef __cplusplus
}
#endif

#endif
