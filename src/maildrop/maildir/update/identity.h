/* Is a Maildir the one that the index knows? A step of maildir_update, where all messages that
 * clients know are gone at once. */
#ifndef MAILDROP_MAILDIR_UPDATE_IDENTITY_H
#define MAILDROP_MAILDIR_UPDATE_IDENTITY_H

#include "maildrop/maildir/update/compare.h"

/* Before the directories are read: notes which of them are others than before. replaced: by
 * directory. */
void maildir_identity_begin(struct maildir_comparison *c, const struct index_delta *delta);

/*
 * MAILDROP_GUARDED with err: new or cur was replaced, or the same messages have other unique ids.
 * Nothing may be written down then. Messages that are removed one by one, moved away, marked or
 * delivered are none of that; a Maildir that was copied or restored with its index is the same.
 */
enum maildrop_status maildir_identity_judge(struct maildir_comparison *c, struct err *err);

#endif
