/* clang-format off: the table below stays a table */
/*
 * The server's side of a POP3 session without I/O: octets in, events out, replies in, octets out
 * (RFC 1939, 2449, 2595, 3206, 5034). No socket, no clock, no allocation.
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

#define POP3_COMMAND_MAX 255 /* octets of a command line with CRLF, RFC 2449 section 4 */
#define POP3_REPLY_MAX 512   /* octets of a reply's first line with CRLF, RFC 1939 section 3 */
#define POP3_SASL_LINE_MAX 16384
/* Octets of a refused line's rest that are read away; more: WANT_CLOSE. */
#define POP3_DISCARD_MAX 1048576

enum pop3_want {
	POP3_WANT_INPUT,
	POP3_WANT_REPLY,
	POP3_WANT_OUTPUT,
	POP3_WANT_LINES,
	POP3_WANT_BODY,
	POP3_WANT_TLS,
	POP3_WANT_CLOSE,
};

enum pop3_state { POP3_AUTHORIZATION, POP3_TRANSACTION, POP3_UPDATE };

/* RFC 2449 section 8, RFC 3206 */
enum pop3_code {
	POP3_CODE_NONE,
	POP3_CODE_AUTH,
	POP3_CODE_IN_USE,
	POP3_CODE_LOGIN_DELAY,
	POP3_CODE_SYS_TEMP,
	POP3_CODE_SYS_PERM,
	POP3_CODE_COUNT
};

enum pop3_event_type {
	POP3_EVENT_NONE,       /* all input taken, or the machine wants something else now */
	POP3_EVENT_PASS,       /* USER + PASS: user, secret */
	POP3_EVENT_APOP,       /* user, secret = 32 hex digits */
	POP3_EVENT_SASL_START, /* mechanism (upper case; one of those offered), has_initial, secret
				  = initial response as base64 ("=" of the client arrives as an
				  empty span) */
	POP3_EVENT_SASL_RESPONSE, /* secret = base64 */
	POP3_EVENT_SASL_CANCEL,   /* the client sent "*", or a line that cannot be base64 or is too
				     long; no reply is owed: the machine has replied */
	POP3_EVENT_LIST,          /* number, 0 = all */
	POP3_EVENT_UIDL,          /* number, 0 = all */
	POP3_EVENT_RETR,          /* number */
	POP3_EVENT_TOP,           /* number, lines */
	POP3_EVENT_DELE,          /* number; answer with pop3_server_mark */
	POP3_EVENT_QUIT, /* in TRANSACTION: carry out the marked deletions, then reply_ok or
			    reply_err; the machine closes after it */
	POP3_EVENT_COUNT
};

/* The spans live until the next call that takes the machine. Numbers are checked: in range and not
 * marked. */
struct pop3_event {
	enum pop3_event_type type;
	pop3_span user;
	pop3_span secret;
	pop3_span mechanism;
	uint64_t lines;
	uint32_t number;
	bool has_initial;
};

/* What a site offers. Must outlive the machine; may be shared by all. Texts are static. */
struct pop3_server_settings {
	const char *implementation; /* CAPA IMPLEMENTATION, NULL: none */
	const char *mechanisms; /* "SCRAM-SHA-256 PLAIN" offered in clear text, NULL or "": none */
	const char *mechanisms_tls; /* offered under TLS */
	bool plain_login;           /* USER/PASS allowed without TLS */
	bool plain_login_tls;       /* USER/PASS allowed under TLS */
	bool stls;                  /* STLS offered when not under TLS */
	uint16_t max_bad_commands;  /* close after so many in a row of refused lines; 0: never */
	int32_t expire_days;        /* CAPA EXPIRE: -1 = NEVER, < -1: not announced */
	int32_t login_delay;        /* seconds, CAPA LOGIN-DELAY; -1: not announced */
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
	struct pop3_encoder encoder;
	pop3_span tail; /* what follows the head of a piece of output */
	uint16_t head_at, head_size;
	uint16_t step;
	uint16_t bad_commands;
	uint8_t user_size;
	uint8_t state, want, after, output, owed;
	bool tls, apop, user_given, discard, closing, in_sasl, last_cr, crlf, verbatim;
	char line[POP3_COMMAND_MAX + 1]; /* a partial command; then the head of the reply */
	char user[POP3_COMMAND_MAX + 1 - 5];
};

/* tls: the connection is under TLS already (POP3S). stamp: the APOP stamp "<...>" for the greeting,
 * empty: no APOP. host: named in the greeting, may be empty. Queues the greeting. */
void pop3_server_init(struct pop3_server *server, const struct pop3_server_settings *settings,
		      bool tls, pop3_span host, pop3_span stamp);
/* Instead of a greeting "+OK": "-ERR [code] text" and close (too many connections). text as in
 * reply_err. */
void pop3_server_init_refused(struct pop3_server *server,
			      const struct pop3_server_settings *settings, enum pop3_code code,
			      const char *text);

