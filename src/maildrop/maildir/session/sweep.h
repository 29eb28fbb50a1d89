/*
 * The steps of maildir_sweep that touch files; each may be killed at any instant, failures are left
 * to a later session. For the files of this folder only.
 */
#ifndef MAILDROP_MAILDIR_SESSION_SWEEP_H
#define MAILDROP_MAILDIR_SESSION_SWEEP_H

#include "maildrop/maildir/maildir.h"

/* Unlinks what DELs name and retires those. */
void maildir_sweep_deleted(struct maildir *m);
/* Moves messages of new/ that the index knows to cur/. */
void maildir_sweep_new(struct maildir *m);
/* Counts a portion of the messages whose octets only their names claim. */
void maildir_sweep_claims(struct maildir *m);

/* Removes what writers that died left in tmp/ long ago. */
void maildir_sweep_tmp(struct maildir *m);

#endif
