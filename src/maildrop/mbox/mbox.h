/*
 * The store of mboxes, behind maildrop.h: a file that other mail programs read and write, too. Its
 * index (unique ids, places, sizes, deletions that are still to be carried out) is in the owner's
 * state folder. A session has the kernel's lock on a file there; the locks of mail programs are
 * held only while the index is made current and while the mailbox is rewritten. Bodies are handed
 * out in memory files, by value: the mailbox may change under them.
 */
#ifndef MAILDROP_MBOX_MBOX_H
#define MAILDROP_MBOX_MBOX_H

#include "maildrop/driver.h"

extern const struct maildrop_driver mbox_driver;

/* A report on a mailbox, for a person; aside and carried_out: after a recovery. */
struct mbox_report {
	uint64_t messages, octets, deleted; /* in the file; of those, deleted by their owner */
	bool journal;                       /* a rewrite was cut off */
	bool aside;       /* recovering: the journal was not of this mailbox any more */
	bool carried_out; /* recovering: the journal was */
};
/* Reads the mailbox, under the locks of mail programs; changes nothing. */
enum maildrop_status mbox_check(const struct maildrop_settings *settings, int root_fd,
				const char *home, struct mbox_report *ret, struct err *err);
/* Puts it in order after a crash: what the next session would do. */
enum maildrop_status mbox_recover(const struct maildrop_settings *settings, int root_fd,
				  const char *home, struct mbox_report *ret, struct err *err);

#endif
