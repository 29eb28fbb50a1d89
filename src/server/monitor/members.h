/*
 * The struct of a generation and the list of its slots: what generation.c, demand.c and health.c
 * share. Runs in the monitor, as root when that is root.
 */
#ifndef SERVER_MONITOR_MEMBERS_H
#define SERVER_MONITOR_MEMBERS_H

#include "server/monitor/files.h"
#include "server/monitor/generation.h"
#include "server/monitor/locations.h"
#include "server/monitor/owners.h"
#include "server/monitor/root_watch.h"
#include "server/monitor/slot.h"
#include "server/monitor/spool_files.h"

struct generation {
	struct generation_owner *owner;
	struct config config;
	struct generation_files files;
	struct slot *slots;
	const struct slot_events *events;
	uint32_t number;
	struct owners owners;
	struct loop_timer room; /* set while a request waits for a keeper */
	struct loop_timer pulse;
	struct locations *locations;
	struct spool_files spool;
	struct root_watch root_watch;
	bool announced, draining, failed, killed;
	struct loop_timer deadline;
};

/* A new slot, without a process. NULL: no memory. */
struct slot *members_add(struct generation *g, enum ipc_role role, uint32_t index, uid_t uid,
			 gid_t gid);
void members_remove(struct generation *g, struct slot *slot);
/* slot_start with what the generation has. */
int members_start(struct slot *slot, struct err *err);

#endif
