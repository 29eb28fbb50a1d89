/*
 * Orders to the program valija-upload and its answers, one packet each on a SOCK_SEQPACKET pair
 * that is its standard input. The program puts messages into an IMAP folder or into Gmail; the
 * sink (fetch/sink/upload.c) starts it, one a run, from the same build. All texts end with a NUL;
 * what an answer says comes from a server, and is escaped.
 */
#ifndef FETCH_UPLOAD_UPLOAD_H
#define FETCH_UPLOAD_UPLOAD_H

#include "base/secret.h"
#include "sys/tls_client.h"

#include <stdbool.h>
#include <stdint.h>

enum {
	UPLOAD_TEXT_MAX = 256,
	UPLOAD_PATH_MAX = 1024,
	UPLOAD_TARGET_MAX = 2048,
	UPLOAD_ID_SIZE = 33, /* a delivery id */
	UPLOAD_WORDS_MAX = 256,
	UPLOAD_VERSION = 2,
};

enum upload_kind { UPLOAD_IMAP, UPLOAD_GMAIL };
enum upload_proxy_kind { UPLOAD_DIRECT, UPLOAD_SOCKS5, UPLOAD_HTTP };

struct upload_proxy {
	enum upload_proxy_kind kind;
	uint16_t port;
	char host[UPLOAD_TEXT_MAX];
	char user[128], password[128]; /* "": none */
};

/* The first packet. */
struct upload_setup {
	uint32_t version;
	enum upload_kind kind;
	bool starttls; /* IMAP: from clear to TLS, or not at all; else TLS from the first octet */
	bool token;    /* the secret is an access token (Gmail: always) */
	bool never_spam;
	uint16_t port;
	uint32_t connect_seconds, reply_seconds;
	char user[UPLOAD_TEXT_MAX], host[UPLOAD_TEXT_MAX];
	char folder[UPLOAD_TEXT_MAX];   /* IMAP, UTF-8 */
	char flags[UPLOAD_TEXT_MAX];    /* IMAP's, between blanks */
	char labels[UPLOAD_TARGET_MAX]; /* Gmail, by name, between commas */
	char api[UPLOAD_TEXT_MAX];      /* Gmail: https://HOST[:PORT] */
	char ca_file[UPLOAD_PATH_MAX];  /* "": the system's */
	unsigned char pins[TLS_CLIENT_PINS_MAX][TLS_CLIENT_PIN_SIZE];
	unsigned pin_count;
	struct upload_proxy proxy;
	struct secret secret;
};

enum upload_verb {
	UPLOAD_SEND,  /* the message in the descriptor that comes along */
	UPLOAD_ASK,   /* whether the destination has it; the descriptor comes along, too */
	UPLOAD_RENEW, /* another secret follows in a packet of its own: no answer */
};

struct upload_order {
	enum upload_verb verb;
	char id[UPLOAD_ID_SIZE];
};

enum upload_result {
	UPLOAD_DONE,    /* SEND: it has it. ASK: it has it already */
	UPLOAD_ABSENT,  /* ASK */
	UPLOAD_UNKNOWN, /* ASK: no answer is to be had */
	UPLOAD_REFUSED, /* this message, for good */
	UPLOAD_FAILED,  /* this message, perhaps not for good */
	UPLOAD_LATER,   /* the destination takes nothing now */
	UPLOAD_LOGIN,   /* the token is not accepted */
	UPLOAD_BROKEN,  /* the destination, or the way to it: code says how */
	UPLOAD_RESULT_COUNT
};

struct upload_answer {
	enum upload_result result;
	int code;      /* of sysexits.h, BROKEN */
	uint32_t wait; /* seconds, LATER; 0: it named none */
	char words[UPLOAD_WORDS_MAX];
};

#endif
