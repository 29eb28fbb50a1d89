/* See members.h. */
#include "server/monitor/members.h"

#include <stdlib.h>

/* That share the work of the slot's. */
static unsigned processes_of(const struct slot *slot)
{
	if (slot->role == ROLE_FRONT)
		return slot->generation->front_count;
	return slot->role == ROLE_KEEPER || slot->role == ROLE_CONNECTOR ? slot->group_size : 1;
}

static int program_of(const struct slot *slot)
{
	const struct generation_files *files = &slot->generation->files;

	if (slot->role == ROLE_LOOKUP)
		return files->lookups[slot->index].program_fd;
	if (slot->role == ROLE_KEEPER && files->keeper_fd >= 0)
		return files->keeper_fd;
	return slot->generation->program_fd;
}

int members_start(struct slot *slot, struct err *err)
{
	struct generation_owner *owner = slot->generation->owner;
	int exe_fd = program_of(slot);
	bool faces_network = slot->role == ROLE_FRONT || slot->role == ROLE_LMTP ||
			     slot->role == ROLE_LOOKUP || slot->role == ROLE_MTA ||
			     slot->role == ROLE_STATUS || slot->role == ROLE_CONNECTOR ||
			     exe_fd == slot->generation->files.keeper_fd;
	uint64_t instance = ++owner->instances;

	if (!slot->page && !slot->generation->counts_otherwise)
		slot->page = pages_take(&owner->pages, slot->role, slot->index,
					slot->generation->number);
	if (slot->page)
		pages_give_ring(&owner->pages, slot->page, instance, processes_of(slot),
				slot->on_demand);
	return slot_start(slot, exe_fd, faces_network ? -1 : owner->no_network_fd, instance, err);
}

struct slot *members_add(struct generation *g, enum ipc_role role, uint32_t index, uid_t uid,
			 gid_t gid)
{
	struct slot *slot = calloc(1, sizeof(*slot)), **at = &g->slots;

	if (!slot)
		return NULL;
	slot->role = role;
	slot->index = index;
	slot->uid = uid;
	slot->gid = gid;
	slot_init(slot, g->owner->loop, g, g->events);
	while (*at)
		at = &(*at)->next;
	*at = slot;
	return slot;
}

void members_remove(struct generation *g, struct slot *slot)
{
	struct slot **at = &g->slots;

	while (*at != slot)
		at = &(*at)->next;
	*at = slot->next;
	slot_finish(slot);
	free(slot);
}
