/*
 * The client's side of one LMTP transaction without I/O: a message is passed on to another LMTP
 * server, which has its own word for each recipient (RFC 2033 on RFC 5321; RFC 1870, 2034, 2920,
 * 3207, 6152, 6531). No socket, no clock, no allocation. Octets in, commands out; same octets in,
 * however they are split: same commands, same outcomes.
 *
 * All that server sends is hostile: lines, lines of a reply and outcomes are bounded, and what it
 * sends unasked ends the transaction. Nothing is delivered but what has a reply 2yz behind the
 * end of the message. A reply that says only that a command is not understood is no verdict on
 * the message: LATER.
 */
#ifndef LMTP_RELAY_H
#define LMTP_RELAY_H

#include "lmtp/lmtp.h"

enum {
	LMTP_RELAY_LINE_MAX = 1024, /* of a reply, with its line break */
	LMTP_RELAY_LINES_MAX = 100, /* of one reply */
	LMTP_RELAY_OUT = 4096,      /* octets of commands that wait to be sent */
	LMTP_RELAY_WORDS_MAX = 120, /* of a reply, kept for the log */
	LMTP_RELAY_ENCODE_MIN = 8,  /* octets of room for the message */
	LMTP_RELAY_PATH_MAX = LMTP_ADDRESS_MAX + 3,
};

enum lmtp_relay_result {
	LMTP_RELAY_PENDING,
	LMTP_RELAY_DELIVERED,
	LMTP_RELAY_LATER,   /* 4yz, or nothing was delivered for another reason */
	LMTP_RELAY_REFUSED, /* 5yz */
	LMTP_RELAY_UNKNOWN, /* the message was complete, and no reply came */
};

/* A recipient and its outcome; storage lent by the program. */
struct lmtp_relay_recipient {
	pop3_span address; /* without quoting, as in struct lmtp_event */
	enum lmtp_relay_result result;
	uint16_t code;                        /* of the reply; 0: there was none */
	char enhanced[12];                    /* "5.1.1"; "": none */
	char words[LMTP_RELAY_WORDS_MAX + 1]; /* the reply, as it was sent: hostile */
	const char
		*why; /* a literal: that which is no reply about this recipient; NULL: it is one */
	bool accepted;
};

/* Spans live as long as the machine. */
struct lmtp_relay_message {
	const char *host_name; /* for LHLO */
	pop3_span sender;      /* as sent in MAIL, without "<>"; "" the null sender */
	uint64_t size;         /* octets */
	bool utf8;             /* MAIL had SMTPUTF8 */
	bool starttls;         /* TLS begins by STARTTLS, or nothing is sent */
};

enum lmtp_relay_event {
	LMTP_RELAY_MORE,      /* all input is taken */
	LMTP_RELAY_START_TLS, /* then lmtp_relay_tls_started */
	LMTP_RELAY_CONTENT,   /* the message may go: lmtp_relay_encode, lmtp_relay_end */
	LMTP_RELAY_OVER,      /* every recipient has its outcome; QUIT may wait to be sent */
};

/* Embedded by the caller; every member is private but why. */
struct lmtp_relay {
	struct lmtp_relay_message message;
	struct lmtp_relay_recipient *recipients;
	uint32_t count, asked, answered; /* recipients: RCPT was sent, its reply has come */
	uint32_t accepted;
	const char *why; /* it is over before its time; NULL: it is not */
	struct pop3_encoder encoder;
	uint16_t out_at, out_used, line_size;
	uint16_t lines, code; /* of the reply being read */
	uint8_t phase;
	bool pipelining, size, eight_bit, utf8, starttls; /* offered */
	bool secured, hello_done;
	char line[LMTP_RELAY_LINE_MAX];
	char out[LMTP_RELAY_OUT];
};

/* recipients: at least one. They are borrowed, their outcomes are reset. */
void lmtp_relay_init(struct lmtp_relay *relay, const struct lmtp_relay_message *message,
		     struct lmtp_relay_recipient *recipients, uint32_t count);

/* Takes input up to the next event. */
enum lmtp_relay_event lmtp_relay_next(struct lmtp_relay *relay, pop3_span *in);
/* The connection has ended, or is given up: as LMTP_RELAY_OVER. why: a literal. */
void lmtp_relay_cut(struct lmtp_relay *relay, const char *why);
/* What is to be sent; lmtp_relay_sent takes it off. */
pop3_span lmtp_relay_output(const struct lmtp_relay *relay);
void lmtp_relay_sent(struct lmtp_relay *relay, size_t size);

void lmtp_relay_tls_started(struct lmtp_relay *relay);

/* After CONTENT: the message in its form on the wire, dots doubled, each line break CRLF. A bare LF
 * becomes one too, so that no server takes what follows it for a command. Returns octets written,
 * at most cap (at least LMTP_RELAY_ENCODE_MIN). */
size_t lmtp_relay_encode(struct lmtp_relay *relay, pop3_span *in, char *out, size_t cap);
/* The end of the message. Its octets have to be sent whole: from here on that server may have it.
 */
size_t lmtp_relay_end(struct lmtp_relay *relay, char *out, size_t cap);

/* That server is one of LMTP, and takes mail now. */
bool lmtp_relay_works(const struct lmtp_relay *relay);
/* A reply is waited for. */
bool lmtp_relay_waits(const struct lmtp_relay *relay);
/* A reply to the end of the message is waited for, which may take its time. */
bool lmtp_relay_ended(const struct lmtp_relay *relay);

/* Writes an address for MAIL and RCPT, without "<>": its local part is quoted where it has to be.
 * Returns octets; -1: nobody can be addressed in that way, or it does not fit. */
int lmtp_relay_path(pop3_span address, char *out, size_t size);

#endif
