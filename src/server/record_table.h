/*
 * The one table of what is recorded: events and keys, of which a line of the log, an event in JSON
 * and one of the flight recorder are made. Any process.
 */
#ifndef SERVER_RECORD_TABLE_H
#define SERVER_RECORD_TABLE_H

#include "base/log.h"
#include "ipc/messages.h"

#include <stdbool.h>
#include <stdint.h>

/* X(name, word, level, cause, lane of the recorder, roles that write it). valijad(8) explains each
 * that has a line. STRANGER: whoever can connect can cause any number of them, so they are summed
 * up (server/flood.h). QUIET: there is no line about it, only an event. Lane NONE: words of sums
 * only, for lines that are no records (record_may). */
#define RECORD_EVENTS(X)                                                            \
	X(CONNECTION_REFUSED, "connection-refused", INFO, STRANGER, TROUBLE, IPC_A) \
	X(TLS_FAILED, "tls-failed", INFO, STRANGER, TROUBLE, IPC_F)                 \
	X(LOGIN, "login", INFO, KNOWN, USUAL, IPC_A)                                \
	X(LOGIN_REFUSED, "login-refused", INFO, STRANGER, TROUBLE, IPC_A)           \
	X(LOGIN_FAILED, "login-failed", INFO, STRANGER, TROUBLE, IPC_A)             \
	X(LOGIN_GIVEN_UP, "login-given-up", INFO, STRANGER, TROUBLE, IPC_A)         \
	X(MAILDROP_FAILED, "maildrop-failed", ERROR, KNOWN, TROUBLE, IPC_KEEPS)     \
	X(INDEX_WRONG, "index-wrong", ERROR, KNOWN, TROUBLE, IPC_F)                 \
	X(DELETIONS_FAILED, "deletions-failed", ERROR, KNOWN, TROUBLE, IPC_KEEPS)   \
	X(SESSION_END, "session-end", INFO, KNOWN, USUAL, IPC_F)                    \
	X(STRANGER_END, "session-end", INFO, STRANGER, TROUBLE, IPC_F)              \
	X(RECIPIENT_REFUSED, "recipient-refused", INFO, STRANGER, TROUBLE, IPC_L)   \
	X(MESSAGE_REFUSED, "message-refused", INFO, STRANGER, TROUBLE, IPC_L)       \
	X(DELIVERED, "delivered", INFO, KNOWN, USUAL, IPC_KEEPS)                    \
	X(OVER_QUOTA, "over-quota", INFO, KNOWN, TROUBLE, IPC_KEEPS)                \
	X(DELIVERY_FAILED, "delivery-failed", ERROR, KNOWN, TROUBLE, IPC_KEEPS)     \
	X(SUMMED_UP, "summed-up", INFO, KNOWN, NONE, 0)                             \
	X(ACCEPT_FAILED, "accept-failed", WARNING, STRANGER, NONE, 0)               \
	X(CHANNEL_GONE, "channel-gone", INFO, STRANGER, NONE, 0)                    \
	X(SENDER_UNWRITABLE, "sender-unwritable", WARNING, STRANGER, NONE, 0)       \
	X(RECIPIENT_DOWN, "recipient-down", ERROR, STRANGER, NONE, 0)               \
	X(DELETIONS_KEPT, "deletions-kept", INFO, KNOWN, TROUBLE, IPC_KEEPS)        \
	X(FORGOTTEN, "forgotten", INFO, KNOWN, USUAL, IPC_A)                        \
	X(BANNED, "banned", INFO, KNOWN, NONE, 0)                                   \
	X(UNBANNED, "unbanned", INFO, KNOWN, NONE, 0)                               \
	X(REFUSED_BANNED, "refused-banned", INFO, STRANGER, TROUBLE, IPC_F | IPC_T) \
	X(TRACED, "traced", INFO, KNOWN, USUAL, IPC_A)                              \
	X(TRACE, "trace", QUIET, KNOWN, TRACE, IPC_F)                               \
	X(KICKED, "kicked", INFO, KNOWN, TROUBLE, IPC_A)                            \
	X(PROXY_REFUSED, "proxy-refused", INFO, STRANGER, NONE, 0)                  \
	X(CONNECTED, "connected", QUIET, KNOWN, USUAL, IPC_F)                       \
	X(TLS_DONE, "tls-done", QUIET, KNOWN, USUAL, IPC_F)                         \
	X(LOGIN_BEGUN, "login-begun", QUIET, KNOWN, USUAL, IPC_F)                   \
	X(ANSWERED_ERR, "login-answered", QUIET, KNOWN, TROUBLE, IPC_F)             \
	X(DATABASE, "database-answered", QUIET, KNOWN, USUAL, IPC_A)                \
	X(DATABASE_DOWN, "database-down", QUIET, KNOWN, TROUBLE, IPC_A)             \
	X(HELD, "login-held", QUIET, KNOWN, TROUBLE, IPC_A)                         \
	X(OPENED, "maildrop-opened", QUIET, KNOWN, USUAL, IPC_KEEPS)                \
	X(IN_USE, "maildrop-in-use", QUIET, KNOWN, TROUBLE, IPC_K)                  \
	X(COMMITTED, "deletions-committed", QUIET, KNOWN, USUAL, IPC_KEEPS)         \
	X(LEFT_EARLY, "left", QUIET, KNOWN, USUAL, IPC_F)

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
	X(BY_UID, "by-uid")           \
	X(ENTRIES, "entries")         \
	X(NETWORK, "network")         \
	X(TRACE, "trace")             \
	X(LINE, "line")               \
	X(MORE, "more")               \
	X(DATABASE, "database")       \
	X(ANSWER, "answer")           \
	X(MS, "ms")                   \
	X(DELAY, "delay-ms")          \
	X(FAILURES, "failures")       \
	X(MESSAGES, "messages")       \
	X(HOLDER, "held-by")          \
	X(HOLDER_FROM, "held-from")   \
	X(SINCE, "since")             \
	X(IDLE, "idle-ms")            \
	X(SERVER, "server")           \
	X(THERE, "there")             \
	X(MIGRATE, "migrate")         \
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

enum {
	RECORD_TEXT_MAX = 256, /* octets of a value: a few long ones leave room for the others */
	RECORD_QUIET = LOG_LEVEL_COUNT, /* the level of events without a line */
};

/* Whether whoever can connect can cause any number of them. */
enum record_cause { CAUSE_KNOWN, CAUSE_STRANGER };

enum record_lane { LANE_USUAL, LANE_TROUBLE, LANE_TRACE, LANES, LANE_NONE = LANES };

unsigned record_event_level(enum record_event event); /* enum log_level, or RECORD_QUIET */
enum record_cause record_event_cause(enum record_event event);
const char *record_event_word(enum record_event event);
enum record_lane record_event_lane(enum record_event event);
uint32_t record_event_roles(enum record_event event); /* a set: 1 << enum ipc_role */
const char *record_key_word(enum record_key key);

/* An address as records have it: "192.0.2.1", or "local" for a Unix socket. buf has 64 octets. */
const char *record_address(const uint8_t address[16], char *buf);

#endif
