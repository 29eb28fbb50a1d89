/*
 * What the files of auth share: its root struct, and a connection at a front as auth knows it. On
 * auth's loop; a job in a worker has a copy of what it needs.
 */
#ifndef SERVER_AUTH_SESSION_H
#define SERVER_AUTH_SESSION_H

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

/* Denies the attempt under way; the front waits for delay milliseconds before it says so. */
void auth_deny(struct auth_session *session, enum reason reason, uint32_t delay);
/* The session is nobody's any more; the front may try again. */
void auth_logout(struct auth_session *session);
/* A stamp for APOP (RFC 1939 section 7), good for one attempt. */
void auth_new_stamp(struct auth *auth, struct auth_session *session);
/* An address as text, for the log. buf has 64 octets. */
const char *auth_address_text(const uint8_t ip[16], char *buf);

#endif
