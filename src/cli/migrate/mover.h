/* The mail of one user, moved by as many rounds as it takes. For the files of this folder. */
#ifndef CLI_MIGRATE_MOVER_H
#define CLI_MIGRATE_MOVER_H

#include "cli/migrate/move.h"
#include "cli/migrate/tell.h"

void mover_move(struct migrate *m, const struct user *user, struct migrate_totals *totals);

#endif
