/*
 * The process that writes down last logins: a line a day for each user, service and app password
 * (users/last_logins.h), and passwords that auth has learned and sealed (users/learned.h).
 * Unprivileged, without network, with one folder of its own. auth sends and
 * waits for nothing.
 */
#ifndef SERVER_LOGINS_LOGINS_H
#define SERVER_LOGINS_LOGINS_H

#include "server/child.h"

extern const struct child_role logins_role;

#endif
