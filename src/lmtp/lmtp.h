/*
 * The server's side of an LMTP session without I/O: octets in, events out, replies in, octets out
 * (RFC 2033 on RFC 5321; RFC 1870, 2034, 2920, 3463, 6152, 6531). No socket, no clock, no
 * allocation. Same octets in, however they are split: same events, same replies.
 *
 * The program asks lmtp_server_want() what comes next and does it:
 *   WANT_INPUT    give received octets to lmtp_server_next(); it may return an event
 *   WANT_REPLY    MAIL, RCPT or DATA was returned: the program owes one lmtp_server_reply*()
 *   WANT_OUTPUT   pull octets with lmtp_server_pull() and send them (they may be collected while
 *                 more input is at hand: a pipelining client then gets its replies in one packet)
 *   WANT_DATA_REPLIES  the message is complete: lmtp_server_reply_recipient() for each accepted
 *                 recipient, in whatever order they are known; they go out in order
 *   WANT_CLOSE    everything is out: close the connection
 *
 * Only CRLF "." CRLF ends a message. A bare CR or a bare LF is content, ends neither line nor
 * message, and is handed over as received. In a command it makes the whole line (up to the next
 * CRLF) an error. So no octets of a message can be taken for commands, whatever another program
 * thinks ends a line.
 */
#ifndef LMTP_LMTP_H
#define LMTP_LMTP_H

#include "lmtp/address.h"

#include <pop3/message.h>
#include <pop3/span.h>

#include <stdbool.h>
#include <stdint.h>

/* Octets. */
enum {
	LMTP_COMMAND_MAX = 512,       /* of a command line with CRLF, RFC 5321 4.5.3.1.4 */
	LMTP_COMMAND_LONG_MAX = 1024, /* of MAIL and RCPT, which extensions make longer */
	LMTP_REPLY_MAX = 512,         /* of a reply line with CRLF, RFC 5321 4.5.3.1.5 */
	LMTP_PEER_NAME_MAX = 255,
	LMTP_SCRATCH_MIN = 64,
	LMTP_DISCARD_MAX = 128 * 1024 * 1024, /* of a message that was refused */
};

enum lmtp_want {
	LMTP_WANT_INPUT,
	LMTP_WANT_REPLY,
	LMTP_WANT_OUTPUT,
	LMTP_WANT_DATA_REPLIES,
	LMTP_WANT_CLOSE,
};

enum lmtp_event_type {
	LMTP_EVENT_NONE, /* all input taken, or the machine wants something else now */
	LMTP_EVENT_MAIL, /* a transaction begins: address, path, size, body, utf8. Owes a reply */
	LMTP_EVENT_RCPT, /* address, path, index. Owes a reply; 2xx accepts it as that index */
	LMTP_EVENT_DATA, /* go-ahead? Owes lmtp_server_reply_data_go, or a reply that refuses */
	LMTP_EVENT_CONTENT, /* text: the next octets of the message, unstuffed, CRLF kept */
	LMTP_EVENT_END,     /* the message is complete; owes a reply to each accepted recipient */
	LMTP_EVENT_RESET,   /* forget the transaction (RSET, LHLO, QUIT, too big); owes nothing */
	LMTP_EVENT_COUNT
};

enum lmtp_body { LMTP_BODY_7BIT, LMTP_BODY_8BITMIME };

/* The spans live until the next call that takes the machine (text: as long as the scratch). */
struct lmtp_event {
	enum lmtp_event_type type;
	enum lmtp_body body;
	bool utf8;         /* MAIL: SMTPUTF8 was given; the message may have UTF-8 headers */
	uint32_t index;    /* RCPT: 0… of the accepted ones */
	uint64_t size;     /* MAIL: declared octets, 0 unknown. END: octets of the message */
	pop3_span path;    /* as sent, checked, without "<>" and source route; "" the null sender */
	pop3_span address; /* path without quoting, domain in small letters; for look-ups */
	/* MAIL: a sender that cannot stand in a header, as sent: path is "" then. Else "". */
	pop3_span unwritable;
	pop3_span text; /* CONTENT */
};

/* The settings of a site. They must outlive the machine; may be shared by all. */
struct lmtp_server_settings {
	const char *host_name; /* in the greeting and in LHLO's reply */
	uint64_t max_size;     /* octets of a message (SIZE is announced with it); 0: no limit */
	uint32_t max_recipients;
	uint32_t
		max_bad_commands; /* so many refused lines in a row, then 421 and close; 0: never */
	bool smtputf8;            /* offered */
};

/* The outcome for one recipient; storage lent by the program, members private. */
struct lmtp_outcome {
	const char *text;
	char enhanced[12];
	uint16_t code; /* 0: not known yet */
};

