/*
 * The front of POP3: it speaks with clients, gives their credentials to auth, and shows them the
 * maildrop that a keeper opened. Unprivileged, without files; everything from clients is hostile,
 * and what keepers lend is checked, too.
 */
#ifndef SERVER_FRONT_FRONT_H
#define SERVER_FRONT_FRONT_H

#include "server/child.h"

extern const struct child_role front_role;

#endif
