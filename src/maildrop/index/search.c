/* See index.h: looking for names in a base by the hashes of their unique parts. */
#include "maildrop/index/index.h"

#include "base/array.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

void index_search_add(struct index_search *search, pop3_span unique)
{
	uint32_t hash = index_hash(unique);
	uint32_t *hashes =
		array_grow(search->hashes, search->count, &search->room, sizeof(*hashes));

	if (!hashes) {
		search->failed = true;
		return;
	}
	search->hashes = hashes;
	hashes[search->count++] = hash;
	search->filter[hash >> 6 & 63] |= (uint64_t)1 << (hash & 63);
}

void index_search_finish(struct index_search *search)
{
	free(search->hashes);
}

static bool among(const struct index_search *search, uint32_t hash)
{
	for (size_t i = 0; i < search->count; i++)
		if (search->hashes[i] == hash)
			return true;
	return false;
}

int index_search(struct index *index, const struct index_search *search)
{
	uint32_t count = index->header.count;

	if (search->failed)
		return -1;
	for (uint32_t first = 0; first < count; first += INDEX_BLOCK_HASHES) {
		const unsigned char *block = index_hashes(index, first / INDEX_BLOCK_HASHES);
		uint32_t n =
			count - first < INDEX_BLOCK_HASHES ? count - first : INDEX_BLOCK_HASHES;

		if (!block)
			return -1;
		for (uint32_t i = 0; i < n; i++) {
			uint32_t hash;

			memcpy(&hash, block + 4 * (size_t)i, sizeof(hash));
			hash = le32toh(hash);
			if (search->filter[hash >> 6 & 63] >> (hash & 63) & 1 &&
			    among(search, hash))
				return 1;
		}
	}
	return 0;
}
