/*
 * The lock file beside an mbox, FILE.lock, as mail programs of Debian take it. Its first line names
 * the process, "PID:HOST". A session of ours adds "valija KEY", so that the next session of the
 * same mailbox knows it for one that was left behind (sessions exclude each other by a lock that
 * the kernel frees), and "journal" before it rewrites the mailbox: then nobody of us takes it for
 * stale, for the mailbox has to be put in order first. For lock.c and the sweep.
 */
#ifndef MAILDROP_MBOX_DOTLOCK_H
#define MAILDROP_MBOX_DOTLOCK_H

#include "maildrop/mbox/calls.h"

#include <stdbool.h>

/* Makes the lock; takes the place of one that is stale, or that a session with this key (NULL: no
 * session) has left. 0, or -1 and errno: EEXIST if another program holds it, EUCLEAN if that is a
 * session of ours that was cut while it rewrote the mailbox. */
int dotlock_take(const struct mbox_calls *calls, int dir, const char *path, const char *key);
/* Is there one that a session with this key has left? Only for the session that has the key now. */
bool dotlock_left(const struct mbox_calls *calls, int dir, const char *path, const char *key);
/* Adds the line "journal" to the lock that we hold. 0, -1. */
int dotlock_mark(const struct mbox_calls *calls, int dir, const char *path);

#endif
