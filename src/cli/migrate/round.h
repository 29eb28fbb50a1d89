/*
 * A round of two processes for a user: one that dials (dialer.h), one that writes (writer.h). The
 * process that starts them has no mail and dials nowhere; it knows whether sessions are open. For
 * the files of this folder.
 */
#ifndef CLI_MIGRATE_ROUND_H
#define CLI_MIGRATE_ROUND_H

#include "cli/migrate/move.h"

/* The maildrop is there, or this is a dry run. What became of it is in m->report, and in
 * m->unasked. -1 with err: the round did not begin. */
int round_play(struct migrate *m, const struct move *move, struct err *err);

#endif
