/*
 * Scans a file by pread, from an offset to a size that the caller knows. Blocks on the disk. For
 * the files of this folder.
 */
#ifndef MAILDROP_MBOX_READER_H
#define MAILDROP_MBOX_READER_H

#include "maildrop/mbox/scan.h"
#include "maildrop/syscalls.h"

/* Found messages go to found, in the order of the file. size: where the file ends. 0, or -1 with
 * errno: EBADMSG: that is no mbox; ESTALE: the file became shorter meanwhile. */
int mbox_read_messages(const struct maildrop_syscalls *sys, int fd, uint64_t offset, uint64_t size,
		       void (*found)(void *context, const struct mbox_message *message),
		       void *context);

#endif
