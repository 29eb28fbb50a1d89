/*
 * Blocking work off the loop: a pool of threads, a bounded queue, lanes, shares. Jobs of one lane
 * run one after another, in the order they were added; jobs without a lane whenever a thread is
 * free. Jobs of one share may all wait for one thing, such as a filesystem: they never get all
 * threads, so that jobs of others go on when it never answers. auth (password hashes), keepers
 * (file systems) and the monitor (the register's disk) have one; all calls come from the loop's
 * thread.
 */
#ifndef SYS_WORKERS_H
#define SYS_WORKERS_H

#include "sys/loop.h"

struct workers;

struct job {
	struct job *next;
	struct job_lane *lane;         /* may be NULL */
	struct job_share *share;       /* may be NULL: waits for nothing that can hang */
	const char *what;              /* for job_lane_doing; may be NULL */
	void (*run)(struct job *job);  /* in a worker thread */
	void (*done)(struct job *job); /* in the loop, afterwards; may free the job */
};

/* Embedded; must outlive its jobs. */
struct job_lane {
	struct job *head, *tail; /* waiting; private, as the rest */
	bool busy;
	const char *doing;
	unsigned pending;  /* added, done() not yet called; the loop's thread only */
	unsigned finished; /* done() was called; the same */
};
void job_lane_init(struct job_lane *lane);
/* No job of the lane waits, runs or has its done() still to come: it may be freed. */
bool job_lane_idle(const struct job_lane *lane);
/* The name of the lane's job that runs now (its `what`); NULL: none runs, its next one waits for a
 * thread. */
const char *job_lane_doing(struct workers *workers, const struct job_lane *lane);

/*
 * Embedded; must outlive its jobs. So many of its jobs run at once at most: three quarters of the
 * threads that jobs of other shares leave over, and one less than those; but always one. So several
 * things that hang leave threads over, too.
 */
struct job_share {
	struct job *head, *tail; /* may not run yet; private, as the rest */
	unsigned running;
};
void job_share_init(struct job_share *share);

/* nice: by how much the threads' priority is lower than the loop's (setpriority(2)), so that jobs
 * that compute do not hold up the loops of other processes; 0: not lower. */
struct workers *workers_create(struct loop *loop, unsigned threads, int nice, unsigned queue_max,
			       struct err *err);
/* Runs the waiting jobs, waits for all, then calls their done(). Nothing can be added meanwhile.
 * NULL is none. */
void workers_destroy(struct workers *workers);
/* The job stays the caller's memory until done() is called. -1: the queue is full (the caller
 * answers [SYS/TEMP] or waits). A job with a lane is never refused when force is set. */
int workers_add(struct workers *workers, struct job *job, bool force);

#endif
