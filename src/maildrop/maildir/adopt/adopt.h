/*
 * A Maildir that another server filled gets the unique ids and the order that its clients know:
 * they are written into valija-uidl, once, before the first session. For `valija import`, and for
 * whoever opens a Maildir for the first time (enter.h). With the rights of the mail's owner.
 */
#ifndef MAILDROP_MAILDIR_ADOPT_ADOPT_H
#define MAILDROP_MAILDIR_ADOPT_ADOPT_H

#include "maildrop/maildir/bring.h"
#include "maildrop/maildir/files/place.h"

/*
 * Brings the ids. control: the folder of the other server's list, borrowed; usually place->dir.
 * dry_run: nothing is written. A folder that is not ADOPT_FOREIGN is left alone; one without a list
 * of the origin's server is MAILDROP_PERM. *ret is filled in either case. One process after the
 * other: a second one finds ADOPT_OURS.
 */
enum maildrop_status maildir_adopt(struct maildir_place *place, int control,
				   const struct mail_origin *origin, bool dry_run,
				   struct adopt_report *ret, struct err *err);
#endif
