/* clang-format off: the table below stays a table */
/*
 * The server's side of a POP3 session without I/O: octets in, events out, replies in, octets out
 * (RFC 1939, 2449, 2595, 3206, 5034, 6856). No socket, no clock, no allocation.
 *
 * The program asks pop3_server_want() what comes next and does it:
 *   WANT_INPUT   give received octets to pop3_server_next(); it may return an event
 *   WANT_REPLY   answer the event returned before, with one of pop3_server_reply_*
 *   WANT_OUTPUT  pull octets with pop3_server_pull() and send them
 *   WANT_LINES   a listing is open: send its lines, rendered by pop3_server_line_list() or
 *                pop3_server_line_uidl(), then call pop3_server_lines_end()
 *   WANT_BODY    a message is open: pop3_server_body() with stored octets
 *   WANT_TLS     the reply to STLS is out: start the handshake, then pop3_server_tls_started()
 *   WANT_CLOSE   everything is out: close the connection
 * One command is worked on at a time, so replies keep the order of pipelined commands (RFC
 * 2449 6.6) and a client that does not read is not read from.
 */
/* clang-format on */
#ifndef POP3_SERVER_H
#define POP3_SERVER_H

#include <pop3/message.h>
#include <pop3/span.h>

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Octets of a command line with CRLF, RFC 2449 section 4. */
#define POP3_COMMAND_MAX 255
/* Octets of the longest name that fits behind "USER ". */
#define POP3_NAME_MAX (POP3_COMMAND_MAX - 5)
/* Octets of a reply's first line with CRLF, RFC 1939 section 3. */
#define POP3_REPLY_MAX 512
/* Octets of the longest SASL response line. */
#define POP3_SASL_LINE_MAX 16384
/* Octets of a refused line's rest that are read and dropped; more: POP3_WANT_CLOSE. */
#define POP3_DISCARD_MAX 1048576
/* The size of a message that is not known before its end: see pop3_server_reply_message(). */
#define POP3_OCTETS_UNKNOWN UINT64_MAX

enum pop3_want {
	POP3_WANT_INPUT,
	POP3_WANT_REPLY,
	POP3_WANT_OUTPUT,
	POP3_WANT_LINES,
	POP3_WANT_BODY,
	POP3_WANT_TLS,
	POP3_WANT_CLOSE,
};

/* RFC 1939 section 3. */
enum pop3_state { POP3_AUTHORIZATION, POP3_TRANSACTION, POP3_UPDATE };

/* Response codes: RFC 2449 section 8, RFC 3206, RFC 6856 section 5. */
enum pop3_code {
	POP3_CODE_NONE,
	POP3_CODE_AUTH,
	POP3_CODE_IN_USE,
	POP3_CODE_LOGIN_DELAY,
	POP3_CODE_SYS_TEMP,
	POP3_CODE_SYS_PERM,
	POP3_CODE_UTF8, /* it needs UTF8, which was not given */
	POP3_CODE_COUNT
};

/* Languages of the texts behind "+OK" and "-ERR", RFC 6856 section 3. A session begins in the
 * first. */
enum pop3_language { POP3_ENGLISH, POP3_SPANISH, POP3_LANGUAGE_COUNT };

/* Results of pop3_server_next(); behind each the members of the event that hold something. */
enum pop3_event_type {
	/* All input is taken, or the machine wants something else now. */
	POP3_EVENT_NONE,
	/* USER and PASS: user, secret. */
	POP3_EVENT_PASS,
	/* APOP: user, secret: the digest, 32 hexadecimal digits. */
	POP3_EVENT_APOP,
	/* AUTH: mechanism (upper case, one of those offered), has_initial, secret: the initial
	 * response in base64, empty if the client sent "=". One that makes the line longer than
	 * POP3_COMMAND_MAX, as tokens do, comes as if the client had waited for an empty challenge:
	 * has_initial is false, and behind an empty challenge, which is not sent, comes
	 * POP3_EVENT_SASL_RESPONSE. */
	POP3_EVENT_SASL_START,
	/* secret: the response in base64. */
	POP3_EVENT_SASL_RESPONSE,
	/* The client sent "*", or a line that is too long or no base64. The machine has replied:
	 * no reply is owed. */
	POP3_EVENT_SASL_CANCEL,
	/* number, 0: all. */
	POP3_EVENT_LIST,
	POP3_EVENT_UIDL,
	/* number. */
	POP3_EVENT_RETR,
	/* number, lines. */
	POP3_EVENT_TOP,
	/* number; the reply is pop3_server_mark(). */
	POP3_EVENT_DELE,
	/* In TRANSACTION: carry out the marked deletions, then pop3_server_reply_ok() or
	 * pop3_server_reply_err(). The machine closes after it. */
	POP3_EVENT_QUIT,
	POP3_EVENT_COUNT
};

