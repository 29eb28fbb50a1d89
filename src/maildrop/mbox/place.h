/*
 * A mailbox that is open: the file, the folder it is in, and the folder of its index, journal and
 * session lock. That is the owner's state folder; without one, the mailbox's own folder if its
 * owner owns that, too. For the files of this folder.
 */
#ifndef MAILDROP_MBOX_PLACE_H
#define MAILDROP_MBOX_PLACE_H

#include "maildrop/maildrop.h"
#include "maildrop/mbox/lock.h"

#define MBOX_NEW_SUFFIX ".new" /* of a file that is being written and will be renamed */
#define MBOX_NAME_SIZE 320

enum mbox_file {
	MBOX_LOCK,
	MBOX_BASE,
	MBOX_DELTA,
	MBOX_JOURNAL,
	MBOX_DOUBT,
	MBOX_UIDL,
	MBOX_FILES
};

struct mbox_place {
	const struct maildrop_syscalls *sys;
	struct mbox_calls calls;
	struct mbox_lock lock; /* its fd is the mailbox */
	char *home;
	int dir, state; /* state: perhaps the same as dir; -1: there is none yet */
	int session;    /* the lock of sessions, -1: not opened yet */
	char key[33];   /* of the names in the state folder, and in the dotlock */
	char names[MBOX_FILES][MBOX_NAME_SIZE];
	void (*note)(void *context, const char *text);
	void (*note_index)(void *context, const char *text);
	void *note_context;
};

/* Opens the mailbox. MAILDROP_ABSENT, or MAILDROP_TEMP if the root says that it should be there;
 * with make: it is made, empty. */
enum maildrop_status mbox_place_open(struct mbox_place *place,
				     const struct maildrop_settings *settings, int root_fd,
				     const char *home, bool make, struct err *err);
void mbox_place_close(struct mbox_place *place);

/* Words for a failure in `what` (a file; NULL: the mailbox). */
enum maildrop_status mbox_failed(const struct mbox_place *place, int errnum, const char *what,
				 const char *doing, struct err *err);
void mbox_note(const struct mbox_place *place, const struct err *err);

/* The lock of a session, which the kernel frees: only who has it changes index and journal, and
 * cuts the mailbox. 0, -1 with errno (EAGAIN: another session has it). */
int mbox_session_lock(struct mbox_place *place);
/* Is it still the file that others would lock? */
bool mbox_session_held(const struct mbox_place *place);

/* All locks of mail programs, on the file that has the mailbox's name now. */
enum maildrop_status mbox_place_lock(struct mbox_place *place, struct err *err);
void mbox_place_unlock(struct mbox_place *place);

#endif
