/* The copies of a user's mail, removed before the switch. For the files of this folder. */
#ifndef CLI_MIGRATE_UNDO_H
#define CLI_MIGRATE_UNDO_H

#include "cli/migrate/move.h"
#include "cli/migrate/tell.h"

void undo_move(struct migrate *m, const struct user *user, struct migrate_totals *totals);

#endif
