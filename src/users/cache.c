/* See cache.h. Sets of eight entries; the entry that expires first makes room. */
#include "users/cache.h"

#include "base/digest.h"
#include "base/random.h"
#include "base/text.h"
#include "users/names.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

enum {
	WAYS = 8,
	PASSWORD_MAX = 512,
	EPOCHS = 4096, /* power of two */
};

struct slot {
	unsigned char digest[CACHE_DIGEST];
	int64_t ends; /* monotonic seconds; 0: free */
};

struct cache {
	struct hmac keyed; /* HMAC-SHA-256 with the key taken in; copied for each digest */
	pthread_mutex_t lock;
	struct slot *slots;
	size_t sets; /* power of two, 0: none */
	uint32_t seconds;
	_Atomic uint32_t epochs[EPOCHS]; /* of names with that hash; part of their digests */
};

static int take_key(struct hmac *keyed)
{
	unsigned char key[32];

	if (random_octets(key, sizeof(key)) < 0)
		return -1;
	hmac_init(keyed, DIGEST_SHA_256, key, sizeof(key));
	wipe(key, sizeof(key));
	return 0;
}

int cache_create(uint32_t entries, uint32_t seconds, struct cache **ret, struct err *err)
{
	struct cache *cache = calloc(1, sizeof(*cache));
	size_t sets = 1;

	if (!cache)
		return err_set(err, EX_OSERR, "out of memory");
	pthread_mutex_init(&cache->lock, NULL);
	cache->seconds = seconds;
	while (sets * WAYS < entries)
		sets *= 2;
	if (entries && seconds) {
		cache->sets = sets;
		cache->slots = calloc(sets * WAYS, sizeof(*cache->slots));
	}
	if (cache->sets && !cache->slots) {
		err_set(err, EX_OSERR, "out of memory for remembered logins");
		goto fail;
	}
	if (take_key(&cache->keyed) < 0) {
		err_sys(err, EX_OSERR, errno, "no random octets");
		goto fail;
	}
	*ret = cache;
	return 0;
fail:
	cache_destroy(cache);
	return -1;
}

void cache_destroy(struct cache *cache)
{
	if (!cache)
		return;
	wipe(&cache->keyed, sizeof(cache->keyed));
	pthread_mutex_destroy(&cache->lock);
	free(cache->slots);
	free(cache);
}

/* Length, then octets: no two sequences of parts give the same digest. */
static size_t add_part(unsigned char *buf, size_t used, const void *part, size_t size)
{
	buf[used++] = (unsigned char)(size >> 8);
	buf[used++] = (unsigned char)size;
	memcpy(buf + used, part, size);
	return used + size;
}

static _Atomic uint32_t *epoch_of(struct cache *cache, const char *user)
{
	return &cache->epochs[user_name_hash(span_of(user)) & (EPOCHS - 1)];
}

void cache_forget(struct cache *cache, const char *user)
{
	if (user) {
		atomic_fetch_add(epoch_of(cache, user), 1);
		return;
	}
	for (unsigned i = 0; i < EPOCHS; i++)
		atomic_fetch_add(&cache->epochs[i], 1);
}

bool cache_digest(struct cache *cache, const char *user, const char *stored,
		  const struct secret *password, unsigned char digest[CACHE_DIGEST])
{
	uint32_t epoch = atomic_load_explicit(epoch_of(cache, user), memory_order_relaxed);
	size_t users = strlen(user), secrets = strlen(stored), used = 0;
	unsigned char buf[4 + 8 + 256 + 1024 + PASSWORD_MAX];
	struct hmac hmac;

	if (users > 255 || secrets > 1023 || password->size > PASSWORD_MAX)
		return false;
	used = add_part(buf, used, &epoch, sizeof(epoch));
	used = add_part(buf, used, user, users);
	used = add_part(buf, used, stored, secrets);
	used = add_part(buf, used, password->bytes, password->size);
	hmac = cache->keyed;
	hmac_add(&hmac, buf, used);
	hmac_finish(&hmac, digest);
	wipe(buf, used);
	return true;
}

static int64_t now_seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	return now.tv_sec;
}

static struct slot *set_of(const struct cache *cache, const unsigned char digest[CACHE_DIGEST])
{
	uint64_t index;

	memcpy(&index, digest, sizeof(index));
	return cache->slots + (index & (cache->sets - 1)) * WAYS;
}

static bool same(const unsigned char *a, const unsigned char *b)
{
	return secret_equal((pop3_span){(const char *)a, CACHE_DIGEST},
			    (pop3_span){(const char *)b, CACHE_DIGEST});
}

bool cache_has(struct cache *cache, const unsigned char digest[CACHE_DIGEST])
{
	int64_t now = now_seconds();
	struct slot *set;
	bool found = false;

	if (!cache->sets)
		return false;
	set = set_of(cache, digest);
	pthread_mutex_lock(&cache->lock);
	for (size_t i = 0; i < WAYS; i++)
		if (set[i].ends > now && same(set[i].digest, digest))
			found = true;
	pthread_mutex_unlock(&cache->lock);
	return found;
}

void cache_put(struct cache *cache, const unsigned char digest[CACHE_DIGEST])
{
	int64_t ends = now_seconds() + cache->seconds;
	struct slot *set, *place;

	if (!cache->sets)
		return;
	place = set = set_of(cache, digest);
	pthread_mutex_lock(&cache->lock);
	for (size_t i = 0; i < WAYS; i++) {
		if (set[i].ends && same(set[i].digest, digest)) {
			place = &set[i];
			break;
		}
		if (set[i].ends < place->ends)
			place = &set[i];
	}
	memcpy(place->digest, digest, CACHE_DIGEST);
	place->ends = ends;
	pthread_mutex_unlock(&cache->lock);
}
