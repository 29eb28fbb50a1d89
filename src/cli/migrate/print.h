/* valija migrate --passwords: lines for a users file, of users whose mail is here and whose
 * password was learned. For the files of this folder. */
#ifndef CLI_MIGRATE_PRINT_H
#define CLI_MIGRATE_PRINT_H

#include "cli/migrate/move.h"
#include "cli/migrate/tell.h"

/* The line of a user, on standard output; why there is none, on standard error. */
void print_password(struct migrate *m, const struct user *user, struct migrate_totals *totals);

#endif
