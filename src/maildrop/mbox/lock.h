/*
 * The locks of an mbox: fcntl (of the open file), flock (not on NFS, where it is the same as fcntl)
 * and the dotlock. They are taken without waiting; where one is held by another program, all are
 * released and tried again, until a deadline. For the files of this folder and their callers.
 */
#ifndef MAILDROP_MBOX_LOCK_H
#define MAILDROP_MBOX_LOCK_H

#include "base/err.h"
#include "maildrop/mbox/calls.h"

#include <stdbool.h>

enum { MBOX_LOCK_MS = 30000 }; /* how long other programs are waited for */

/* Makes and removes the dotlock in a process that may, where this one may not (a folder of group
 * mail). name: of the mailbox. Any thread. */
struct mbox_locker {
	/* Same results as dotlock_take; key: of the session, or NULL. */
	int (*take)(void *context, const char *name, const char *key);
	/* The lock says from now on that there is a journal. 0, -1: it does not. */
	int (*mark)(void *context, const char *name);
	void (*release)(void *context, const char *name);
	void *context;
};

struct mbox_lock {
	const struct mbox_calls *calls;
	const struct mbox_locker *locker; /* NULL: made by this process */
	int fd;                           /* the mailbox */
	int dir;
	const char *name; /* of the mailbox, in dir; the caller's */
	const char *key;  /* of the session (dotlock.h), or NULL */
	bool reading;     /* fd cannot be written to: shared locks */
	bool no_dotlock;  /* the kernel's locks are enough: a message is read */
	unsigned wait_ms; /* until the deadline */
	/* Asked between two tries; NULL: never. -1 with err: give up. */
	int (*interrupted)(struct err *err);
	/* set here */
	bool fcntled, flocked, dotlocked;
	bool incomplete; /* no dotlock is possible in this folder: such a mailbox is never cut */
};

/* 0; -1 with err: its code is EX_TEMPFAIL and errnum EAGAIN if another program had it up to the
 * deadline, EUCLEAN if a session was cut while it rewrote the mailbox. */
int mbox_lock_take(struct mbox_lock *lock, struct err *err);
void mbox_lock_release(struct mbox_lock *lock);
/* Has an earlier session with this key left its dotlock? */
bool mbox_lock_left(const struct mbox_lock *lock);
/* The dotlock says from now on that there is a journal. 0, -1: there is no dotlock, or errno. */
int mbox_lock_mark(struct mbox_lock *lock);

#endif
