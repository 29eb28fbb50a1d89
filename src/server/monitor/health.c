/* See health.h. */
#include "server/monitor/health.h"

#include "base/log.h"

#include <stdio.h>
#include <sys/stat.h>

enum {
	PULSE_MOST = 5000, /* ms between two pings */
	PINGS = 6,         /* without an answer, before a process is replaced */
	LOST_MAX = 3,      /* times a minute that a front is ended at the request of keepers */
};

/* Whether another front may be ended because a keeper asks for it. */
static bool may_end(struct slot *front, uint64_t now)
{
	if (now - front->lost_since > 60 * 1000) {
		front->lost_since = now;
		front->lost = 0;
	}
	return ++front->lost <= LOST_MAX;
}

/* A peer that broke the rules of a channel, or did not read it, is killed and started again; a
 * child that has exited already needs no kill. A keeper reads one user's mail, so it is believed
 * only so often: then it is the one that is replaced, and gets channels anew, too. */
void health_peer_lost(struct slot *from, uint64_t instance)
{
	struct slot *slot = from->generation->slots;

	while (slot && slot->instance != instance)
		slot = slot->next;
	if (!slot || slot->pid <= 0 || slot->killed || slot_has_exited(slot))
		return;
	if (slot->role != ROLE_FRONT && slot->role != ROLE_LMTP && slot->role != ROLE_MTA &&
	    slot->role != ROLE_CONTROL &&
	    !((slot->role == ROLE_KEEPER || slot->role == ROLE_CONNECTOR ||
	       slot->role == ROLE_LOOKUP || slot->role == ROLE_LOGINS) &&
	      from->role == ROLE_AUTH))
		return;
	if (from->role == ROLE_KEEPER && !may_end(slot, loop_now(slot->loop))) {
		log_error("keeper %u (pid %d, uid %u) has lost %s %u again: the keeper is "
			  "replaced instead",
			  from->index, (int)from->pid, from->uid, ipc_role_name(slot->role),
			  slot->index);
		slot_kill(from);
		return;
	}
	if (!from->generation->draining)
		log_warning("%s %u (pid %d, uid %u) has lost its channel to %s %u (pid %d), which "
			    "is replaced",
			    ipc_role_name(from->role), from->index, (int)from->pid, from->uid,
			    ipc_role_name(slot->role), slot->index, (int)slot->pid);
	slot_kill(slot);
}

void health_pong(struct slot *slot, const struct ipc_pong *message)
{
	uint64_t now = loop_now(slot->generation->owner->loop);

	slot->used = message->idle < now ? now - message->idle : 0;
}

uint64_t health_pulse(const struct generation *g)
{
	uint64_t ms = g->config.answer_seconds * 1000ull / PINGS;

	return ms && ms < PULSE_MOST ? ms : PULSE_MOST;
}

/* Pings without an answer that are too many. */
static unsigned pings(const struct generation *g)
{
	return (unsigned)(g->config.answer_seconds * 1000ull / health_pulse(g));
}

/* Since Linux 6.2 the size of this folder is the number of open descriptors; before, it is 0. */
static uint64_t descriptors(pid_t pid)
{
	char path[64];
	struct stat st;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	return stat(path, &st) < 0 ? 0 : (uint64_t)st.st_size;
}

void health_count(const struct generation *g)
{
	for (const struct slot *slot = g->slots; slot; slot = slot->next)
		if (slot->page && slot->pid > 0)
			atomic_store(&slot->page->memory->slots[COUNTER_DESCRIPTORS],
				     descriptors(slot->pid));
}

struct slot *health_look(struct generation *g)
{
	struct slot *stuck = NULL;

	for (struct slot *slot = g->slots; slot; slot = slot->next) {
		slot_ping(slot, pings(g), g->config.answer_seconds);
		if (slot_is_stuck(slot))
			stuck = slot;
	}
	return stuck;
}
