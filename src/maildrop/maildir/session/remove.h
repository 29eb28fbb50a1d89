/*
 * The end of a deleted message's file: it is moved to the kept ones, or unlinked. For commit.c and
 * the sweep, which hold the log.
 */
#ifndef MAILDROP_MAILDIR_SESSION_REMOVE_H
#define MAILDROP_MAILDIR_SESSION_REMOVE_H

#include "maildrop/maildir/session/session.h"

/* -1 with errno; ENOENT: there is no such file. */
int maildir_remove(struct maildir *m, enum index_directory which, const char *name,
		   uint64_t stored);
/* Flushes the folder that files were moved into: before their old names may go from the disk. -1
 * with errno. */
int maildir_remove_flush(struct maildir *m);

#endif
