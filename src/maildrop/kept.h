/*
 * Deleted messages that are kept for a while: files of valija-kept, a folder of the Maildir that no
 * program shows (docs/maildrop-format.md). A message is renamed into it, and is the same file
 * there; its name begins with the time and its octets, so that what goes first is known without
 * looking at a file. The owner of the mail may have put anything there. With the rights of that
 * owner, under the lock of the maildrop's log.
 */
#ifndef MAILDROP_KEPT_H
#define MAILDROP_KEPT_H

#include "base/err.h"
#include "maildrop/syscalls.h"

#include <pop3/span.h>

#include <stdbool.h>
#include <stdint.h>

#define KEPT_FOLDER "valija-kept"

enum { KEPT_ENTRY_MAX = 255 };

struct kept {
	uint64_t time;   /* when it was put there; seconds */
	uint64_t stored; /* octets */
	uint64_t inode;  /* as the listing has it */
	pop3_span entry; /* in the folder; with a NUL behind it */
	pop3_span name;  /* of the message, as it was: the end of entry */
};

/* -1: it is no kept message. inode is not set. */
int kept_parse(const char *entry, struct kept *ret);

/* The folder in the maildrop dir. make: it is made if it is not there, and its name is on the disk
 * before anything is moved into it. -1 with errno. */
int kept_open(const struct maildrop_syscalls *sys, int dir, bool make);
/*
 * Moves a message out of the folder from. A name that is too long loses its flags. -1 with errno;
 * ENAMETOOLONG: it would not fit even so.
 */
int kept_move(const struct maildrop_syscalls *sys, int kept, int from, const char *name,
	      uint64_t stored, uint64_t time);
/* Calls each, in no order; a negative result ends it. Returns that, 0, or -1 with errno. */
int kept_each(const struct maildrop_syscalls *sys, int dir,
	      int (*each)(void *context, const struct kept *kept), void *context);
/* Removes what was put there before that time, and then the oldest ones while there are more
 * octets. At most a few thousand at a time. -1 with errno. */
int kept_trim(const struct maildrop_syscalls *sys, int dir, uint64_t before, uint64_t octets);
/* Removes all, and the folder. -1 with errno. */
int kept_purge(const struct maildrop_syscalls *sys, int dir);

#endif
