/*
 * Reasons: a refusal, or OK, crosses between processes as a number. One table gives each reason its
 * POP3 response code (RFC 2449, RFC 3206), its LMTP reply (RFC 5321) with the enhanced status code
 * (RFC 3463), the words for the client and the word for the log. In every process; ipc_check judges
 * a reason of another process before it is looked up.
 */
#ifndef IPC_REASON_H
#define IPC_REASON_H

#include <pop3/server.h>

#include <stdbool.h>
#include <stdint.h>

/* X(name, POP3 response code, LMTP reply (0: never said by LMTP), enhanced code, words, log word)
 */
#define IPC_REASONS(X)                                                                             \
	X(OK, NONE, 250, "2.1.5", "delivered", "ok")                                               \
	X(WRONG, AUTH, 0, "", "wrong user name or password", "wrong")                              \
	X(CLEAR_TEXT, NONE, 0, "", "not in clear text: use TLS", "clear-text")                     \
	X(LOGIN_DOWN, SYS_TEMP, 0, "", "logins cannot be checked now, try again later",            \
	  "login-down")                                                                            \
	X(LOGIN_UNCHECKABLE, SYS_PERM, 0, "", "this login cannot be checked, ask the postmaster",  \
	  "login-uncheckable")                                                                     \
	X(USER_SESSIONS, IN_USE, 0, "", "too many sessions of this user", "user-sessions")         \
	X(CONNECTIONS, SYS_TEMP, 0, "", "too many connections, try again later", "connections")    \
	X(ADDRESS_CONNECTIONS, SYS_TEMP, 0, "", "too many connections from your address",          \
	  "address-connections")                                                                   \
	X(MEMORY, SYS_TEMP, 451, "4.3.0", "out of memory, try again later", "memory")              \
	X(STORE_DOWN, SYS_TEMP, 451, "4.3.0", "the mail store is not available, try again later",  \
	  "store-down")                                                                            \
	X(IN_USE, IN_USE, 451, "4.2.0", "another session has this maildrop open", "in-use")        \
	X(MAILDROP_TEMP, SYS_TEMP, 451, "4.3.0",                                                   \
	  "the maildrop cannot be used now, try again later", "maildrop-temp")                     \
	X(MAILDROP_PERM, SYS_PERM, 451, "4.3.0",                                                   \
	  "the maildrop cannot be opened, ask the postmaster", "maildrop-perm")                    \
	X(MESSAGE_GONE, SYS_TEMP, 0, "", "this message is gone or changed, log in again",          \
	  "message-gone")                                                                          \
	X(MESSAGE_TEMP, SYS_TEMP, 0, "", "this message cannot be read now, try again later",       \
	  "message-temp")                                                                          \
	X(MESSAGE_PERM, SYS_PERM, 0, "", "this message cannot be read, ask the postmaster",        \
	  "message-perm")                                                                          \
	X(NOT_DELETED, SYS_TEMP, 0, "", "some messages were not deleted", "not-deleted")           \
	X(NOTHING_DELETED, SYS_TEMP, 0, "", "nothing was deleted, try again later",                \
	  "nothing-deleted")                                                                       \
	X(NO_SUCH_USER, NONE, 550, "5.1.1", "no such user here", "no-such-user")                   \
	X(USERS_DOWN, NONE, 451, "4.3.0", "the user database is not available, try again later",   \
	  "users-down")                                                                            \
	X(OVER_QUOTA, NONE, 452, "4.2.2", "the mailbox is full, try again later", "over-quota")    \
	X(OVER_QUOTA_PERM, NONE, 552, "5.2.2", "the mailbox is full", "over-quota-perm")           \
	X(DISK_FULL, SYS_TEMP, 452, "4.3.1", "no space on the disk, try again later", "disk-full") \
	X(SPOOL_FULL, NONE, 452, "4.3.1", "too many messages are on their way, try again later",   \
	  "spool-full")                                                                            \
	X(LOGIN_BUSY, SYS_TEMP, 0, "", "too many logins wait for their turn, try again later",     \
	  "login-busy")                                                                            \
	X(TOO_MANY_OWNERS, NONE, 452, "4.5.3",                                                     \
	  "mail of too many owners in one transaction, send the rest in another",                  \
	  "too-many-owners")                                                                       \
	X(OWNERS_BUSY, NONE, 451, "4.3.2",                                                         \
	  "mail of too many owners is in use now, try again later", "owners-busy")                 \
	X(NO_DELETE, NONE, 0, "", "nothing was deleted: this password may not delete",             \
	  "no-delete")                                                                             \
	X(TAKEN_OVER, IN_USE, 0, "",                                                               \
	  "another session took this maildrop over, and nothing was deleted", "taken-over")

enum reason {
#define X(name, ...) REASON_##name,
	IPC_REASONS(X)
#undef X
		REASON_COUNT
};

struct reason_row {
	enum pop3_code code;
	uint16_t reply;       /* in LMTP; 0: LMTP never gives this reason */
	const char *enhanced; /* "4.3.0" */
	const char *words;    /* for the client: printable ASCII */
	const char *log;      /* one word */
};

/* The row of a reason; for a number that is no reason, the row of MAILDROP_TEMP. Lives for ever. */
const struct reason_row *reason_row(uint32_t reason);

#endif
