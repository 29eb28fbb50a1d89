/* The open sessions of a user, as the server knows them. For the files of this folder. */
#ifndef CLI_MIGRATE_SESSIONS_H
#define CLI_MIGRATE_SESSIONS_H

#include "cli/migrate/move.h"

/* The maildrop is locked, so no login that comes from now on opens it there; one that came before
 * is listed. Of sessions from before a restart of auth, which are few and end, nobody knows whose
 * they are: they are looked for once in a while. 1: none is open; 0: one may be; -1 with err:
 * nobody can tell. */
int sessions_none(struct migrate *m, const struct user *user, struct err *err);

#endif
