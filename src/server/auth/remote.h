/*
 * Logins of users whose mail is on another POP3 server: the connector opens it, as a keeper does.
 * Of credentials = same that server judges the password: the connector tells auth, which counts,
 * delays and logs before the front hears anything. Where the mail moves here, that comes first, and
 * then its keeper is asked: one of the two maildrops that are open is closed (HERE, NOT_HERE). On
 * auth's loop.
 */
#ifndef SERVER_AUTH_REMOTE_H
#define SERVER_AUTH_REMOTE_H

#include "server/auth/session.h"

/* Sends OPEN_REMOTE for a session that is granted, or GO for one that the other server has judged;
 * or denies the session. app: as in auth_open. */
void auth_open_remote(struct auth_session *session, const struct user *user,
		      const struct app_password *app);
/* Before auth_open, of a user whose mail moves here from another server: a keeper that has not got
 * it answers NOT_HERE. -1: no memory. */
int auth_moving(struct auth_session *session, const struct user *user,
		const struct app_password *app);
/* NOT_HERE: the session is opened at the other server. */
void auth_not_here(struct auth *auth, struct peer *keeper, const struct ipc_verdict *message);
/* HERE: what the other server has open for the session is closed. */
void auth_here(struct auth *auth, struct peer *keeper, const struct ipc_verdict *message);
enum auth_ask_remote {
	ASK_SENT,
	ASK_BUSY, /* too many logins of the client's network are being judged there */
	ASK_NONE, /* no connector runs */
};
/* The verdict on the attempt under way is the other server's. */
enum auth_ask_remote auth_ask_remote(struct auth_session *session);
/* The session that a VERDICT is about; NULL: it is not waited for any more, and the connector has
 * been told to close it. */
struct auth_session *auth_verdict(struct auth *auth, struct peer *connector,
				  const struct ipc_verdict *message);
/* The verdict is about the access token of a session that is granted. */
void auth_token_judged(struct auth_session *session, const struct ipc_verdict *message);
/* The attempt is over without a maildrop. */
void auth_remote_cancel(struct auth_session *session);
/* Its sessions, and those that wait for its verdict, are denied. */
void auth_connector_gone(const struct auth *auth, const struct peer *connector);

/* The connector for all with that hash; NULL: it is being restarted. */
struct peer *auth_find_connector(const struct auth *auth, uint64_t hash);

#endif
