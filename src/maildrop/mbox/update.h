/*
 * Makes the index of a mailbox what the file is. The caller has the lock of sessions and those of
 * mail programs. For the files of this folder.
 */
#ifndef MAILDROP_MBOX_UPDATE_H
#define MAILDROP_MBOX_UPDATE_H

#include "maildrop/mbox/index.h"

/*
 * index: open or not; afterwards it is open. A file that only grew costs its new messages, any
 * other change a scan of all of it. cut: messages that were deleted are known not to be in the file
 * any more (a journal was carried out).
 */
enum maildrop_status mbox_update(struct mbox_place *place, struct mbox_index *index, bool cut,
				 struct err *err);

/* Is the message there, as the entry says? By its "From " line and the digest of its headers; reads
 * no body. */
bool mbox_entry_stands(const struct mbox_place *place, const struct mbox_entry *entry);

#endif
