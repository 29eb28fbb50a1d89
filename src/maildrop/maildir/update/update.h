/*
 * Makes the index current: compares it with the directories that changed and writes down the
 * difference, or builds it anew. For the files of this folder.
 */
#ifndef MAILDROP_MAILDIR_UPDATE_UPDATE_H
#define MAILDROP_MAILDIR_UPDATE_UPDATE_H

#include "maildrop/maildir/update/log.h"

enum maildir_freshness {
	MAILDIR_UNREADABLE = -1, /* the directory's times cannot be read: errno */
	MAILDIR_STALE,           /* the directory may have changed */
	MAILDIR_CURRENT,         /* the index has the directory's messages */
};

/* Compares the directory's times with the index's stamp of it. */
enum maildir_freshness maildir_current(const struct maildir_place *place,
				       const struct index_delta *delta, enum index_directory which);

/*
 * The log is held, and its index is the current one afterwards. rescan: look at both directories
 * whatever their times say. TARGET_MEMORY: what is on the disk stays as it is, and log->index is an
 * index in memory, for this session only.
 */
enum maildrop_status maildir_update(struct maildir_log *log, enum maildir_target target,
				    bool rescan, struct err *err);

/*
 * Our own changes to new/ and cur/ while the log is held: if the index stood for the directories
 * before (begin), it does so afterwards, with their new times, which end adds to the batch. Those
 * are assumed: another program may have changed something in between, and a later look at the
 * whole directory makes sure. Where that look costs next to nothing, it is made the next time.
 */
enum maildir_own_of {
	OWN_NEW, /* a message is added to new/ */
	OWN_BOTH
};
struct maildir_own {
	struct maildir_log *log;
	enum maildir_own_of which;
	bool current[INDEX_DIRECTORIES];
	uint64_t began; /* CLOCK_MONOTONIC, nanoseconds */
};
void maildir_own_begin(struct maildir_own *own, struct maildir_log *log, enum maildir_own_of which);
/* Since begin there was hardly time for another program. */
bool maildir_own_quick(const struct maildir_own *own);
/* Leaves a directory to the next look, if few messages are left in it. */
void maildir_own_forget(struct maildir_own *own, enum index_directory which, uint32_t left);
void maildir_own_end(const struct maildir_own *own, struct index_batch *batch);

#endif