/*
 * The spans are valid until the next call that takes the machine. Message numbers count from 1 and
 * are checked: in range and not marked.
 */
struct pop3_event {
	enum pop3_event_type type;
	pop3_span user;
	pop3_span secret;
	pop3_span mechanism;
	/* Lines of the body; POP3_ALL_LINES: all. */
	uint64_t lines;
	uint32_t number;
	bool has_initial;
};

/* The settings of a site. They must outlive the machine; all machines may share it. Texts are
 * static. */
struct pop3_server_settings {
	/* CAPA IMPLEMENTATION; NULL: not announced. */
	const char *implementation;
	/* SASL mechanisms offered in clear text, "SCRAM-SHA-256 PLAIN"; NULL or "": none. */
	const char *mechanisms;
	/* The same under TLS. */
	const char *mechanisms_tls;
	/* USER and PASS are allowed in clear text. */
	bool plain_login;
	/* USER and PASS are allowed under TLS. */
	bool plain_login_tls;
	/* STLS is offered in clear text. */
	bool stls;
	/* Refused lines in a row, after which the session ends; 0: no limit. */
	uint16_t max_bad_commands;
	/* CAPA EXPIRE in days; -1: NEVER; less: not announced. */
	int32_t expire_days;
	/* CAPA LOGIN-DELAY in seconds; -1: not announced. Where users differ, the largest of all:
	 * see pop3_server_user_delay(). RFC 2449 section 6.5. */
	int32_t login_delay;
	/* Users differ: "USER" stands behind that number until a user has logged in. */
	bool login_delay_user;
	/* UTF8 is offered (RFC 6856 section 2): the program takes names and passwords in UTF-8 and
	 * sends messages as they are stored, whether a client gave UTF8 or not. */
	bool utf8;
	/* LANG is offered (RFC 6856 section 3): the program has its own texts in the language of
	 * pop3_server_language(). */
	bool lang;
};

/* Embedded by the caller; every member is private. */
struct pop3_server {
	const struct pop3_server_settings *settings;
	uint64_t octets, deleted_octets, announced, lines;
	uint32_t count, deleted;
	uint8_t *marks;
	char *lent;
	uint32_t lent_size;
	uint32_t line_size; /* of the partial command in line or lent */
	uint32_t discarded;
	int32_t user_delay; /* LOGIN-DELAY in TRANSACTION */
	struct pop3_encoder encoder;
	pop3_span tail; /* what follows the head of a piece of output */
	uint16_t head_at, head_size;
	uint16_t step;
	uint16_t bad_commands;
	uint8_t user_size;
	uint8_t initial_at, initial_size; /* in line: what came of a long initial response */
	uint8_t state, want, after, output, owed;
	bool tls, apop, user_given, discard, closing, in_sasl, last_cr, crlf, verbatim;
	bool discards_lines, discards_content; /* while discard: lines that LF ended are answered */
	bool tls_wanted;                 /* a login was refused that would be taken under TLS */
	bool utf8;                       /* UTF8 was given */
	uint8_t language;                /* enum pop3_language */
	char line[POP3_COMMAND_MAX + 1]; /* a partial command; then the head of the reply */
	char *name;                      /* lent: of USER */
};

/* ---- a session ---- */

/*
 * Begins a session: queues the greeting "+OK host POP3 server ready stamp".
 * settings: see there. tls: the connection is under TLS already (POP3S). host: the server's name,
 * empty: none. stamp: the stamp "<...>" for APOP, at most 128 octets; empty or longer: no APOP.
 * host and stamp are copied.
 * RFC 1939 sections 4 and 7.
 */
void pop3_server_init(struct pop3_server *server, const struct pop3_server_settings *settings,
		      bool tls, pop3_span host, pop3_span stamp);

/*
 * Begins a session that is refused, such as one connection too many: queues "-ERR [code] text" in
 * place of the greeting, then wants to close.
 * settings: see there. code, text: as in pop3_server_reply_err().
 * RFC 1939 section 4, RFC 3206.
 */
void pop3_server_init_refused(struct pop3_server *server,
			      const struct pop3_server_settings *settings, enum pop3_code code,
			      const char *text);

/* Returns what the machine wants next; see the top of this file. */
enum pop3_want pop3_server_want(const struct pop3_server *server);

/* Returns the state of the session. RFC 1939 section 3. */
enum pop3_state pop3_server_state(const struct pop3_server *server);

/* Returns the language that the client has asked for, in which texts of the program are to be: see
 * pop3_server_reply_err(). POP3_ENGLISH at first and after STLS. RFC 6856 section 3. */
enum pop3_language pop3_server_language(const struct pop3_server *server);

