/* Undo of an adoption (adopt.h): its file of unique ids is removed. For bring.c. */
#ifndef MAILDROP_MAILDIR_ADOPT_UNDO_H
#define MAILDROP_MAILDIR_ADOPT_UNDO_H

#include "maildrop/maildir/files/place.h"

/*
 * Takes back what maildir_adopt wrote, where no session was since. *ret: whether there was
 * something to take back. *ret_used: a session, or a delivery of ours, was there: nothing is done.
 */
enum maildrop_status maildir_adopt_undo(struct maildir_place *place, bool dry_run, bool *ret,
					bool *ret_used, struct err *err);

#endif
