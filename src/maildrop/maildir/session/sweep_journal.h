/*
 * A step of maildir_sweep: the journal of deletions (maildrop/deleted.h) gets a line for each
 * message that was deleted, before its file goes.
 */
#ifndef MAILDROP_MAILDIR_SESSION_SWEEP_JOURNAL_H
#define MAILDROP_MAILDIR_SESSION_SWEEP_JOURNAL_H

#include "maildrop/maildir/session/session.h"

/* Lines for all pending DELs: those of this session with its name, those that a process left that
 * died, unless they have theirs, without one. A failure is noted, nothing else. */
void maildir_sweep_journal(struct maildir *m);
/* A line for each of these messages of the session, whose files are gone already. */
void maildir_journal_now(struct maildir *m, const uint32_t *numbers, uint32_t count);

#endif
