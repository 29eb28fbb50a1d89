/*
 * A session's Maildir: what its files share. One session has one at a time; it belongs to the lane
 * of its maildrop, so that no two threads use it at once.
 */
#ifndef MAILDROP_MAILDIR_SESSION_SESSION_H
#define MAILDROP_MAILDIR_SESSION_SESSION_H

#include "maildrop/deleted.h"
#include "maildrop/driver.h"
#include "maildrop/maildir/session/locate.h"
#include "maildrop/maildir/update/log.h"
#include <stdatomic.h>

struct maildir {
	struct maildrop head;
	struct maildir_place place;
	struct maildir_index index; /* the session's: base and the log as long as it was at login */
	int kept;                   /* the folder of kept messages; -1: not open */
	int copies[2];              /* of base and log, lent in their place; -1: none */
	struct maildir_locator *locator; /* NULL: nothing was to be found yet */
	const atomic_bool *hurry; /* NULL, or true: a login waits for the end of this sweep */
	uint64_t commit_id;       /* of the log that has its DELs */
	uint64_t commit_from;     /* they stand there from this position on */
	struct deleted_by *by; /* the session that deletes, for the journal; NULL: nobody knows */
	uint32_t moved;        /* of the sweep: messages below are moved to cur/ */
	uint32_t counted;      /* of the sweep: messages below are counted */
	bool committed;        /* this session deleted something: there is something to sweep */
	bool expired;          /* these DELs are not the session's: messages were too old */
	bool journaled;        /* the sweep has written its lines */
	bool unlinked;         /* the sweep has done with deletions; the rest goes in slices */
	bool damaged;          /* the index has to be built again */
};

static inline bool maildir_hurried(const struct maildir *m)
{
	return m->hurry && atomic_load_explicit(m->hurry, memory_order_relaxed);
}

#endif
