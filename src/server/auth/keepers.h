/*
 * The choice of a keeper for a maildrop. The keeper runs as the owner of the mail, and is always
 * the same one for a user, so that one process decides whether a maildrop is in use. On auth's
 * loop.
 */
#ifndef SERVER_AUTH_KEEPERS_H
#define SERVER_AUTH_KEEPERS_H

#include "server/auth/session.h"

enum auth_keeper_found {
	KEEPER_FOUND,
	KEEPER_STARTING, /* it was asked for, or whose mail it is: auth_wait */
	KEEPER_ABSENT,   /* it does not run, and was not asked for: auth_want_keeper */
	KEEPER_NONE,     /* no keeper now */
};
/* Never KEEPER_ABSENT: the keeper is asked for. */
enum auth_keeper_found auth_keeper(struct auth *auth, const struct user *user, struct peer **ret,
				   uint64_t *ret_key);
/* The same, but no keeper is asked for. The owner of the home counts, not what the entry says,
 * unless auth may not see it, as in a home that is its user's alone (mode 0700): then the entry's
 * uid is tried, and its keeper sees for itself whose the mail is. */
enum auth_keeper_found auth_find_keeper(struct auth *auth, const struct user *user,
					struct peer **ret, uint64_t *ret_key);
/* Asks for a keeper of uid, the owner of the user's mail: KEEPER_STARTING, or KEEPER_NONE. */
enum auth_keeper_found auth_want_keeper(struct auth *auth, uint32_t uid, const struct user *user);
/* Waits for what auth_keeper gave key of; -1: too many requests wait, or this one has waited for
 * too long. */
int auth_wait(struct auth *auth, struct auth_waiting *waiting, uint64_t key);
/* Requests that wait for the owner of a home go on (for homes_create). */
void auth_home_settled(void *auth, uint64_t key);
/* Sends a request to a keeper, and counts it. */
int auth_pass_on(struct peer *keeper, enum ipc_type type, void *message, const pop3_span *texts,
		 unsigned count);
/* Sends OPEN for a session that is granted to the keeper of its maildrop, or denies the session.
 * app: the app password that proved the user; NULL: none. */
void auth_open(struct auth_session *session, const struct user *user,
	       const struct app_password *app);
/* What copies the mail of a user here, if anything does, is to give way to a login. start: the
 * keeper is asked for if there is none, so that it is there for the next one. */
void auth_hurry(struct auth *auth, const struct user *user, bool start);
/* A keeper is gone: sessions whose maildrop it was to open are denied. A front ignores that for a
 * session whose maildrop is open already. */
void auth_keeper_gone(struct auth *auth, const struct peer *keeper);
void auth_keeper_up(struct auth *auth, struct peer *keeper);
void auth_keeper_refused(struct auth *auth, uint32_t uid);
/* An idle keeper asks whether it may end. From then on it is sent nothing, and the monitor is asked
 * for another when there is need. */
void auth_keeper_leaves(struct peer *keeper, const struct ipc_leave *message);

#endif
