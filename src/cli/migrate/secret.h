/* The password, or the token, for the server that the mail of a user comes from. For the files of
 * this folder. */
#ifndef CLI_MIGRATE_SECRET_H
#define CLI_MIGRATE_SECRET_H

#include "base/secret.h"
#include "cli/migrate/move.h"

/* 0: it is one that is learned at a login (credentials = same), and none came; -1 with err; else 1:
 * secret_find finds it, or why not. */
int secret_known(struct migrate *m, const struct move *move, struct err *err);
/* ret is initialized. -1 with err: there is none. */
int secret_find(struct migrate *m, const struct move *move, struct secret *ret, struct err *err);

#endif
