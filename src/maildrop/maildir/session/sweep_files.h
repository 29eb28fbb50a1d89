/*
 * Steps of maildir_sweep that touch files.
 */
#ifndef MAILDROP_MAILDIR_SESSION_SWEEP_FILES_H
#define MAILDROP_MAILDIR_SESSION_SWEEP_FILES_H

#include "maildrop/maildir/session/session.h"

/* Unlinks what DELs name and retires those. */
void maildir_sweep_deleted(struct maildir *m);
/* Moves a portion of the messages of new/ that the index knows to cur/; returns whether there may
 * be more. */
bool maildir_sweep_new(struct maildir *m);
/* Removes what writers that died left in tmp/ long ago. */
void maildir_sweep_tmp(struct maildir *m);

#endif
