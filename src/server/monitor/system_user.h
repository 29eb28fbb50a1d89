/* System users that children become. Runs in the monitor, as root. */
#ifndef SERVER_MONITOR_SYSTEM_USER_H
#define SERVER_MONITOR_SYSTEM_USER_H

#include "base/err.h"

#include <sys/types.h>

/* Looks up the user, and says how to make one that is not there. Returns 0, or -1 with err. */
int system_user_find(const char *name, uid_t *ret_uid, gid_t *ret_gid, struct err *err);

#endif
