/* See demand.h. */
#include "server/monitor/demand.h"

#include "base/log.h"

#include <stdlib.h>
#include <string.h>

enum {
	MAKE_ROOM = 250, /* ms between two attempts to end keepers for others */
};

/* Ends the wait of logins for a keeper of that uid. */
static void refuse_owner(struct generation *g, uint32_t uid)
{
	struct ipc_owner refused = {.uid = uid};

	for (struct slot *slot = g->slots; slot; slot = slot->next)
		if (slot->role == ROLE_AUTH && slot->has_chan)
			ipc_send(&slot->chan, IPC_KEEPER_REFUSED, &refused);
}

static void remove_keeper(struct generation *g, struct slot *slot)
{
	g->owners.running--;
	members_remove(g, slot);
}

/* The reason why no keeper is started now, or NULL. */
static const char *refusal(const struct generation *g)
{
	if (!g->owner->root)
		return "not started as root";
	if (g->draining)
		return "its processes end";
	if (owners_fail(&g->owners, loop_now(g->owner->loop)))
		return "too many such keepers could not start within ten seconds";
	return NULL;
}

/* Takes home. The new process looks for itself at the owner of home: see keeper/idle.h. */
static void start_owner(struct generation *g, uint32_t uid, uint32_t root, char *home)
{
	struct err err = {.text = "out of memory"};
	const char *why = refusal(g);
	struct slot *slot = why ? NULL : members_add(g, ROLE_KEEPER, 0, uid, g->files.mail_gid);

	if (!slot) {
		free(home);
	} else {
		slot->on_demand = true;
		slot->home_root = root;
		slot->home = home;
		g->owners.running++;
		if (members_start(slot, &err) == 0 || slot->pid)
			return;
		remove_keeper(g, slot);
	}
	log_error("no keeper for mail of uid %u: %s", uid, why ? why : err.text);
	refuse_owner(g, uid);
}

/* Starts keepers for requests that wait, as far as there is room; asks others to end for the rest.
 */
static void serve_owners(struct generation *g)
{
	uint64_t now = loop_now(g->owner->loop);
	uint32_t uid, root;
	char *home;

	while (!g->draining && g->owners.running < g->config.owner_keepers &&
	       owners_next(&g->owners, now, &uid, &root, &home))
		start_owner(g, uid, root, home);
	if (g->draining || !owners_anything_waits(&g->owners))
		return;
	owners_make_room(&g->owners, g->slots, now);
	loop_timer_set(&g->room, MAKE_ROOM);
}

void demand_room(struct loop_timer *timer)
{
	serve_owners(timer->context);
}

/* Auth needs a keeper for mail of an owner that has none. A hostile auth gains confined keepers of
 * owners that have mail here, no more: uid and gid are those of the folder. */
void demand_keeper(struct slot *from, const struct ipc_owner *wanted)
{
	struct generation *g = from->generation;
	struct slot *slot = owners_find(g->slots, wanted->uid);
	struct owner_home home = {wanted->root, ipc_text(wanted, 0)};
	uint64_t now = loop_now(g->owner->loop);
	const char *why;

	if (slot) { /* it is being started, or it is about to end, and must be started again */
		slot->wanted = slot->ready;
		return;
	}
	if (wanted->root >= g->config.root_count)
		return; /* auth has none of its users there */
	if (wanted->uid == 0)
		log_warning("a maildrop in %s belongs to root: its keeper runs as root, without "
			    "capabilities and confined to that folder; better: a user of its own "
			    "for that maildrop",
			    g->config.roots[wanted->root].path);
	why = refusal(g);
	if (!why && owners_wait(&g->owners, wanted->uid, home, now)) {
		serve_owners(g);
		return;
	}
	log_error("no keeper for mail of uid %u: %s", wanted->uid,
		  why ? why : "too many other owners of mail wait for theirs");
	refuse_owner(g, wanted->uid);
}

/* A keeper on demand has ended: tidily, or before it was ready, or as others do. Returns true when
 * its slot is not started again as others are. */
bool demand_ended(struct generation *g, struct slot *slot, bool tidy)
{
	uint32_t uid = slot->uid, root = slot->home_root;
	char *home = NULL;

	if (!slot->on_demand || (slot->ever_ready && !tidy))
		return false;
	if (!slot->ever_ready) {
		owners_note_failure(&g->owners, loop_now(g->owner->loop));
		refuse_owner(g, uid);
	} else if (slot->wanted) {
		home = strdup(slot->home);
	}
	remove_keeper(g, slot);
	if (home)
		start_owner(g, uid, root, home);
	serve_owners(g);
	return true;
}
