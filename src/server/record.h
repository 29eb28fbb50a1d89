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
#include "sys/loop.h"

#include <pop3/span.h>

#include <stdbool.h>
#include <stdint.h>

/* X(name, word, level, cause). valijad(8) explains each. STRANGER: whoever can connect can cause
 * any number of them, so they are summed up (server/flood.h). The last ones are words of sums
 * only, for lines that are no records (record_may). */
#define RECORD_EVENTS(X)                                             \
	X(CONNECTION_REFUSED, "connection-refused", INFO, STRANGER)  \
	X(TLS_FAILED, "tls-failed", INFO, STRANGER)                  \
	X(LOGIN, "login", INFO, KNOWN)                               \
	X(LOGIN_REFUSED, "login-refused", INFO, STRANGER)            \
	X(LOGIN_FAILED, "login-failed", INFO, STRANGER)              \
	X(LOGIN_GIVEN_UP, "login-given-up", INFO, STRANGER)          \
	X(MAILDROP_FAILED, "maildrop-failed", ERROR, KNOWN)          \
	X(INDEX_WRONG, "index-wrong", ERROR, KNOWN)                  \
	X(DELETIONS_FAILED, "deletions-failed", ERROR, KNOWN)        \
	X(SESSION_END, "session-end", INFO, KNOWN)                   \
	X(STRANGER_END, "session-end", INFO, STRANGER)               \
	X(RECIPIENT_REFUSED, "recipient-refused", INFO, STRANGER)    \
	X(MESSAGE_REFUSED, "message-refused", INFO, STRANGER)        \
	X(DELIVERED, "delivered", INFO, KNOWN)                       \
	X(OVER_QUOTA, "over-quota", INFO, KNOWN)                     \
	X(DELIVERY_FAILED, "delivery-failed", ERROR, KNOWN)          \
	X(SUMMED_UP, "summed-up", INFO, KNOWN)                       \
	X(ACCEPT_FAILED, "accept-failed", WARNING, STRANGER)         \
	X(CHANNEL_GONE, "channel-gone", INFO, STRANGER)              \
	X(SENDER_UNWRITABLE, "sender-unwritable", WARNING, STRANGER) \
	X(RECIPIENT_DOWN, "recipient-down", ERROR, STRANGER)         \
	X(DELETIONS_KEPT, "deletions-kept", INFO, KNOWN)

/* X(name, word) */
#define RECORD_KEYS(X)                \
	X(LINES, "lines")             \
	X(OF, "of")                   \
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
	X(LABEL, "label")             \
	X(DELETES, "deletes")         \
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
	uint8_t address[16];
	bool has_address;
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
/* Records that strangers cause: by the loop's thread only. */
void record_write(const struct record *record);

/* From here on lines that strangers cause are summed up, by a timer on loop, and this thread's
 * lines of one turn are written together. */
void record_start(struct loop *loop);
/* Whether a line that is no record may be written now, else it is counted as event. address: NULL
 * for none. */
bool record_may(enum record_event event, const uint8_t *address);
/* Writes all counts, at the end of the process. */
void record_finish(void);

/* An address as records have it: "192.0.2.1", or "local" for a Unix socket. buf has 64 octets. */
const char *record_address(const uint8_t address[16], char *buf);

#endif
