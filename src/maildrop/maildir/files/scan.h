/*
 * Reads the entries of a folder: regular files with names that can be messages, nothing else,
 * and none of them opened. For the files of this folder.
 */
#ifndef MAILDROP_MAILDIR_FILES_SCAN_H
#define MAILDROP_MAILDIR_FILES_SCAN_H

#include "maildrop/maildir/files/place.h"

/* name is NUL-terminated and valid during the call. Negative: stop. */
typedef int maildir_entry(void *context, pop3_span name, uint64_t inode);

/* folder: "new", "cur" or "tmp". 0; a negative result of entry, which ends the scan; or -1 with
 * errno. */
int maildir_scan(struct maildir_place *place, const char *folder, maildir_entry *entry,
		 void *context);

#endif
