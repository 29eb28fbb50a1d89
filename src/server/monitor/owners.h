/*
 * Keepers that are started on demand, one an owner of mail: the requests that wait for room, and
 * the choice of keepers that are asked to end. Runs in the monitor; generation.c starts and ends
 * the processes.
 */
#ifndef SERVER_MONITOR_OWNERS_H
#define SERVER_MONITOR_OWNERS_H

#include "base/err.h"
#include "server/monitor/handover.h"
#include "server/monitor/slot.h"

#include <pop3/span.h>

struct owners {
	struct owner_waiting *waiting; /* in order of arrival */
	unsigned running;              /* slots of keepers on demand */
	unsigned failed;               /* keepers that could not start, from failed_since on */
	uint64_t failed_since;
};

/* A maildrop of the owner: whose folder it is says so. */
struct owner_home {
	uint32_t root;
	pop3_span path;
};

/* A request for a keeper of uid waits for room. Returns false when too many wait. */
bool owners_wait(struct owners *owners, uint32_t uid, struct owner_home home, uint64_t now);
/* Takes the oldest request that waits and is not too old; frees those that are. False: none. home
 * is the caller's to free. */
bool owners_next(struct owners *owners, uint64_t now, uint32_t *ret_uid, uint32_t *ret_root,
		 char **ret_home);
bool owners_anything_waits(const struct owners *owners);
/* Sends LEAVE to as many keepers as requests wait, those that have been idle for longest first. */
void owners_make_room(const struct owners *owners, struct slot *slots, uint64_t now);
/* The keeper on demand of that uid among slots, or NULL. */
struct slot *owners_find(struct slot *slots, uint32_t uid);
/* A keeper could not start. */
void owners_note_failure(struct owners *owners, uint64_t now);
/* Whether so many could not start lately that no other is tried for a while. */
bool owners_fail(const struct owners *owners, uint64_t now);
/* The requests that wait, for an upgrade; owners_wait takes them over. */
void owners_hand_on(const struct owners *owners, uint64_t now, struct handover *ret);
void owners_finish(struct owners *owners);

#endif
