/*
 * For `valijad -t`: users whose mail could be in two places, by the settings mail and maildir as
 * they are and as they may have been before a change. The server would refuse their logins rather
 * than show one of the two. With the rights of its caller; waits for the mail's filesystems.
 */
#ifndef SERVER_MONITOR_PLACES_H
#define SERVER_MONITOR_PLACES_H

#include "server/monitor/files.h"

/* Looks at the users of the users file; those of databases are not known here. Returns 0, or -1
 * with err, which names the first of them. */
int places_check(const struct generation_files *files, struct err *err);

#endif
