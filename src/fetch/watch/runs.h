/* A run of one account in a process of its own, for watch.c: so a crash or a hostile server of one
 * leaves the others alone, and each process is confined to its account. */
#ifndef FETCH_WATCH_RUNS_H
#define FETCH_WATCH_RUNS_H

#include "fetch/run.h"
#include "fetch/watch/tls.h"

#include <sys/types.h>

struct watch_run {
	pid_t pid; /* 0: none */
	int from;  /* the process writes its outcome there */
	int64_t started;
};

/* The process shares nothing with its parent but the files it was started with: no loop, no
 * terminal; options->memory is its own. -1: it could not be started. */
int watch_run_start(const struct fetch_account *account, const struct fetch_options *options,
		    struct watch_run *ret, struct err *err);
/* Behind its end: status is waitpid's. The outcome is made safe to print and to count with; the
 * session of its TLS is taken as it is. */
void watch_run_take(struct watch_run *run, int status, struct watch_session *session,
		    struct fetch_outcome *ret);

#endif