/*
 * Takes received octets up to the next event, or until the machine wants something else than input.
 * Lines that are no valid command are answered by the machine itself.
 * in: received octets, any number; it is advanced past those taken.
 * Returns the event's type, also in *ret_event; POP3_EVENT_NONE if there is none yet.
 * The event's spans are valid until the next call that takes the machine.
 * RFC 1939 sections 3 to 7, RFC 2449, RFC 5034 section 4.
 */
enum pop3_event_type pop3_server_next(struct pop3_server *server, pop3_span *in,
				      struct pop3_event *ret_event);

/*
 * Writes pending octets of a reply.
 * out, cap: storage, cap in octets, at least 64.
 * Returns the octets written, at most cap; 0 if the want is not POP3_WANT_OUTPUT.
 */
size_t pop3_server_pull(struct pop3_server *server, char *out, size_t cap);

/*
 * Closes after the reply that is queued (too many failed logins): when it is out the machine wants
 * to close. Call it behind a pop3_server_reply_*().
 */
void pop3_server_close_after(struct pop3_server *server);

/*
 * Continues under TLS, in POP3_WANT_TLS, when the handshake is done. What was received or half done
 * in clear text is forgotten: pop3_server_next() drops whatever is in *in when it accepts STLS and
 * whatever it is given until this call, so a caller that always offers what it has received cannot
 * keep any of it.
 * RFC 2595 section 4.
 */
void pop3_server_tls_started(struct pop3_server *server);

/* ---- storage that the program lends ---- */

/*
 * Lends storage for SASL responses, for the time of one exchange: at POP3_EVENT_SASL_START, whose
 * spans stay valid. Without it a response line has at most POP3_COMMAND_MAX octets.
 * buffer, size: the storage, size in octets; at most POP3_SASL_LINE_MAX of it are used. It must
 * stay until pop3_server_take_back(). RFC 5034 section 4.
 */
void pop3_server_lend(struct pop3_server *server, char *buffer, uint32_t size);

/*
 * Ends the loan of pop3_server_lend().
 * Returns the storage, secrets included, for the caller to wipe; NULL if none was lent.
 */
char *pop3_server_take_back(struct pop3_server *server);

/*
 * Lends storage for the name that USER gives, which is kept until PASS: USER is refused with -ERR
 * [SYS/TEMP] without it. It is not needed after the login, nor by other ways to log in.
 * name: POP3_NAME_MAX octets; NULL: none.
 * RFC 1939 section 7.
 */
void pop3_server_lend_name(struct pop3_server *server, char *name);

/* Ends the loan of pop3_server_lend_name(). Returns the storage; NULL if none was lent. */
char *pop3_server_take_back_name(struct pop3_server *server);

/* Returns whether a name may come and no storage for it was lent. */
bool pop3_server_wants_name(const struct pop3_server *server);

/* Returns whether storage for deletion marks was lent. */
bool pop3_server_has_marks(const struct pop3_server *server);

/*
 * Lends storage for deletion marks, once, before the first pop3_server_mark().
 * marks: (count + 7) / 8 octets, zeroed, for a maildrop of count messages. It must stay until the
 * session ends.
 */
void pop3_server_lend_marks(struct pop3_server *server, uint8_t *marks);

/*
 * Returns whether a message is marked as deleted.
 * number: the message number, from 1; false if no message has it.
 * RFC 1939 section 5, DELE.
 */
bool pop3_server_marked(const struct pop3_server *server, uint32_t number);

/* Returns how many messages are marked as deleted. */
uint32_t pop3_server_marked_count(const struct pop3_server *server);

/* ---- replies, in POP3_WANT_REPLY: one an event ---- */

/*
 * Refuses what the event asks for: "-ERR [code] text".
 * code: POP3_CODE_NONE for none. text: copied; cut at about 200 octets; control characters become
 * "?", and what is not ASCII, too, unless the client has asked for another language than English:
 * then it is UTF-8. After POP3_EVENT_QUIT the machine closes.
 * RFC 1939 section 3, RFC 2449 section 8, RFC 3206, RFC 6856 section 3.
 */
void pop3_server_reply_err(struct pop3_server *server, enum pop3_code code, const char *text);

/*
 * Accepts what the event asks for, not a login: "+OK text". In use for POP3_EVENT_QUIT, behind
 * which the machine closes.
 * text: as in pop3_server_reply_err().
 * RFC 1939 section 6.
 */
void pop3_server_reply_ok(struct pop3_server *server, const char *text);

/*
 * Continues a SASL exchange: "+ base64".
 * base64: the challenge, may be empty. It is not copied: it must stay until the reply is pulled.
 * RFC 5034 section 4.
 */
void pop3_server_reply_challenge(struct pop3_server *server, pop3_span base64);

