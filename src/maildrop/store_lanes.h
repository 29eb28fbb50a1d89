/*
 * Lanes of a store that blocks. A lane belongs to a maildrop in use: its jobs run one after another
 * in worker threads. The jobs of one filesystem have a share of the threads, so that one that hangs
 * stops nobody elsewhere; while jobs are under way, a look each second finds those that take long:
 * the log says which maildrop waits for what, once, and once more when it goes on. For
 * store_threads.c, on the loop; a worker reads hurry.
 */
#ifndef MAILDROP_STORE_LANES_H
#define MAILDROP_STORE_LANES_H

#include "maildrop/store.h"
#include "sys/workers.h"

#include <stdatomic.h>

/* A filesystem that lanes are on. */
struct store_device {
	struct store_device *next;
	struct job_share share;
	uint64_t number; /* major and minor, 32 bits each */
	unsigned references;
};

struct store_lane {
	struct store_lane *next, **at;
	const char *path; /* of its location */
	struct job_lane jobs;
	atomic_bool hurry;           /* a login waits while a closed session still sweeps */
	struct store_device *device; /* NULL: no memory */
	uint64_t since;              /* when a job ended last, or the first one was added */
	unsigned finished;           /* jobs, at the last look */
	bool told;                   /* the log has that it takes long */
};

struct store_lanes {
	struct loop *loop;
	struct workers *workers;
	struct store_lane *lanes;
	struct store_device *devices;
	struct loop_timer look; /* set while jobs are under way */
	bool looking;
	unsigned busy; /* jobs under way */
	int root_fd;
	void (*looked)(struct store_lanes *lanes, uint64_t now); /* at each look */
};

int store_lanes_init(struct store_lanes *lanes, const struct store_host *host, int root_fd,
		     struct err *err);
/* The lane of a location, made if it has none yet. */
struct store_lane *store_lane(struct store_lanes *lanes, struct store_where *where);
void store_lane_leave(struct store_lanes *lanes, struct store_where *where);
/* what: for the log, as in "opening it". */
void store_lane_add(struct store_lanes *lanes, struct store_lane *lane, struct job *job,
		    const char *what);
/* A job is done: from its done(). */
void store_lane_done(struct store_lanes *lanes);

#endif