enum pop3_want pop3_server_want(const struct pop3_server *server);
enum pop3_state pop3_server_state(const struct pop3_server *server);

/* Takes octets from the front of *in until an event or until the machine wants something else than
 * input. */
enum pop3_event_type pop3_server_next(struct pop3_server *server, pop3_span *in,
				      struct pop3_event *ret_event);

/* Storage for a SASL response of up to size octets, for the time of one exchange. Lend at
 * SASL_START (the event's spans stay); without it lines are bounded by POP3_COMMAND_MAX.
 * pop3_server_take_back returns it, secrets and all, for the caller to wipe (NULL: none lent). */
void pop3_server_lend(struct pop3_server *server, char *buffer, uint32_t size);
char *pop3_server_take_back(struct pop3_server *server);

/* Replies to the login events. text is copied (cut at about 200 octets; what is not printable ASCII
 * is replaced). */
void pop3_server_reply_challenge(struct pop3_server *server,
				 pop3_span base64); /* "+ ..."; span must live until pulled */
/* Enters TRANSACTION with count messages of octets in all. The program keeps the lock for it. */
void pop3_server_reply_logged_in(struct pop3_server *server, uint32_t count, uint64_t octets);
void pop3_server_reply_err(struct pop3_server *server, enum pop3_code code, const char *text);
void pop3_server_reply_ok(struct pop3_server *server, const char *text);
/* After a reply_*: when it is out the machine wants to close (too many failed logins). */
void pop3_server_close_after(struct pop3_server *server);

/* Deletion marks: (count + 7) / 8 zeroed octets, the caller's, lent before the first
 * pop3_server_mark. */
bool pop3_server_has_marks(const struct pop3_server *server);
void pop3_server_lend_marks(struct pop3_server *server, uint8_t *marks);
bool pop3_server_marked(const struct pop3_server *server, uint32_t number);
uint32_t pop3_server_marked_count(const struct pop3_server *server);
/* Reply to DELE: marks the message, whose size is octets. */
void pop3_server_mark(struct pop3_server *server, uint32_t number, uint64_t octets);

/* Reply to LIST n / UIDL n: one line. Here and below a unique id is 1-70 octets of 0x21-0x7E: the
 * caller has checked it. */
void pop3_server_reply_list_one(struct pop3_server *server, uint32_t number, uint64_t octets);
void pop3_server_reply_uidl_one(struct pop3_server *server, uint32_t number, pop3_span unique_id);
/* Reply to LIST / UIDL: opens a listing. Then WANT_OUTPUT (the first line), WANT_LINES, … */
void pop3_server_reply_listing(struct pop3_server *server);
/* Render one line into out (needs up to 96 octets of cap); returns octets written, 0 when cap is
 * too small. Marked messages are the caller's to leave out (pop3_server_marked). */
size_t pop3_server_line_list(char *out, size_t cap, uint32_t number, uint64_t octets);
size_t pop3_server_line_uidl(char *out, size_t cap, uint32_t number, pop3_span unique_id);
void pop3_server_lines_end(struct pop3_server *server);

/* Reply to RETR / TOP: opens the message, whose size is octets. Then WANT_OUTPUT, WANT_BODY, … */
void pop3_server_reply_message(struct pop3_server *server, uint64_t octets);
/*
 * In WANT_BODY: takes stored octets from *in (advanced), writes wire octets to out. last: nothing
 * follows *in; when *in is then used up the end is queued (WANT_OUTPUT) by itself. A TOP whose
 * lines are out stops taking input: the want changes, the rest of *in is not needed. A RETR whose
 * octets turn out to be others than announced is not ended: WANT_CLOSE, as after _body_failed.
 */
size_t pop3_server_body(struct pop3_server *server, pop3_span *in, bool last, char *out,
			size_t cap);
/*
 * In WANT_BODY of a RETR, for a message whose stored form is its wire form without a dot to be
 * stuffed (pop3_counter: wire_form, !dots): so many octets from its front went out by other means,
 * such as sendfile. They count as announced. What is left, if anything, goes through
 * pop3_server_body, which does not look at it any more; its end is queued there (last) as always.
 */
void pop3_server_body_sent(struct pop3_server *server, uint64_t octets);
/* The message cannot be completed: the only honest end is to cut the connection. Goes to
 * WANT_CLOSE. */
void pop3_server_body_failed(struct pop3_server *server);

/* Writes pending octets of a reply. Returns how many; 0 when nothing is pending. cap >= 64. */
size_t pop3_server_pull(struct pop3_server *server, char *out, size_t cap);

/*
 * In WANT_TLS: the handshake is done. Forgets everything half-made before it (RFC 2595 section 4).
 * Octets received behind STLS must not outlive it: pop3_server_next() takes away whatever is in *in
 * at the moment it accepts STLS and whatever it is given until this call, so a caller that always
 * offers what it has received can't keep any.
 */
void pop3_server_tls_started(struct pop3_server *server);

#ifdef __cplusplus
}
#endif

#endif
