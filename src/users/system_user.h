/* System users that children become. In the monitor and in `valija user`, as root. */
#ifndef USERS_SYSTEM_USER_H
#define USERS_SYSTEM_USER_H

#include "base/err.h"

#include <sys/types.h>

/* Looks up the user, and says how to make one that is not there. Returns 0, or -1 with err. */
int system_user_find(const char *name, uid_t *ret_uid, gid_t *ret_gid, struct err *err);

#endif