/* Embedded by the caller; every member is private. Less than 3 KiB. */
struct lmtp_server {
	const struct lmtp_server_settings *settings;
	struct pop3_decoder decoder;
	struct lmtp_outcome *outcomes;
	uint64_t failed_at;      /* octets of the message when it was refused */
	struct lmtp_outcome all; /* code != 0: the outcome of every recipient */
	uint32_t accepted;       /* recipients */
	uint32_t replied;        /* recipients whose reply is rendered */
	uint32_t bad_commands;
	uint16_t line_size, peer_name_size;
	uint16_t output_size, output_sent;
	uint8_t phase, owed;
	bool discard, bad_octet, last_cr; /* of the command line being read */
	bool greeted, utf8, closing;
	bool too_big; /* refused, and not taken note of */
	char line[LMTP_COMMAND_LONG_MAX + 2];
	char address[LMTP_ADDRESS_MAX + 1];
	char peer_name[LMTP_PEER_NAME_MAX + 1];
	char output[LMTP_REPLY_MAX];
};

/* Queues the greeting. */
void lmtp_server_init(struct lmtp_server *server, const struct lmtp_server_settings *settings);
/* Instead of a greeting "421 4.3.2 host text" and close (too many connections). */
void lmtp_server_init_refused(struct lmtp_server *server,
			      const struct lmtp_server_settings *settings, const char *text);

enum lmtp_want lmtp_server_want(const struct lmtp_server *server);

/* Whether the machine has refused a message for its size, at MAIL or as it came, since the last
 * call. */
bool lmtp_server_took_too_big(struct lmtp_server *server);

/*
 * Takes octets from the front of *in until an event or until the machine wants something else than
 * input. scratch receives the message's octets (CONTENT points into it), at least LMTP_SCRATCH_MIN;
 * one CONTENT is never larger than it. When NONE is returned and input is still wanted, *in is
 * empty; when *in is empty, nothing is to be had by calling.
 */
enum lmtp_event_type lmtp_server_next(struct lmtp_server *server, pop3_span *in, char *scratch,
				      size_t scratch_size, struct lmtp_event *ret_event);

/*
 * The reply to MAIL, RCPT or DATA: code 250 accepts (MAIL, RCPT), 400–599 refuses. enhanced is
 * "5.1.1" (RFC 3463), NULL: none. text is copied (cut at LMTP_REPLY_MAX, everything but printable
 * ASCII replaced). DATA can only be refused here.
 */
void lmtp_server_reply(struct lmtp_server *server, uint16_t code, const char *enhanced,
		       const char *text);
/* The reply to DATA: 354, the message follows. */
void lmtp_server_reply_data_go(struct lmtp_server *server);

/* While CONTENT comes: the program cannot keep the message (no space). The rest is read and thrown
 * away without events, then every recipient gets this reply. text lives until WANT_INPUT. A rest of
 * more than LMTP_DISCARD_MAX octets ends the session: "421 …". */
void lmtp_server_fail_content(struct lmtp_server *server, uint16_t code, const char *enhanced,
			      const char *text);

/* A message is being received. */
bool lmtp_server_receives(const struct lmtp_server *server);
/* Octets of the message so far, those that were thrown away among them. */
uint64_t lmtp_server_octets(const struct lmtp_server *server);

/* Recipients accepted so far in this transaction. */
uint32_t lmtp_server_accepted(const struct lmtp_server *server);
/*
 * After END: storage for the outcomes of the accepted recipients (lmtp_server_accepted() of them),
 * before the first reply_recipient; the caller's again when WANT_DATA_REPLIES and WANT_OUTPUT are
 * over (lmtp_server_take_back: NULL when none is lent).
 */
void lmtp_server_lend(struct lmtp_server *server, struct lmtp_outcome *outcomes);
struct lmtp_outcome *lmtp_server_take_back(struct lmtp_server *server);
/* In WANT_DATA_REPLIES or while those go out: the outcome for recipient index, once each. text is
 * not copied: it lives until the reply was pulled (a literal, or the transaction's). */
void lmtp_server_reply_recipient(struct lmtp_server *server, uint32_t index, uint16_t code,
				 const char *enhanced, const char *text);
/* The same outcome for all recipients that have none yet. Needs no storage if there is none. */
void lmtp_server_reply_all(struct lmtp_server *server, uint16_t code, const char *enhanced,
			   const char *text);

/* In WANT_INPUT, when the program ends the session (idle too long, shutting down): "421 …", then
 * WANT_CLOSE. The transaction is to be forgotten by the program itself. */
void lmtp_server_end(struct lmtp_server *server, const char *enhanced, const char *text);
/* No transaction is open and no command is half received: a good moment to end. */
bool lmtp_server_idle(const struct lmtp_server *server);
/* The name that the client gave in LHLO, "" before. Printable ASCII without space, "(", ")". */
pop3_span lmtp_server_peer_name(const struct lmtp_server *server);

/* Writes pending octets of replies. Returns how many; 0 when nothing is pending. */
size_t lmtp_server_pull(struct lmtp_server *server, char *out, size_t cap);

#endif
