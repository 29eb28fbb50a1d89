/*
 * A Maildir that is open: its directories and its lock, relative to which everything else happens,
 * and the words for what goes wrong there. For the files of this folder.
 */
#ifndef MAILDROP_MAILDIR_FILES_PLACE_H
#define MAILDROP_MAILDIR_FILES_PLACE_H

#include "maildrop/index/format.h"
#include "maildrop/maildrop.h"
#include "maildrop/syscalls.h"

#include <errno.h>
#include <time.h>

#define LOCK_NAME "valija-lock"
#define BASE_NAME "valija-base"
#define DELTA_NAME "valija-delta"
#define UIDL_NAME "valija-uidl"
#define NEW_SUFFIX ".new" /* of a file that is being written and will be renamed */

/* In errno: the index was written by a later version of valija. */
#define MAILDIR_NEWER EPROTONOSUPPORT

struct maildir_place {
	const struct maildrop_syscalls *sys;
	const struct maildrop_settings *settings; /* of who opened it */
	char *home;
	int dir, lock; /* lock -1: the filesystem takes no lock file, the directory is locked */
	int directories[INDEX_DIRECTORIES]; /* -1 until maildir_directory opens them */
	/* for the guard (prove.h) */
	bool proven;  /* it was judged in this opening */
	bool has_ids; /* unique ids that are data are known to be in it */
	char *rule;   /* by which they came; NULL: it is not known */
};

/* Words for a failure in `what` (a file or directory of the maildrop; NULL: the maildrop), with
 * what to do when errnum tells. */
enum maildrop_status maildir_failed(const struct maildir_place *place, int errnum, const char *what,
				    const char *doing, struct err *err);

/* Notes that a file of the folder fd is no message, or cannot be read, and what to do. errnum: what
 * maildir_open_message or a reading failed with. */
void maildir_note_left_out(const struct maildir_place *place, int fd, const char *folder,
			   const char *name, int errnum);
/* Notes that a deleted message's file could not be unlinked. */
void maildir_note_not_unlinked(const struct maildir_place *place, enum index_directory which,
			       const char *name, int errnum);

/* Notes that a deleted message could not be moved to the kept ones; lost: it was unlinked. */
void maildir_note_not_kept(const struct maildir_place *place, enum index_directory which,
			   const char *name, int errnum, bool lost);
/* Notes that kept messages cannot be looked at or removed. */
void maildir_note_no_upkeep(const struct maildir_place *place, int errnum);
/* Notes that the journal of deletions could not be written. */
void maildir_note_no_journal(const struct maildir_place *place, int errnum);

enum maildir_want {
	PLACE_ANY,   /* MAILDROP_ABSENT if it is not there */
	PLACE_THERE, /* the same, but MAILDROP_TEMP if the root says that it should be */
	PLACE_MAKE,  /* made if it is not there */
};
/* Opens a maildrop in two halves, between which adopt/enter.c looks whose it was: its folder, then
 * its lock, which is made if it is not there. Each closes the place if it fails. */
enum maildrop_status maildir_place_begin(struct maildir_place *place,
					 const struct maildrop_settings *settings, int root_fd,
					 const char *home, enum maildir_want want, struct err *err);
/* Opens the lock file. Only a maildrop that is ours has one. */
bool maildir_place_has_lock(struct maildir_place *place);
enum maildrop_status maildir_place_end(struct maildir_place *place,
				       const struct maildrop_settings *settings, int root_fd,
				       enum maildir_want want, struct err *err);
/* A place without folders, for what needs none. -1: no memory. */
int maildir_place_init(struct maildir_place *place, const struct maildrop_settings *settings,
		       const char *home);
/* One that is there, with its lock file, out of memory alone: sys is maildrop_cached. 0, -1. */
int maildir_place_open_now(struct maildir_place *place, const struct maildrop_settings *settings,
			   int root_fd, const char *home);
void maildir_place_close(struct maildir_place *place);

/* The locks are octets of one file: a session's, the short one under which the log grows, and that
 * of `valija migrate`. All vanish with the descriptor. */
enum maildir_lock { LOCK_SESSION, LOCK_LOG, LOCK_MIGRATE };
/* 0, -1 with errno (EAGAIN: another process has it). */
int maildir_lock(struct maildir_place *place, enum maildir_lock which, bool wait);
void maildir_unlock(struct maildir_place *place, enum maildir_lock which);
/* Is our lock file still the one that others would lock? */
bool maildir_lock_held(const struct maildir_place *place);

/* new/ or cur/, held open until the place is closed. -1 with errno. */
int maildir_directory(struct maildir_place *place, enum index_directory which);
extern const char *const maildir_directory_names[INDEX_DIRECTORIES];

/* A directory's time as it is now, trust TRUST_NONE. -1 with errno. */
int maildir_stamp(const struct maildir_place *place, enum index_directory which,
		  struct index_stamp *ret);
bool maildir_stamp_equal(const struct index_stamp *a, const struct index_stamp *b);
/* The clock of the maildrop's filesystem. -1 with errno. */
int maildir_clock(const struct maildir_place *place, struct timespec *ret);

#endif
