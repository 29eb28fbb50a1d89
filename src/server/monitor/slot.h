/*
 * A slot of a generation: one process after another fills it. A process is started, gets channels
 * to the others, and is started again with back-off when it ends. Runs in the monitor; messages of
 * the process are hostile, and are checked here before policy (generation.c) gets them.
 */
#ifndef SERVER_MONITOR_SLOT_H
#define SERVER_MONITOR_SLOT_H

#include "ipc/messages.h"
#include "server/monitor/log_pipe.h"
#include "sys/chan.h"
#include "sys/loop.h"

#include <stdbool.h>
#include <sys/types.h>

struct generation;
struct page;
struct slot;

/* Calls from a slot to the generation that it belongs to. */
struct slot_events {
	/* A new process has a channel: send it what its role needs, then START. */
	int (*brief)(struct slot *slot, struct err *err);
	/* A message that ipc_check passed. May take descriptors out of fds. */
	void (*message)(struct slot *slot, enum ipc_type type, const void *message, int *fds);
	/* The back-off is over: start a process again. */
	void (*again)(struct slot *slot);
};

struct slot {
	struct slot *next;
	struct generation *generation;
	const struct slot_events *events;
	struct loop *loop;
	enum ipc_role role;
	uint32_t index, uid, gid, group_size;
	struct page *page; /* of counters; NULL: the process has none */
	/* the process in the slot; pid 0: none now */
	pid_t pid;
	uint64_t instance, started;
	struct chan chan;
	struct log_pipe log; /* the process's standard error */
	bool has_chan, ready, ever_ready;
	bool accepts; /* connections; not any more once it drains */
	uint64_t back_off;
	struct loop_timer timer;
	unsigned unanswered; /* pings since its last answer */
	uint64_t killed;     /* when SIGKILL was sent; 0: never */
	/* a front: how often it was ended at the request of keepers, from lost_since on */
	unsigned lost;
	uint64_t lost_since;
	/* a keeper that was started on demand: owners.h */
	bool on_demand, leaving, wanted; /* wanted: auth asked for one that may be about to end */
	uint64_t used;                   /* the last time that it is known to have worked */
	uint32_t home_root;
	char *home; /* below it; whose owner it becomes; owned */
};

void slot_init(struct slot *slot, struct loop *loop, struct generation *generation,
	       const struct slot_events *events);
/* Frees what the slot holds; its process runs on. */
void slot_finish(struct slot *slot);
/* Starts a process from exe_fd, in the network namespace network_fd (-1: the monitor's). Returns 0,
 * or -1 with err: then there is no process (pid 0), or it was killed and slot_reaped follows. */
int slot_start(struct slot *slot, int exe_fd, int network_fd, uint64_t instance, struct err *err);
/* Goes on with a process that another program started (adopt.h): takes its channel and the pipe of
 * its log, each unless it is -1. Without a channel it is ended. */
void slot_adopt(struct slot *slot, pid_t pid, int *channel_fd, int *log_fd);
/* Starts a process again later: after a back-off that grows while its processes end early; at once,
 * if the last process lived long. */
void slot_start_later(struct slot *slot);
/* The longest wait of slot_start_later, for a slot whose process could not even be started. */
void slot_start_last(struct slot *slot);
void slot_no_more_starts(struct slot *slot);
/* Sends SIGKILL to the process, if there is one. */
void slot_kill(struct slot *slot);
/* Kills a process that has not answered the last pings, else sends the next. most: pings without an
 * answer; 0: none is sent. */
void slot_ping(struct slot *slot, unsigned most, unsigned seconds);
/* Whether the process was killed long ago and still has not ended: it hangs in the kernel. */
bool slot_is_stuck(const struct slot *slot);
/* Gives up such a process: the slot is free, nobody waits for its end. */
void slot_abandon(struct slot *slot);
/* Whether the process has exited, though it was not reaped yet. */
bool slot_has_exited(const struct slot *slot);
/* The process ended with status: takes the messages that it sent before, and logs how it ended.
 * quiet: exit code 0 is not logged. */
void slot_reaped(struct slot *slot, int status, bool quiet);

#endif
