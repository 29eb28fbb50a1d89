/* See place.h. On the keeper's loop. */
#include "server/keeper/place.h"

#include "server/counters.h"

#include <stdlib.h>
#include <string.h>

static void note_use(struct keeper *keeper)
{
	if (keeper->on_demand)
		keeper->used = loop_now(keeper->child->loop);
}

struct keeper_root *keeper_root_of(struct keeper *keeper, uint32_t index)
{
	return index < CONFIG_ROOTS_MAX && keeper->roots[index].fd >= 0 ? &keeper->roots[index]
									: NULL;
}

static uint64_t key_of(uint32_t root, pop3_span path)
{
	return hash_octets(path.data, path.size) + root;
}

static struct keeper_place *find(struct keeper *keeper, uint32_t root, pop3_span path, uint64_t key)
{
	for (struct table_node *node = table_find(&keeper->places, key); node;
	     node = table_next(node)) {
		struct keeper_place *place = CONTAINER(node, struct keeper_place, node);

		if (place->root->index == root && strlen(place->path) == path.size &&
		    memcmp(place->path, path.data, path.size) == 0)
			return place;
	}
	return NULL;
}

struct keeper_place *keeper_place_find(struct keeper *keeper, uint32_t root, pop3_span path)
{
	return find(keeper, root, path, key_of(root, path));
}

struct keeper_place *keeper_place_take(struct keeper *keeper, struct keeper_root *root,
				       pop3_span path)
{
	uint64_t key = key_of(root->index, path);
	struct keeper_place *place = find(keeper, root->index, path, key);

	note_use(keeper);
	if (place) {
		place->references++;
		return place;
	}
	place = calloc(1, sizeof(*place) + path.size + 1);
	if (!place)
		return NULL;
	memcpy(place->path, path.data, path.size);
	place->root = root;
	place->where.path = place->path;
	place->references = 1;
	table_add(&keeper->places, &place->node, key);
	return place;
}

void keeper_place_unasked(struct keeper_place *place)
{
	const struct store_holding unknown = {.known = false};
	struct keeper_asker *asker;

	while ((asker = place->askers)) {
		place->askers = asker->next;
		if (asker->asked)
			store_answer(place->root->store, asker->asked, &unknown);
		free(asker);
	}
}

void keeper_place_release(struct keeper *keeper, struct keeper_place *place)
{
	note_use(keeper);
	if (--place->references)
		return;
	keeper_place_unasked(place);
	store_leave(place->root->store, &place->where);
	table_remove(&keeper->places, &place->node);
	free(place);
}

void keeper_check_drained(struct keeper *keeper, const struct peer *gone)
{
	if (!keeper->child->draining || keeper->busy)
		return;
	for (struct peer *peer = keeper->child->peers; peer; peer = peer->next)
		if (peer != gone && peer->role != ROLE_AUTH)
			return;
	child_exit(keeper->child);
}

void keeper_begin(struct keeper *keeper)
{
	keeper->busy++;
	counters_add(COUNTER_KEEPER_JOBS, 1);
}

void keeper_done(struct keeper *keeper)
{
	keeper->busy--;
	counters_less(COUNTER_KEEPER_JOBS);
	keeper_check_drained(keeper, NULL);
}

static void hurry_one(struct table_node *node, void *context)
{
	struct keeper_place *place = CONTAINER(node, struct keeper_place, node);

	(void)context;
	store_hurry(place->root->store, &place->where);
}

void keeper_places_hurry(struct keeper *keeper)
{
	table_each(&keeper->places, hurry_one, keeper);
}
