/* See derived.h. Sets of four entries; the one used least recently makes room. */
#include "users/derived.h"

#include "base/digest.h"
#include "base/random.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

enum {
	WAYS = 4,
	SETS = 1024, /* power of two */
};

struct entry {
	unsigned char id[DERIVED_ID];
	uint64_t used; /* a count of uses; 0: free */
	unsigned char stored_key[SCRAM_KEY_MAX], server_key[SCRAM_KEY_MAX];
};

struct derived {
	struct hmac keyed; /* with the key taken in; copied for each id */
	pthread_mutex_t lock;
	uint64_t uses;
	struct entry entries[SETS * WAYS];
};

int derived_create(struct derived **ret, struct err *err)
{
	struct derived *derived = calloc(1, sizeof(*derived));
	unsigned char key[32];

	if (!derived)
		return err_set(err, EX_OSERR, "out of memory");
	pthread_mutex_init(&derived->lock, NULL);
	if (random_octets(key, sizeof(key)) < 0) {
		derived_destroy(derived);
		return err_sys(err, EX_OSERR, errno, "no random octets");
	}
	hmac_init(&derived->keyed, DIGEST_SHA_256, key, sizeof(key));
	wipe(key, sizeof(key));
	*ret = derived;
	return 0;
}

void derived_destroy(struct derived *derived)
{
	if (!derived)
		return;
	pthread_mutex_destroy(&derived->lock);
	for (size_t i = 0; i < SETS * WAYS; i++) /* pages that were never used stay so */
		if (derived->entries[i].used)
			wipe(&derived->entries[i], sizeof(derived->entries[i]));
	wipe(&derived->keyed, sizeof(derived->keyed));
	free(derived);
}

/* Length, then octets: no two sequences of parts give the same id. */
static void add_part(struct hmac *hmac, const void *part, size_t size)
{
	const unsigned char head[2] = {(unsigned char)(size >> 8), (unsigned char)size};

	hmac_add(hmac, head, sizeof(head));
	hmac_add(hmac, part, size);
}

static void id_of(const struct derived *derived, const struct derived_of *of,
		  unsigned char ret[DERIVED_ID])
{
	struct hmac hmac = derived->keyed;

	add_part(&hmac, of->hash->name, strlen(of->hash->name));
	add_part(&hmac, of->network.data, of->network.size);
	add_part(&hmac, of->name.data, of->name.size);
	add_part(&hmac, of->secret.data, of->secret.size);
	add_part(&hmac, of->salt->salt, of->salt->salt_size);
	add_part(&hmac, &of->salt->iterations, sizeof(of->salt->iterations));
	hmac_finish(&hmac, ret);
}

static struct entry *set_of(struct derived *derived, const unsigned char id[DERIVED_ID])
{
	uint64_t index;

	memcpy(&index, id, sizeof(index));
	return derived->entries + (index & (SETS - 1)) * WAYS;
}

static struct entry *find(struct entry *set, const unsigned char id[DERIVED_ID])
{
	for (size_t i = 0; i < WAYS; i++)
		if (set[i].used && memcmp(set[i].id, id, DERIVED_ID) == 0)
			return &set[i];
	return NULL;
}

bool derived_get(struct derived *derived, const struct derived_of *of, struct scram_keys *ret)
{
	unsigned char id[DERIVED_ID];
	struct entry *entry;

	if (!of->network.size)
		return false;
	id_of(derived, of, id);
	pthread_mutex_lock(&derived->lock);
	entry = find(set_of(derived, id), id);
	if (entry) {
		entry->used = ++derived->uses;
		memcpy(ret->stored_key, entry->stored_key, sizeof(ret->stored_key));
		memcpy(ret->server_key, entry->server_key, sizeof(ret->server_key));
	}
	pthread_mutex_unlock(&derived->lock);
	return entry != NULL;
}

void derived_put(struct derived *derived, const struct derived_of *of,
		 const struct scram_keys *keys)
{
	unsigned char id[DERIVED_ID];
	struct entry *set, *place;

	if (!of->network.size)
		return;
	id_of(derived, of, id);
	set = set_of(derived, id);
	pthread_mutex_lock(&derived->lock);
	place = find(set, id);
	for (size_t i = 0; !place && i < WAYS; i++)
		if (!set[i].used)
			place = &set[i];
	if (!place) {
		place = set;
		for (size_t i = 1; i < WAYS; i++)
			if (set[i].used < place->used)
				place = &set[i];
	}
	memcpy(place->id, id, sizeof(id));
	memcpy(place->stored_key, keys->stored_key, sizeof(place->stored_key));
	memcpy(place->server_key, keys->server_key, sizeof(place->server_key));
	place->used = ++derived->uses;
	pthread_mutex_unlock(&derived->lock);
}
