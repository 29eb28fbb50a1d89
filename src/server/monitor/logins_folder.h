/*
 * The folder of last logins, in the state folder: the monitor makes it, gives it to the user of the
 * process logins, and lends it to that process. Its content is that process's alone and is not
 * looked at here. Runs in the monitor, as root when that is root.
 */
#ifndef SERVER_MONITOR_LOGINS_FOLDER_H
#define SERVER_MONITOR_LOGINS_FOLDER_H

#include "base/err.h"
#include "maildrop/mail_root.h"

#include <stdbool.h>
#include <sys/types.h>

/* root: it gets that owner. */
int logins_folder_open(const struct mail_root *mail, bool root, uid_t uid, gid_t gid, int *ret,
		       struct err *err);

#endif
