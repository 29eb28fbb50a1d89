/* Unique ids of servers that make them of the files' names and keep no list: qmail-pop3d. For the
 * files of this folder. */
#ifndef MAILDROP_MAILDIR_ADOPT_BY_NAME_H
#define MAILDROP_MAILDIR_ADOPT_BY_NAME_H

#include "maildrop/adopt_report.h"
#include "maildrop/mail_origin.h"
#include "maildrop/maildir/files/place.h"

/* Brings the ids of a Maildir that was never ours. dry_run: nothing is written. *ret is added to;
 * ADOPT_PLAIN: there is no message. */
enum maildrop_status maildir_adopt_names(struct maildir_place *place,
					 const struct mail_origin *origin, bool dry_run,
					 struct adopt_report *ret, struct err *err);

#endif
