/* The inside of --watch, shared by watch.c (runs, signals) and accounts.c (the configuration). */
#ifndef FETCH_WATCH_WATCH_PRIVATE_H
#define FETCH_WATCH_WATCH_PRIVATE_H

#include "fetch/watch/memory.h"
#include "fetch/watch/runs.h"
#include "fetch/watch/watch.h"
#include "sys/loop.h"

struct watch_account {
	struct watch_record record;
	const struct fetch_account *settings; /* the configuration's; NULL: not in it any more */
	struct watch_run run;
	uint64_t due; /* ms of the loop */
};

struct watch {
	struct loop *loop;
	const struct watch_source *source;
	struct fetch_options options; /* of the runs */
	const char *metrics;          /* of the command line; NULL: the configuration's */
	unsigned jobs;                /* the same; 0 */
	struct fetch_config config;
	struct watch_account *accounts;
	unsigned count;
	int dir, lock, network;
	char state[FETCH_PATH_MAX];
	struct loop_timer due, save, end, pulse;
	struct loop_watch news;
	struct loop_signal child, hangup, terminate, interrupt;
	uint64_t addresses_at; /* last answer to a new address */
	bool saving, stopping;
};

/* Takes a configuration over, with the records of before; *config is empty afterwards. Runs of
 * accounts that left it go on to their end. -1: nothing has changed. */
int watch_adopt_all(struct watch *w, struct fetch_config *config, const struct watch_memory *memory,
		    struct err *err);

#endif
