/*
 * The journal of a rewrite (docs/maildrop-format.md): the octets that are to be moved towards the
 * beginning of the mailbox, on the disk before the first one is. It is carried out, as often as it
 * takes, until the mailbox is whole, and then removed. The caller has the lock of sessions and
 * those of mail programs. For the files of this folder.
 */
#ifndef MAILDROP_MBOX_JOURNAL_H
#define MAILDROP_MBOX_JOURNAL_H

#include "maildrop/mbox/index.h"

/* Cuts the deleted messages of table out of the mailbox, whose size is that of st: journal,
 * rewrite, flush. Then *ret_cut. The journal stays until mbox_journal_remove. If the rewrite failed
 * half way the dotlock stays, too, and the next session goes on with the journal. */
enum maildrop_status mbox_journal_cut(struct mbox_place *place, const struct mbox_table *table,
				      const struct stat *st, bool *ret_cut, struct err *err);
/*
 * A rewrite that a crash cut is carried out: then *ret_cut, and the deleted messages are not in the
 * mailbox. A journal that was not completed is removed: the mailbox was not touched then. If the
 * mailbox is not the one that the journal is of any more, the journal is put aside under another
 * name, and that is noted: its octets are mail, perhaps.
 */
enum maildrop_status mbox_journal_recover(struct mbox_place *place, bool *ret_cut, struct err *err);
/* Is there one? */
bool mbox_journal_there(const struct mbox_place *place);
int mbox_journal_remove(const struct mbox_place *place);

#endif
