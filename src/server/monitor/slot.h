/*
 * A place in a generation that one process fills after another: started, wired to the others,
 * started again with back-off when it ends. In the monitor; what a process sends is hostile, and
 * checked here before policy (generation.c) sees it.
 */
#ifndef SERVER_MONITOR_SLOT_H
#define SERVER_MONITOR_SLOT_H

#include "ipc/messages.h"
#include "sys/chan.h"
#include "sys/loop.h"

#include <stdbool.h>
#include <sys/types.h>

struct generation;
struct slot;

/* What a slot reports to the generation that it is a part of. */
struct slot_events {
	/* A new process is there, with a channel: give it what its role needs, then START. */
	int (*brief)(struct slot *slot, struct err *err);
	/* A message that ipc_check let through. */
	void (*message)(struct slot *slot, enum ipc_type type, const void *message);
	/* The time to start it again has come. */
	void (*again)(struct slot *slot);
};

struct slot {
	struct slot *next;
	struct generation *generation;
	const struct slot_events *events;
	struct loop *loop;
	enum ipc_role role;
	uint32_t index, uid, gid, group_size;
	/* of the process in it; pid 0: none now */
	pid_t pid;
	uint64_t instance, started;
	struct chan chan;
	bool has_chan, ready, ever_ready;
	uint64_t back_off;
	struct loop_timer timer;
};

void slot_init(struct slot *slot, struct loop *loop, struct generation *generation,
	       const struct slot_events *events);
/* Frees what it holds; its process is not touched. */
void slot_finish(struct slot *slot);
/* Starts a process from exe_fd. Returns 0, or -1 with err; then either there is none (pid 0), or it
 * was killed and slot_reaped follows. */
int slot_start(struct slot *slot, int exe_fd, uint64_t instance, struct err *err);
/* Starts it again later: after a back-off that grows while its processes end early; at once, if the
 * last one lived long. */
void slot_start_later(struct slot *slot);
/* The most that slot_start_later waits, for a slot whose process could not even be started. */
void slot_start_last(struct slot *slot);
void slot_no_more_starts(struct slot *slot);
/* Sends SIGKILL to its process, if there is one. */
void slot_kill(const struct slot *slot);
/* Its process ended with status: reports what it sent before that, and logs how it ended. quiet: an
 * exit code of 0 is not worth a line. */
void slot_reaped(struct slot *slot, int status, bool quiet);

#endif
