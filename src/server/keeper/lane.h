/*
 * The part that the files of a keeper share: its root struct, the state of a front, and lanes. A
 * lane belongs to a maildrop in use: its jobs run one after another in worker threads, and sessions
 * that found the maildrop in use wait in it. The jobs of one filesystem have a share of the
 * workers, so that one that hangs stops nobody elsewhere; while jobs are under way, a look each
 * second finds those that take long (watch.h). On the keeper's loop; a worker reads two members of
 * a lane: path and hurry.
 */
#ifndef SERVER_KEEPER_LANE_H
#define SERVER_KEEPER_LANE_H

#include "base/table.h"
#include "maildrop/mail_root.h"
#include "maildrop/maildrop.h"
#include "server/child.h"
#include "server/keeper/notes.h"
#include "sys/arena.h"
#include "sys/workers.h"

#include <stdatomic.h>

enum { KEEPER_SEEN = 1 << 14 };

struct keeper {
	struct child *child;
	struct workers *workers;
	struct maildrop_settings settings;
	struct table lanes;
	int mail_fd;
	struct mail_root root; /* what is known of mail_fd */
	atomic_bool mail_away; /* ROOT_AWAY; workers read it */
	struct keeper_notes notes;
	struct table questions; /* to the monitor, unanswered (location.h) */
	uint64_t question_number;
	uint64_t seen[KEEPER_SEEN]; /* maildrops that the monitor was told of, by hash of the path;
				       another one with the same place takes it over */
	void *scratch;              /* of body.c, for bodies that are sent without a worker */
	unsigned busy; /* jobs under way: a keeper is not drained before they are done */
	struct keeper_device *devices;
	struct loop_timer watch; /* of watch.c; set while jobs are under way */
	bool watching;
	/* keeper_sessions_expire, which stands above */
	void (*expire)(struct keeper *keeper, uint64_t ms);
	/* of a keeper that was started on demand, for mail of an owner that has no other keeper */
	bool on_demand;
	char home[IPC_TEXT_MAX + 1]; /* a maildrop whose owner and group this process takes */
	struct loop_timer look;      /* whether it was idle for long enough to end */
	uint64_t used;               /* when a lane was last taken or released */
};

/* A filesystem that lanes are on. */
struct keeper_device {
	struct keeper_device *next;
	struct job_share share;
	uint64_t number; /* major and minor, 32 bits each */
	unsigned references;
};

struct keeper_session;

struct keeper_lane {
	struct table_node node; /* key: hash of the path */
	struct job_lane jobs;
	struct keeper_session *waiting; /* sessions that found the maildrop in use */
	atomic_bool hurry;              /* a login waits while a closed session still sweeps */
	unsigned references;
	struct keeper_device *device; /* NULL: there was no job yet */
	uint64_t since;               /* when a job ended last, or the first one was added */
	unsigned finished;            /* jobs, at the watch's last look */
	bool told;                    /* the log has that it takes long */
	char path[];                  /* of the maildrop, below the mail root */
};

/* The state of a front at a keeper: the data of its peer. */
struct keeper_front {
	struct arena *arena;       /* POP3: for bodies; NULL: none */
	struct table sessions;     /* POP3: key session */
	struct table transactions; /* LMTP: key session */
	uint32_t asked;            /* LMTP: recipients whose quota is being checked */
	uint32_t recipients;       /* LMTP: that it may deliver to, in all transactions */
};

/* Takes a reference to the lane of a maildrop. NULL: no memory. */
struct keeper_lane *keeper_lane_take(struct keeper *keeper, pop3_span path);
void keeper_lane_release(struct keeper *keeper, struct keeper_lane *lane);
/* Adds a job to the lane. It is never refused: credits bound the requests. what: for the log, as in
 * "opening it". */
void keeper_add_job(struct keeper *keeper, struct keeper_lane *lane, struct job *job,
		    const char *what);
/* A job is done and freed: the last one may end a draining keeper. */
void keeper_job_over(struct keeper *keeper);
/* Ends a draining keeper when no job is under way and no front is left but gone, the one that is
 * leaving (may be NULL). */
void keeper_check_drained(struct keeper *keeper, const struct peer *gone);

#endif
