/*
 * `valija migrate --follow`: the service that moves mail by itself: of users that log in, then of
 * all that can be listed, again and again. It holds no secret and no mail, and waits for nothing
 * but its processes (helper.h). Usually root.
 */
#ifndef CLI_MIGRATE_FOLLOW_FOLLOW_H
#define CLI_MIGRATE_FOLLOW_FOLLOW_H

#include "cli/migrate/move.h"

enum { FOLLOW_JOBS = 4, FOLLOW_JOBS_MAX = 64, FOLLOW_EVERY_SECONDS = 3600 };

struct follow_options {
	struct migrate_options migrate; /* rate: of all rounds together */
	unsigned jobs;                  /* users at a time */
	uint64_t every_seconds;         /* between two passes through all users */
};

/* Until SIGTERM or SIGINT. Returns the exit code, -1 with err. */
int follow_run(const struct follow_options *options, struct err *err);

#endif
