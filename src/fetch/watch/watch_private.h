/* The inside of --watch, shared by watch.c (runs, signals), news.c and accounts.c (the
 * configuration). */
#ifndef FETCH_WATCH_WATCH_PRIVATE_H
#define FETCH_WATCH_WATCH_PRIVATE_H

#include "fetch/watch/memory.h"
#include "fetch/watch/runs.h"
#include "fetch/watch/watch.h"
#include "sys/loop.h"

struct watch_account {
	struct watch_record record;
	const struct fetch_account *settings; /* of the configuration; NULL: not in it any more */
	struct watch_run run;
	struct watch_session session;
	uint64_t due; /* ms of the loop */
};

struct watch {
	struct loop *loop;
	const struct watch_source *source;
	struct fetch_options options; /* of the runs */
	struct sandbox_program *program;
	struct watch_tls *tls;         /* NULL: each run has its own */
	struct tls_client_memory lent; /* to the run that starts, as is its account */
	struct fetch_account lent_account;
	const char *metrics;            /* of the command line; NULL: the configuration's */
	unsigned jobs;                  /* the same; 0 */
	struct fetch_config config;     /* without accounts */
	struct fetch_account *settings; /* those: config.count of them */
	size_t settings_size;
	struct watch_account *accounts;
	unsigned count;
	int dir, lock, network, grants;
	char state[FETCH_PATH_MAX];
	struct loop_timer due, save, end, pulse;
	struct loop_watch news, tokens;
	struct loop_signal child, hangup, terminate, interrupt;
	uint64_t addresses_at; /* last answer to a new address */
	bool saving, stopping;
};

/* A line on standard error. */
void watch_say(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Memory, metrics, the service manager's line: now, or in a moment together with what follows. */
void watch_save(struct watch *w);
void watch_save_soon(struct watch *w);
void watch_save_fired(struct loop_timer *timer);
/* Takes a configuration over, with the records of before; *config is empty afterwards. Runs of
 * accounts that left it go on to their end. -1: nothing has changed. */
int watch_adopt_all(struct watch *w, struct fetch_config *config, const struct watch_memory *memory,
		    struct err *err);
void watch_settings_finish(struct watch *w);

#endif
