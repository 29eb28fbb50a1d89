/* See recent.h. */
#include "server/auth/recent.h"

#include <stdlib.h>
#include <sysexits.h>

enum { WAYS = 8 };

struct entry {
	uint64_t hash;
	uint64_t when; /* and 1; 0: free */
};

struct recent {
	size_t sets; /* power of two */
	struct entry entries[];
};

int recent_create(uint32_t entries, struct recent **ret, struct err *err)
{
	struct recent *recent;
	size_t sets = 1;

	while (sets * WAYS < entries)
		sets *= 2;
	recent = calloc(1, sizeof(*recent) + sets * WAYS * sizeof(recent->entries[0]));
	if (!recent)
		return err_set(err, EX_OSERR, "out of memory");
	recent->sets = sets;
	*ret = recent;
	return 0;
}

void recent_destroy(struct recent *recent)
{
	free(recent);
}

/* The place of the entry in its set; else the free or oldest one, with *ret_found false. */
static size_t find(const struct recent *recent, uint64_t hash, bool *ret_found)
{
	size_t first = (hash & (recent->sets - 1)) * WAYS, oldest = first;

	*ret_found = true;
	for (size_t i = first; i < first + WAYS; i++) {
		if (recent->entries[i].when && recent->entries[i].hash == hash)
			return i;
		if (recent->entries[i].when < recent->entries[oldest].when)
			oldest = i;
	}
	*ret_found = false;
	return oldest;
}

bool recent_put(struct recent *recent, uint64_t hash, uint64_t now)
{
	bool found;
	struct entry *place = &recent->entries[find(recent, hash, &found)];
	bool free_place = !place->when;

	*place = (struct entry){.hash = hash, .when = now + 1};
	return free_place;
}

bool recent_get(const struct recent *recent, uint64_t hash, uint64_t *ret_when)
{
	bool found;
	size_t at = find(recent, hash, &found);

	if (found)
		*ret_when = recent->entries[at].when - 1;
	return found;
}

void recent_forget(struct recent *recent, uint64_t hash)
{
	bool found;
	size_t at = find(recent, hash, &found);

	if (found)
		recent->entries[at].when = 0;
}
