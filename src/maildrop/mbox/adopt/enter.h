/* The first session of a mailbox: it is adopted, if the mail folder has the rule of another server.
 */
#ifndef MAILDROP_MBOX_ADOPT_ENTER_H
#define MAILDROP_MBOX_ADOPT_ENTER_H

#include "maildrop/mbox/place.h"

/* The caller has the lock of sessions. A mailbox that is ours, or whose folder has no rule, is left
 * alone. A rule that is not understood, or of Maildirs, is MAILDROP_PERM: never new ids in silence.
 */
enum maildrop_status mbox_enter(struct mbox_place *place, int root_fd, struct err *err);

#endif
