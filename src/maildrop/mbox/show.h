/*
 * A message of a mailbox as it is shown: without hidden headers, checked to be the one that the
 * index has. For the files of this folder.
 */
#ifndef MAILDROP_MBOX_SHOW_H
#define MAILDROP_MBOX_SHOW_H

#include "maildrop/mbox/place.h"
#include "maildrop/mbox/table.h"

enum { MBOX_READ_LOCK_MS = 5000 }; /* other programs hold a mailbox for moments */

/* Writes it to fd, from 0 on; *ret_size: octets. 0; -1 with errno: ESTALE: it is not there, or not
 * that one any more. */
int mbox_show(const struct mbox_place *place, const struct mbox_entry *entry, int fd,
	      uint64_t *ret_size);

#endif
