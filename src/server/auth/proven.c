/* See proven.h. Sets of eight entries. */
#include "server/auth/proven.h"

#include "base/digest.h"
#include "base/random.h"
#include "base/secret.h"
#include "server/counters.h"
#include "users/names.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

enum {
	WAYS = 8,
};

struct pair {
	uint64_t hash;
	uint64_t last; /* seconds + 1; 0: free */
};

struct proven {
	struct hmac keyed; /* with the key taken in; copied for each pair */
	size_t sets;       /* power of two */
	struct pair pairs[];
};

int proven_create(uint32_t pairs, struct proven **ret, struct err *err)
{
	unsigned char key[32];
	struct proven *proven;
	size_t sets = 1;

	while (sets * WAYS < pairs)
		sets *= 2;
	proven = calloc(1, sizeof(*proven) + sets * WAYS * sizeof(proven->pairs[0]));
	if (!proven)
		return err_set(err, EX_OSERR, "out of memory");
	if (random_octets(key, sizeof(key)) < 0) {
		free(proven);
		return err_sys(err, EX_OSERR, errno, "no random octets");
	}
	hmac_init(&proven->keyed, DIGEST_SHA_256, key, sizeof(key));
	wipe(key, sizeof(key));
	proven->sets = sets;
	*ret = proven;
	return 0;
}

void proven_destroy(struct proven *proven)
{
	if (!proven)
		return;
	wipe(&proven->keyed, sizeof(proven->keyed));
	free(proven);
}

static uint64_t hash_of(const struct proven *proven, pop3_span name, const uint8_t network[16])
{
	struct hmac hmac = proven->keyed;
	unsigned char mac[32];
	char key[USER_NAME_MAX];
	uint64_t hash;

	hmac_add(&hmac, network, 16);
	name = user_name_key(name, key);
	hmac_add(&hmac, name.data, name.size);
	hmac_finish(&hmac, mac);
	memcpy(&hash, mac, sizeof(hash));
	return hash;
}

/* The pair in its set; else the free or oldest place, with *ret_found false. */
static const struct pair *find(const struct proven *proven, uint64_t hash, bool *ret_found)
{
	const struct pair *set = proven->pairs + (hash & (proven->sets - 1)) * WAYS, *oldest = set;

	*ret_found = true;
	for (size_t i = 0; i < WAYS; i++) {
		if (set[i].last && set[i].hash == hash)
			return &set[i];
		if (set[i].last < oldest->last)
			oldest = &set[i];
	}
	*ret_found = false;
	return oldest;
}

void proven_put(struct proven *proven, pop3_span name, const uint8_t network[16], uint64_t now)
{
	const struct pair *place;
	uint64_t hash;
	bool found;

	if (name.size > USER_NAME_MAX)
		return;
	hash = hash_of(proven, name, network);
	place = find(proven, hash, &found);
	if (!place->last)
		counters_add(COUNTER_REMEMBERED, 1);
	proven->pairs[place - proven->pairs] = (struct pair){.hash = hash, .last = now + 1};
}

bool proven_has(const struct proven *proven, pop3_span name, const uint8_t network[16],
		uint64_t now)
{
	const struct pair *pair;
	bool found;

	if (name.size == 0 || name.size > USER_NAME_MAX)
		return false;
	pair = find(proven, hash_of(proven, name, network), &found);
	return found && now + 1 - pair->last < PROVEN_SECONDS;
}
