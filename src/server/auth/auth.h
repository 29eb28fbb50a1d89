/*
 * The auth process: holds users, secrets and penalties; has no network, and may read files only in
 * the folders of the users and aliases files. Every message of a front is hostile.
 *
 * session.h: root struct, connections. login.h: attempts and their verdicts. keepers.h: the choice
 * of a keeper for a maildrop. recipient.h: recipients of LMTP. limits.h: counts and delays.
 */
#ifndef SERVER_AUTH_AUTH_H
#define SERVER_AUTH_AUTH_H

#include "server/child.h"

extern const struct child_role auth_role;

#endif
