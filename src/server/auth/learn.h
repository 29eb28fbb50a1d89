/*
 * Passwords that another server has accepted, of users whose mail moves here from it: sealed
 * (base/seal.h) and sent to the process logins, which writes them down for `valija migrate`. One
 * that was sent is not sent again for a day; a keyed digest is remembered of it, in bounded memory.
 * Nobody waits. On auth's loop: a seal takes 60 microseconds, once a user and day.
 */
#ifndef SERVER_AUTH_LEARN_H
#define SERVER_AUTH_LEARN_H

#include "config/config.h"
#include "server/auth/last_login.h"
#include "users/users.h"

struct learning;

/* fd: the memory file of REMOTES, which is closed; -1: no section learns, and *ret is NULL. -1 with
 * err. */
int learning_create(const struct config *config, int *fd, uint64_t size, struct learning **ret,
		    struct err *err);
/* The server of the user's field migrate has accepted it. learning: NULL: none are learned. */
void learn_password(struct learning *learning, const struct last_login_notes *notes,
		    const struct user *user, pop3_span password);

#endif
