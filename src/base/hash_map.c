/* See hash_map.h. Open addressing; a third of the entries is free, at least. */
#include "base/hash_map.h"

#include <stdlib.h>
#include <string.h>

enum { FIRST = 64 };

void hash_map_init(struct hash_map *map, size_t most)
{
	*map = (struct hash_map){.most = most};
}

void hash_map_finish(struct hash_map *map)
{
	free(map->entries);
	hash_map_init(map, map->most);
}

void hash_map_clear(struct hash_map *map)
{
	if (map->entries)
		memset(map->entries, 0, (map->mask + 1) * sizeof(map->entries[0]));
	map->count = 0;
}

/* The entry of that hash, or the free one where it belongs. */
static struct hash_map_entry *place_of(struct hash_map_entry *entries, size_t mask, uint64_t hash)
{
	size_t i = (size_t)hash & mask;

	while (entries[i].hash && entries[i].hash != hash)
		i = (i + 1) & mask;
	return &entries[i];
}

static uint64_t not_free(uint64_t hash)
{
	return hash ? hash : 1;
}

uint64_t *hash_map_find(const struct hash_map *map, uint64_t hash)
{
	struct hash_map_entry *entry;

	if (!map->entries)
		return NULL;
	entry = place_of(map->entries, map->mask, not_free(hash));
	return entry->hash ? &entry->number : NULL;
}

static int grow(struct hash_map *map)
{
	size_t size = map->entries ? 2 * (map->mask + 1) : FIRST;
	struct hash_map_entry *entries = calloc(size, sizeof(*entries));

	if (!entries)
		return -1;
	for (size_t i = 0; map->entries && i <= map->mask; i++)
		if (map->entries[i].hash)
			*place_of(entries, size - 1, map->entries[i].hash) = map->entries[i];
	free(map->entries);
	map->entries = entries;
	map->mask = size - 1;
	return 0;
}

uint64_t *hash_map_put(struct hash_map *map, uint64_t hash)
{
	uint64_t *found = hash_map_find(map, hash);
	struct hash_map_entry *entry;

	if (found)
		return found;
	if (map->count >= map->most)
		return NULL;
	if ((!map->entries || 3 * (map->count + 1) > 2 * (map->mask + 1)) && grow(map) < 0)
		return NULL;
	entry = place_of(map->entries, map->mask, not_free(hash));
	*entry = (struct hash_map_entry){.hash = not_free(hash)};
	map->count++;
	return &entry->number;
}
