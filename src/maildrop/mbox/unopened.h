/*
 * A look at a mail root of mboxes in which nobody ever had a session: the mailboxes may be those of
 * another server, whose ids are brought before the first session or never. For `valijad -t` and
 * `valija doctor`; may hang with the filesystem.
 */
#ifndef MAILDROP_MBOX_UNOPENED_H
#define MAILDROP_MBOX_UNOPENED_H

#include "maildrop/mail_root.h"

#define MBOX_UNOPENED_NAME 256

/* Is there a mailbox with mail, and neither an index of any mailbox nor a record of the root by
 * which ids are brought? Then its name is written to ret. Looks at a few thousand names. */
bool mbox_unopened_find(int root_fd, const struct mail_root *root, char ret[MBOX_UNOPENED_NAME]);

#endif
