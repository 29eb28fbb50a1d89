/*
 * A mailbox that another server filled gets the unique ids that its clients know: they are written
 * beside its index, once, before the first session. With the rights of the mail's owner.
 */
#ifndef MAILDROP_MBOX_ADOPT_ADOPT_H
#define MAILDROP_MBOX_ADOPT_ADOPT_H

#include "maildrop/adopt_report.h"
#include "maildrop/mail_origin.h"
#include "maildrop/mbox/place.h"

/* Is there a file of that kind? 1, 0; -1 with errno. */
int mbox_has(const struct mbox_place *place, enum mbox_file which);
/* Is there an index, or a file of ids? 1, 0; -1 with errno. */
int mbox_is_ours(const struct mbox_place *place);
/*
 * Brings the ids by that rule, which is one of mboxes. dry_run: nothing is written. A mailbox that
 * is ours is left alone. *ret is filled in either case. The caller has the locks of mail programs,
 * and, to write, that of sessions.
 */
enum maildrop_status mbox_adopt(struct mbox_place *place, const struct mail_origin *origin,
				bool dry_run, struct adopt_report *ret, struct err *err);

#endif
