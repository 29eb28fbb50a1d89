/*
 * Last logins: the process logins is sent a row for each user, service and app password that logged
 * in, once a day; who was sent is remembered by a hash, so that further logins of the day cost one
 * look-up. Nobody waits: what the process does not take is dropped and counted. On auth's loop.
 */
#ifndef SERVER_AUTH_LAST_LOGIN_H
#define SERVER_AUTH_LAST_LOGIN_H

#include "base/hash_map.h"
#include "server/child.h"
#include "users/app_password.h"
#include "users/users.h"

#include <stdbool.h>
#include <stdint.h>

enum { LAST_LOGIN_QUEUE_MAX = 256 * 1024 }; /* octets that may wait for the process to read */

struct last_login_notes {
	struct peer *logins; /* NULL: the process is not there */
	bool off;            /* the process is there for learned passwords alone */
	struct hash_map sent;
	uint32_t day; /* of sent */
	uint64_t dropped;
};

void last_login_notes_init(struct last_login_notes *notes);
/* That process is there, or gone. */
void last_login_up(struct last_login_notes *notes, struct peer *logins);
void last_login_gone(struct last_login_notes *notes, const struct peer *logins);
/* app: NULL: another secret. mta: the login was at an MTA. */
void last_login_note(struct last_login_notes *notes, const struct user *user,
		     const struct app_password *app, bool mta);
/* Logs what was dropped since the last call. */
void last_login_tick(struct last_login_notes *notes);

#endif
