/*
 * The auth process: holds users, secrets and penalties; has no network, and of files only those of
 * the user database. Everything from fronts is hostile.
 *
 * session.h: root struct, connections. login.h: attempts and their verdicts. keepers.h: which
 * keeper gets a maildrop. recipient.h: recipients of LMTP. limits.h: counts and delays.
 */
#ifndef SERVER_AUTH_AUTH_H
#define SERVER_AUTH_AUTH_H

#include "server/child.h"

extern const struct child_role auth_role;

#endif
