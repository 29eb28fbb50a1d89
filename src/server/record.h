/*
 * Records: lines of the log about sessions and deliveries, in one form:
 *
 *     EVENT from=ADDRESS session=ID key=value user="NAME" reason="words"
 *
 * The tables below are all events and keys. Address and session stand before anything that a
 * stranger chose. Text from outside stands in quotes, with each octet but [A-Za-z0-9@._+-] as \xHH,
 * so it can neither end its value nor look like another. In every child; a record is built in place
 * and written at once.
 *
 * A session's id is the same in all processes: the instance of its front, which no other process
 * since the first start of valijad has had, and its number there.
 */
#ifndef SERVER_RECORD_H
#define SERVER_RECORD_H

#include "base/log.h"

#include <pop3/span.h>

#include <stdint.h>

/* X(name, word, level). valijad(8) explains each. */
#define RECORD_EVENTS(X)                                  \
	X(CONNECTION_REFUSED, "connection-refused", INFO) \
	X(TLS_FAILED, "tls-failed", INFO)                 \
	X(LOGIN, "login", INFO)                           \
	X(LOGIN_REFUSED, "login-refused", INFO)           \
	X(LOGIN_FAILED, "login-failed", INFO)             \
	X(LOGIN_GIVEN_UP, "login-given-up", INFO)         \
	X(MAILDROP_FAILED, "maildrop-failed", ERROR)      \
	X(INDEX_WRONG, "index-wrong", ERROR)              \
	X(DELETIONS_FAILED, "deletions-failed", ERROR)    \
	X(SESSION_END, "session-end", INFO)               \
	X(RECIPIENT_REFUSED, "recipient-refused", INFO)   \
	X(MESSAGE_REFUSED, "message-refused", INFO)       \
	X(DELIVERED, "delivered", INFO)                   \
	X(OVER_QUOTA, "over-quota", INFO)                 \
	X(DELIVERY_FAILED, "delivery-failed", ERROR)

/* X(name, word) */
#define RECORD_KEYS(X)                \
	X(SERVICE, "service")         \
	X(MECHANISM, "mechanism")     \
	X(TLS, "tls")                 \
	X(CIPHER, "cipher")           \
	X(TOP, "top")                 \
	X(TOP_OCTETS, "top-octets")   \
	X(RETR, "retr")               \
	X(RETR_OCTETS, "retr-octets") \
	X(DELE, "dele")               \
	X(DELE_OCTETS, "dele-octets") \
	X(LEFT, "left")               \
	X(SECONDS, "seconds")         \
	X(SIZE, "size")               \
	X(USER, "user")               \
	X(MAILDROP, "maildrop")       \
	X(SENDER, "sender")           \
	X(RECIPIENT, "recipient")     \
	X(MESSAGE_ID, "message-id")   \
	X(FILE, "file")               \
	X(CLIENT, "client")           \
	X(REASON, "reason")

enum record_event {
#define X(name, ...) RECORD_##name,
	RECORD_EVENTS(X)
#undef X
		RECORD_EVENT_COUNT
};

enum record_key {
#define X(name, ...) RECORD_KEY_##name,
	RECORD_KEYS(X)
#undef X
		RECORD_KEY_COUNT
};

struct record {
	enum record_event event;
	size_t size;
	char text[LOG_LINE_MAX];
};

/* address: 16 octets, IPv4 mapped, all zero: a Unix socket; NULL: this process does not know it.
 * front: the front's instance. */
void record_begin(struct record *record, enum record_event event, const uint8_t *address,
		  uint64_t front, uint64_t session);
void record_number(struct record *record, enum record_key key, uint64_t number);
/* Text from outside. What does not fit is cut. */
void record_text(struct record *record, enum record_key key, pop3_span text);
/* Our own words: quotes, "\" and what is not printable ASCII in them as \xHH, the rest stays. */
void record_words(struct record *record, enum record_key key, const char *words);
void record_write(const struct record *record);

/* An address as records have it: "192.0.2.1", or "local" for a Unix socket. buf has 64 octets. */
const char *record_address(const uint8_t address[16], char *buf);

#endif