/*
 * Accepts a login and enters TRANSACTION. The program holds the lock on the maildrop from now on.
 * count: messages in the maildrop, numbered from 1. octets: their sum on the wire.
 * RFC 1939 section 4.
 */
void pop3_server_reply_logged_in(struct pop3_server *server, uint32_t count, uint64_t octets);

/*
 * Announces the LOGIN-DELAY of the user who has just logged in, in the place of the settings'. Call
 * it behind pop3_server_reply_logged_in(), where users differ.
 * seconds: -1: none is announced.
 * RFC 2449 section 6.5.
 */
void pop3_server_user_delay(struct pop3_server *server, int32_t seconds);

/*
 * Replies to POP3_EVENT_DELE: marks the message.
 * number: of the event. octets: the size of the message on the wire.
 * RFC 1939 section 5.
 */
void pop3_server_mark(struct pop3_server *server, uint32_t number, uint64_t octets);

/*
 * Replies to POP3_EVENT_LIST with a number: "+OK number octets".
 * number: of the event. octets: the size of the message on the wire.
 * RFC 1939 section 5.
 */
void pop3_server_reply_list_one(struct pop3_server *server, uint32_t number, uint64_t octets);

/*
 * Replies to POP3_EVENT_UIDL with a number: "+OK number unique-id".
 * number: of the event. unique_id: 1 to 70 octets from 0x21 to 0x7E, checked by the caller; copied.
 * RFC 1939 section 7.
 */
void pop3_server_reply_uidl_one(struct pop3_server *server, uint32_t number, pop3_span unique_id);

/*
 * Replies to POP3_EVENT_LIST or POP3_EVENT_UIDL without a number: opens a listing. The wants that
 * follow are POP3_WANT_OUTPUT for the first line, then POP3_WANT_LINES.
 * RFC 1939 sections 5 and 7.
 */
void pop3_server_reply_listing(struct pop3_server *server);

/*
 * Replies to POP3_EVENT_RETR or POP3_EVENT_TOP: opens the message. The wants that follow are
 * POP3_WANT_OUTPUT for the first line, then POP3_WANT_BODY.
 * octets: the size of the whole message on the wire (pop3_counter); POP3_OCTETS_UNKNOWN: the first
 * line has no number, and the message ends where pop3_server_body() says so.
 * RFC 1939 sections 5 and 7.
 */
void pop3_server_reply_message(struct pop3_server *server, uint64_t octets);

/* ---- the lines of a listing, in POP3_WANT_LINES ---- */

/*
 * Renders one line of LIST. Messages that are marked are the caller's to leave out.
 * out, cap: storage, cap in octets; 96 are always enough. number: the message number, from 1.
 * octets: the size of the message on the wire.
 * Returns the octets written, to be sent as they are; 0 if cap is too small.
 * RFC 1939 section 5.
 */
size_t pop3_server_line_list(char *out, size_t cap, uint32_t number, uint64_t octets);

/*
 * Renders one line of UIDL; as pop3_server_line_list().
 * unique_id: as in pop3_server_reply_uidl_one().
 * RFC 1939 section 7.
 */
size_t pop3_server_line_uidl(char *out, size_t cap, uint32_t number, pop3_span unique_id);

/* Ends the listing: queues ".". RFC 1939 section 3. */
void pop3_server_lines_end(struct pop3_server *server);

/* ---- the octets of a message, in POP3_WANT_BODY ---- */

/*
 * Converts stored octets to the wire form that is to be sent. The want changes when the message is
 * complete, with its end queued, or when the lines of a TOP are out: the rest of *in is not needed
 * then. A RETR with other octets than announced is not ended but cut: POP3_WANT_CLOSE.
 * in: octets in stored form; it is advanced past those taken. last: nothing follows *in. out, cap:
 * storage for the wire form, cap in octets, at least 4.
 * Returns the octets written, at most cap.
 * RFC 1939 section 3.
 */
size_t pop3_server_body(struct pop3_server *server, pop3_span *in, bool last, char *out,
			size_t cap);

/*
 * Counts octets of a RETR that the program sent by other means, such as sendfile(). Only for a
 * message whose stored form is its wire form without a dot to be stuffed (pop3_counter: wire_form
 * and not dots). What is left, if anything, is copied by pop3_server_body(), which also queues the
 * end (last).
 * octets: how many, from the front of what was still to be sent.
 */
void pop3_server_body_sent(struct pop3_server *server, uint64_t octets);

/* Gives up a message that cannot be completed: POP3_WANT_CLOSE, since a client takes a cut
 * connection as a failure but a terminator as success. */
void pop3_server_body_failed(struct pop3_server *server);

#ifdef __cplusplus
}
#endif

#endif
