/*
 * How far a Maildir has moved here, for its sessions. With the rights of the mail's owner; may
 * block on the disk.
 */
#ifndef MAILDROP_MAILDIR_MIGRATE_LOOK_H
#define MAILDROP_MAILDIR_MIGRATE_LOOK_H

#include "maildrop/maildir/files/place.h"

enum migration_state {
	MIGRATION_COPYING,   /* or nothing has begun yet */
	MIGRATION_SWITCHING, /* copies may be shown already, and are there as well */
	MIGRATION_OVER,      /* the mail is here */
};
/* Changes only while no session has the lock. */
enum maildrop_status migration_state(const struct maildir_place *place, enum migration_state *ret,
				     struct err *err);
/* OK: the mail is here. ELSEWHERE: it is not, and nobody copies just now. ABSENT: nothing of it is
 * here. IN_USE: a session has it, or its messages are being copied: whoever copies is told that a
 * client waits. */
enum maildrop_status migration_look(struct maildir_place *place, enum migration_state *ret,
				    struct err *err);

#endif
