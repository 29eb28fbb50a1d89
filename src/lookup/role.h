/*
 * The role of a lookup process: questions of auth go to the driver in worker threads, answers go
 * back. It knows one database and its secrets, nothing of other databases, sessions or mail. auth
 * judges everything it says. Messages of auth are checked against the table only: auth has more
 * rights than this process.
 */
#ifndef LOOKUP_ROLE_H
#define LOOKUP_ROLE_H

#include "server/child.h"

extern const struct child_role lookup_role;

#endif
