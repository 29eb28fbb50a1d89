/*
 * The struct of a generation and the list of its slots: what generation.c, demand.c and health.c
 * share. Runs in the monitor, as root when that is root.
 */
#ifndef SERVER_MONITOR_MEMBERS_H
#define SERVER_MONITOR_MEMBERS_H

#include "server/monitor/certificate_watch.h"
#include "server/monitor/files.h"
#include "server/monitor/generation.h"
#include "server/monitor/locations.h"
#include "server/monitor/owners.h"
#include "server/monitor/root_watch.h"
#include "server/monitor/slot.h"
#include "server/monitor/spool_files.h"

#include <time.h>

/* A mail root of a generation, beside its files. */
struct generation_root {
	struct generation *generation;
	uint32_t index;
	struct locations *locations;
	struct root_watch watch;
};

struct generation {
	struct generation_owner *owner;
	struct config config;
	struct generation_files files;
	struct slot *slots;
	const struct slot_events *events;
	uint32_t number;
	time_t since;
	int program_fd;        /* of its processes but lookups: of this version, or of one before */
	bool counts_otherwise; /* its processes are of a version that counts other things */
	uint64_t drain_until;  /* of loop_now; if it drains */
	unsigned front_count;
	struct owners owners;
	struct loop_timer room; /* set while a request waits for a keeper */
	struct loop_timer pulse;
	struct generation_root roots[CONFIG_ROOTS_MAX];
	struct spool_files spool;
	struct certificate_watch certificates;
	bool announced, draining, failed, killed;
	bool adopted; /* of the program before an upgrade: its configuration is known in parts */
	bool yielded; /* it drains, and takes no connection any more */
	struct loop_timer deadline;
};

/* For generation.c and adopt.c: a generation without files and slots. NULL: no memory. */
struct generation *generation_new(struct generation_owner *owner, uint32_t number);
/* The register and the watch of each root; its files are open. */
int generation_begin_roots(struct generation *g, struct err *err);
/* It drains since before an upgrade, for ms milliseconds more. */
void generation_go_on_draining(struct generation *g, uint64_t ms, bool killed);

/* A new slot, without a process. NULL: no memory. */
struct slot *members_add(struct generation *g, enum ipc_role role, uint32_t index, uid_t uid,
			 gid_t gid);
void members_remove(struct generation *g, struct slot *slot);
/* slot_start with what the generation has. */
int members_start(struct slot *slot, struct err *err);

#endif
