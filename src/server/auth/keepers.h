/*
 * Which keeper gets a maildrop: one that runs as the owner of the mail, and always the same one for
 * a user, so that "in use" is decided in one place.
 */
#ifndef SERVER_AUTH_KEEPERS_H
#define SERVER_AUTH_KEEPERS_H

#include "server/auth/session.h"

enum auth_keeper_found {
	KEEPER_FOUND,
	KEEPER_STARTING, /* the monitor was asked for it: wait */
	KEEPER_NONE,     /* there is none now */
};
enum auth_keeper_found auth_keeper(struct auth *auth, const char *home, struct peer **ret,
				   uint32_t *ret_uid);
/* Has a keeper open the maildrop for a session that is granted, or denies it. */
void auth_open(struct auth_session *session, const struct user *user);
/* A keeper is gone: sessions whose maildrop it was about to open are denied. A front ignores that
 * for sessions that it has open. */
void auth_keeper_gone(struct auth *auth, const struct peer *keeper);
void auth_keeper_up(struct auth *auth, struct peer *keeper);
void auth_keeper_refused(struct auth *auth, uint32_t uid);

#endif
