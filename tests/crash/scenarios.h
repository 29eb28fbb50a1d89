/*
 * Shared by the crash tests of the maildrop: a scratch maildrop with known mail, work that is done
 * in it and may end at any instant, and what has to be true of it afterwards. Programs of the tests
 * only.
 */
#ifndef TESTS_CRASH_SCENARIOS_H
#define TESTS_CRASH_SCENARIOS_H

#include "maildrop/index/format.h"
#include "maildrop/maildrop.h"
#include "maildrop/syscalls.h"

#define HOME "alice"
#define BASE_MESSAGES 6
#define DELIVERIES 4
#define DELETED (1u << 1 | 1u << 5) /* messages 2 (of cur/) and 6 (of new/) */

/* How far a scenario came, as who asked for the work saw it; bits. */
struct progress {
	unsigned started, delivered; /* deliveries */
	bool committing, committed, restored;
	char id[POP3_UNIQUE_ID_MAX + 1]; /* that a client was given for message 2; "": none yet */
};

struct run {
	int root;
	struct maildrop_settings settings;
	struct progress *progress;
	void (*note)(struct run *run); /* after each change of progress; may be NULL */
	void *context;
	bool restarted; /* the machine was, before the work is looked at */
};

struct scenario {
	const char *name;
	void (*prepare)(struct run *run); /* may be NULL: there is no maildrop yet */
	void (*work)(struct run *run);
	unsigned base;  /* messages that are there before */
	bool deleted;   /* DELETED were deleted by a session before */
	bool piecewise; /* deletions are done one by one: there was no room to record them */
	bool conflict; /* message 2 may not have the id of its name: another one brought it along */
	bool keeps;    /* deleted messages are kept */
	bool restores; /* DELETED were deleted and are kept, and the work brings them back */
	bool twice;    /* the first part of the work can die, see work_dies_at */
};
extern const struct maildrop_driver *const scenario_driver;
extern const struct scenario scenarios[];
extern const int scenario_count;

/* The change of the disk at which the first part of a scenario with `twice` dies: that and all
 * later ones fail, so that nothing is cleaned up. 0: it lives. */
extern unsigned long work_dies_at;
extern bool work_died;

/* Calls note, if there is one. */
void run_note(struct run *run);
/* A QUIT with deletions, as progress has it. */
void run_commit(struct run *run, struct maildrop *m);
/* The work with other calls; those of the run come back behind it. */
void run_with_calls(struct run *run, const struct maildrop_syscalls *calls,
		    void (*work)(struct run *run));
/* The work, of a process that dies at work_dies_at. */
void run_dying(struct run *run, void (*work)(struct run *run));

/* A scratch directory for `path` (at least 128 octets), its descriptor. Exits when it cannot. */
int scratch_make(char *path);
void scratch_clear(const char *path); /* what is in it */
void scratch_remove(const char *path);

/* The maildrop after a crash, and once more after a session that cleaned up: NULL if all is well,
 * else what is not. */
const char *check_maildrop(struct run *run, const struct scenario *scenario);

#endif
