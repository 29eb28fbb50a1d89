/*
 * The auth process, inside: root struct and what its files share. auth.c: process, peers,
 * connections; auth_login.c: attempts and their verdicts; auth_keepers.c: which keeper gets a
 * maildrop; auth_recipient.c: LMTP recipients. Holds secrets; no network, and of files only the
 * user database. Everything from fronts is hostile.
 */
#ifndef SERVER_AUTH_AUTH_H
#define SERVER_AUTH_AUTH_H

#include "server/auth/limits.h"
#include "server/child.h"
#include "sys/workers.h"
#include "users/login.h"

struct auth_session;

/* A login that waits for a keeper of its uid. */
struct auth_waiting {
	struct auth_waiting *next;
	uint64_t front, session;
	uint32_t uid;
};

struct recipients;

struct auth {
	struct child *child;
	struct limits limits;
	struct users *users;
	struct login_service *service;
	struct recipients *recipients;
	struct workers *workers;
	struct auth_waiting *waiting;
	int users_fd, aliases_fd, mail_fd;
	char users_name[CONFIG_NAME_MAX], aliases_name[CONFIG_NAME_MAX];
	char mechanisms[CONFIG_NAME_MAX], mechanisms_tls[CONFIG_NAME_MAX]; /* as offered last */
	bool apop;
	struct loop_timer tick; /* offers, failures */
	uint32_t ticks;
};

/* A connection at a front. */
struct auth_session {
	struct table_node node; /* key: the front's session number */
	struct peer *front;
	struct limit_address *address;
	struct limit_user *user;
	struct login *login;           /* an attempt under way */
	struct login_job *job;         /* … in a worker */
	struct ipc_bindings *bindings; /* NULL: not told */
	char *stamp;                   /* APOP, NULL: none, or used up */
	uint8_t ip[16];
	bool loopback, granted;
	bool tls; /* as the front said with this attempt */
	uint32_t failures;
	uint64_t keeper; /* instance that was told to open the maildrop, 0: none */
	uint64_t ticket; /* the front's, of the attempt under way */
};

extern const struct child_role auth_role;

/* auth_login.c */
void auth_login_message(struct auth_session *session, enum ipc_type type,
			const struct ipc_credentials *message);
void auth_login_cancel(struct auth_session *session);
void auth_deny(struct auth_session *session, enum reason reason, uint32_t delay);
/* The session is nobody's any more; the front may try again. */
void auth_logout(struct auth_session *session);
void auth_new_stamp(struct auth *auth, struct auth_session *session);
/* An address as text, for the log. buf has 64 octets. */
const char *auth_address_text(const uint8_t ip[16], char *buf);

/* auth_keepers.c. 0: *ret is there; 1: one is being started (wait for it); -1: none to be had now.
 */
int auth_keeper(struct auth *auth, const char *home, struct peer **ret, uint32_t *ret_uid);
void auth_open(struct auth_session *session, const struct user *user);
/* Those whose maildrop it was about to open are told; a front ignores that for sessions that it has
 * open. */
void auth_keeper_gone(struct auth *auth, const struct peer *keeper);
void auth_keeper_up(struct auth *auth, struct peer *keeper);
void auth_keeper_refused(struct auth *auth, uint32_t uid);

/* auth_recipient.c */
int auth_recipients_open(struct auth *auth, struct err *err);
void auth_recipient(struct peer *front, const struct ipc_recipient *message);

#endif
