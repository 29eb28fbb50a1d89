/*
 * An upgrade: the monitor becomes the program that is installed now, with its pid, and starts a
 * generation of that program's processes as a reload does; those of the old program finish their
 * sessions. The new program is tried first (`valijad -t`, with the state that it is to take over);
 * when it fails, or cannot start its processes, the old ones go on. Runs in the monitor, as root
 * when that is root.
 */
#ifndef SERVER_MONITOR_UPGRADE_H
#define SERVER_MONITOR_UPGRADE_H

#include "base/err.h"
#include "server/monitor/handover.h"
#include "sys/loop.h"

#include <stdbool.h>
#include <sys/types.h>

enum { UPGRADE_OUTPUT_MAX = 4096, UPGRADE_WHY_MAX = 512 };

/* The last line of a trial that went well. */
#define UPGRADE_YES "it can take over from the valijad that runs"

struct monitor;

enum upgrade_phase {
	UPGRADE_NONE,
	UPGRADE_TRIAL, /* the new program checks configuration and state */
	UPGRADE_QUIET, /* until nothing is under way that the state does not have */
};

enum upgrade_result { UPGRADE_NEVER, UPGRADE_MADE, UPGRADE_REFUSED };

struct upgrade_events {
	/* A start, a reload or a look at a mail folder is under way. */
	bool (*is_busy)(const struct monitor *m);
	/* There is no upgrade, for that reason: the running program goes on. */
	void (*refused)(struct monitor *m, const char *why);
};

struct upgrade {
	const struct upgrade_events *events;
	char program[HANDOVER_PROGRAM_MAX]; /* its path; filled in before upgrade_init */
	enum upgrade_phase phase;
	bool wanted;    /* one more, as soon as what is in progress is over */
	uint64_t begun; /* of loop_now: when the trial began, perhaps of the program before */
	char before[HANDOVER_VERSION_NAME_MAX]; /* the version that became this one */
	uint32_t count;                         /* that are over */
	enum upgrade_result last;               /* of those */
	char why[UPGRADE_WHY_MAX];              /* it was refused */
	int program_fd;                         /* of the new program */
	pid_t pid;                              /* of the trial; 0: none */
	int output_fd;                          /* what the trial writes */
	struct loop_watch output;
	char said[UPGRADE_OUTPUT_MAX]; /* the end of that */
	size_t said_size;
	struct loop_timer timer; /* the end of patience; the next look whether it is quiet */
	unsigned looks;
	bool late; /* the trial was ended */
};

/* Once the loop is there. */
void upgrade_init(struct monitor *m, const struct upgrade_events *events);
/* Begins one; one that is asked for while another one or a reload is in progress begins behind it.
 */
void upgrade_begin(struct monitor *m);
/* Whether one is under way. */
bool upgrade_waits(const struct monitor *m);
/* A reload or an upgrade is over: an upgrade that waited for it begins. */
void upgrade_go_on(struct monitor *m);
/* One is over. why: it was refused; NULL: it was made. */
void upgrade_note(struct monitor *m, const char *why);
/* Returns true when pid was that of the trial. */
bool upgrade_reaped(struct monitor *m, pid_t pid, int status);
/* valijad stops. */
void upgrade_finish(struct monitor *m);

#endif
