/*
 * A map from 64-bit hashes to numbers, without a node for each: 16 octets an entry. Hashes are made
 * by hash_octets (base/table.h), so that strangers cannot make them collide; two names that have
 * the same one by chance are one entry. Bounded. Any process; one thread a map.
 */
#ifndef BASE_HASH_MAP_H
#define BASE_HASH_MAP_H

#include <stddef.h>
#include <stdint.h>

struct hash_map_entry {
	uint64_t hash; /* 0: free */
	uint64_t number;
};

struct hash_map {
	struct hash_map_entry *entries; /* NULL: there was none yet */
	size_t mask, count, most;
};

/* most: entries. */
void hash_map_init(struct hash_map *map, size_t most);
void hash_map_finish(struct hash_map *map);
/* Drops all entries; the memory stays. */
void hash_map_clear(struct hash_map *map);
/* The number of that hash, until the next hash_map_put; NULL: there is none. */
uint64_t *hash_map_find(const struct hash_map *map, uint64_t hash);
/* The same; one that is not there is made, and is 0. NULL: most, or no memory. */
uint64_t *hash_map_put(struct hash_map *map, uint64_t hash);

#endif
