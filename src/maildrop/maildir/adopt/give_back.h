/* A Maildir that was used here becomes Dovecot's: it shows the unique ids that we have shown. For
 * undo.c. */
#ifndef MAILDROP_MAILDIR_ADOPT_GIVE_BACK_H
#define MAILDROP_MAILDIR_ADOPT_GIVE_BACK_H

#include "maildrop/adopt_report.h"
#include "maildrop/mail_origin.h"
#include "maildrop/maildir/files/place.h"

/*
 * Writes our ids into dovecot-uidlist of the folder control, and removes our files when they are on
 * the disk there. origin: the rule by which they were brought; NULL: they were not. *ret is added
 * to. Can be called again wherever it ended. MAILDROP_IN_USE: a session of ours has the maildrop.
 */
enum maildrop_status maildir_give_back(struct maildir_place *place, int control,
				       const struct mail_origin *origin, bool dry_run,
				       struct undo_report *ret, struct err *err);

#endif
