/* See owners.h. The monitor does not know what a keeper does: PONG brings how long it has been
 * idle, and a keeper at work answers LEAVE with a PONG. So the monitor asks those that worked least
 * lately, and counts one that it has asked as at work until its answer says more. */
#include "server/monitor/owners.h"

#include <stdlib.h>
#include <string.h>

enum {
	WAITING_MAX = 1024,
	FAILURES_MAX = 32, /* in FAILURES_MS: an auth that an attacker owns starts no more */
	FAILURES_MS = 10 * 1000,
	WAIT_MS = 30 * 1000, /* auth gives its requests up after as long */
};

struct owner_waiting {
	struct owner_waiting *next;
	uint64_t since;
	uint32_t uid, root;
	char home[];
};

bool owners_wait(struct owners *owners, uint32_t uid, struct owner_home home, uint64_t now)
{
	struct owner_waiting **at = &owners->waiting, *waiting;
	unsigned count = 0;

	for (; *at; at = &(*at)->next, count++) {
		if ((*at)->uid != uid)
			continue;
		(*at)->since = now; /* auth asks again */
		return true;
	}
	if (count >= WAITING_MAX)
		return false;
	waiting = calloc(1, sizeof(*waiting) + home.path.size + 1);
	if (!waiting)
		return false;
	memcpy(waiting->home, home.path.data, home.path.size);
	waiting->uid = uid;
	waiting->root = home.root;
	waiting->since = now;
	*at = waiting;
	return true;
}

bool owners_next(struct owners *owners, uint64_t now, uint32_t *ret_uid, uint32_t *ret_root,
		 char **ret_home)
{
	while (owners->waiting) {
		struct owner_waiting *first = owners->waiting;
		char *home = now - first->since > WAIT_MS ? NULL : strdup(first->home);

		*ret_uid = first->uid;
		*ret_root = first->root;
		owners->waiting = first->next;
		free(first);
		if (!home)
			continue;
		*ret_home = home;
		return true;
	}
	return false;
}

bool owners_anything_waits(const struct owners *owners)
{
	return owners->waiting != NULL;
}

static struct slot *longest_idle(struct slot *slots, uint64_t now)
{
	struct slot *best = NULL;

	for (struct slot *slot = slots; slot; slot = slot->next)
		if (slot->on_demand && slot->ready && slot->has_chan && !slot->leaving &&
		    slot->used < now && (!best || slot->used < best->used))
			best = slot;
	return best;
}

void owners_make_room(const struct owners *owners, struct slot *slots, uint64_t now)
{
	const struct owner_waiting *waiting = owners->waiting;
	struct ipc_leave leave = {0};

	for (; waiting; waiting = waiting->next) {
		struct slot *slot = longest_idle(slots, now);

		if (!slot)
			return;
		slot->used = now;
		ipc_send(&slot->chan, IPC_LEAVE, &leave);
	}
}

struct slot *owners_find(struct slot *slots, uint32_t uid)
{
	while (slots && !(slots->on_demand && slots->uid == uid))
		slots = slots->next;
	return slots;
}

void owners_note_failure(struct owners *owners, uint64_t now)
{
	if (now - owners->failed_since > FAILURES_MS) {
		owners->failed_since = now;
		owners->failed = 0;
	}
	owners->failed++;
}

bool owners_fail(const struct owners *owners, uint64_t now)
{
	return owners->failed >= FAILURES_MAX && now - owners->failed_since <= FAILURES_MS;
}

void owners_hand_on(const struct owners *owners, uint64_t now, struct handover *ret)
{
	for (const struct owner_waiting *of = owners->waiting; of; of = of->next) {
		struct handover_waiting record = {
			.age = now - of->since, .uid = of->uid, .root = of->root};

		handover_put(ret, HANDOVER_WAITING, &record,
			     (pop3_span){of->home, strlen(of->home)});
	}
}

void owners_finish(struct owners *owners)
{
	while (owners->waiting) {
		struct owner_waiting *first = owners->waiting;

		owners->waiting = first->next;
		free(first);
	}
}
