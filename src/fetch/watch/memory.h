/*
 * The memory of --watch: how each account's runs ended, as a file in the state folder that is
 * replaced as a whole. The daemon writes it, and reads it at its next start; `valija fetch status`
 * shows it. Beside it a lock tells whether a daemon is at work.
 */
#ifndef FETCH_WATCH_MEMORY_H
#define FETCH_WATCH_MEMORY_H

#include "fetch/watch/schedule.h"

struct watch_record {
	char name[FETCH_TEXT_MAX];
	enum watch_result result;
	bool running;
	int code;              /* of the last run's process */
	unsigned failures;     /* in a row */
	uint32_t login_delay;  /* seconds; 0: none */
	int64_t last_run;      /* seconds since 1970, its end; 0: never */
	int64_t last_success;  /* the same */
	int64_t next_run;      /* the same; 0: not planned */
	uint64_t runs, failed; /* since the account is known */
	uint64_t messages, octets;
	char text[256]; /* of the last error, printable; "": none */
};

struct watch_memory {
	struct watch_record *records;
	unsigned count;
	int64_t written; /* seconds since 1970 */
};

/* dir: the state folder. A file that cannot be understood is an error; none is an empty memory. */
int watch_memory_load(int dir, struct watch_memory *ret, struct err *err);
void watch_memory_finish(struct watch_memory *memory);
const struct watch_record *watch_memory_find(const struct watch_memory *memory, const char *name);
int watch_memory_save(int dir, const struct watch_memory *memory, struct err *err);
/* The records as JSON text, for status --json; to be freed. NULL: no memory. */
char *watch_memory_json(const struct watch_memory *memory, bool watching);

/* 1: the lock is ours, in *ret_fd; 0: a daemon has it; -1. */
int watch_lock(int dir, int *ret_fd, struct err *err);
/* Whether a daemon has it: 1 or 0, -1. It is not taken for that: a daemon that starts at the same
 * moment would find it taken, and end. */
int watch_locked(int dir, struct err *err);

#endif
