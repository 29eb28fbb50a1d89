/*
 * The part that the files of a keeper share: its root struct, the state of a front, and lanes. A
 * lane belongs to a maildrop in use: its jobs run one after another in worker threads, and sessions
 * that found the maildrop in use wait in it. On the keeper's loop; a worker reads two members of a
 * lane: path and hurry.
 */
#ifndef SERVER_KEEPER_LANE_H
#define SERVER_KEEPER_LANE_H

#include "base/table.h"
#include "maildrop/mail_root.h"
#include "maildrop/maildrop.h"
#include "server/child.h"
#include "sys/arena.h"
#include "sys/workers.h"

#include <stdatomic.h>

struct keeper {
	struct child *child;
	struct workers *workers;
	struct maildrop_settings settings;
	struct table lanes;
	int mail_fd;
	struct mail_root root; /* what is known of mail_fd */
	void *scratch;         /* of body.c, for bodies that are sent without a worker */
	unsigned busy;         /* jobs under way: a keeper is not drained before they are done */
	/* of a keeper that was started on demand, for mail of an owner that has no other keeper */
	bool on_demand;
	char home[IPC_TEXT_MAX + 1]; /* a maildrop whose owner and group this process takes */
	struct loop_timer look;      /* whether it was idle for long enough to end */
	uint64_t used;               /* when a lane was last taken or released */
};

struct keeper_session;

struct keeper_lane {
	struct table_node node; /* key: hash of the path */
	struct job_lane jobs;
	struct keeper_session *waiting; /* sessions that found the maildrop in use */
	atomic_bool hurry;              /* a login waits while a closed session still sweeps */
	unsigned references;
	char path[]; /* of the maildrop, below the mail root */
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
/* Adds a job to the lane. It is never refused: credits bound the requests. */
void keeper_add_job(struct keeper *keeper, struct keeper_lane *lane, struct job *job);
/* A job is done and freed: the last one may end a draining keeper. */
void keeper_job_over(struct keeper *keeper);
/* Ends a draining keeper when no job is under way and no front is left but gone, the one that is
 * leaving (may be NULL). */
void keeper_check_drained(struct keeper *keeper, const struct peer *gone);

#endif
