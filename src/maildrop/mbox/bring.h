/*
 * `valija import mbox`: the unique ids that another server gave to the messages of a mailbox are
 * brought into ours, or taken back. With the rights of the mail's owner; may block on the disk.
 */
#ifndef MAILDROP_MBOX_BRING_H
#define MAILDROP_MBOX_BRING_H

#include "maildrop/adopt_report.h"
#include "maildrop/mail_origin.h"
#include "maildrop/maildrop.h"

/*
 * Brings the ids of the mailbox. origin: one of mboxes. settings: state_fd is the owner's folder,
 * or, with dry_run, MAILDROP_NO_STATE_YET. dry_run: nothing is written, and the locks of mail
 * programs are held while the mailbox is read. A mailbox that has an index is ADOPT_OURS and left
 * alone, one that is not there is ADOPT_PLAIN.
 */
enum maildrop_status mbox_bring(const struct maildrop_settings *settings, int root_fd,
				const char *home, const struct mail_origin *origin, bool dry_run,
				struct adopt_report *ret, struct err *err);
/* Takes back what was brought. *ret: there was something; *ret_used: but a session of ours was
 * there since, so it stays. */
enum maildrop_status mbox_take_back(const struct maildrop_settings *settings, int root_fd,
				    const char *home, bool dry_run, bool *ret, bool *ret_used,
				    struct err *err);

#endif
