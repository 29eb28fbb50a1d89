/*
 * Proven passwords, remembered as digests under a key of this process. The digest covers the
 * user, stored entry and password: a changed entry gives another digest, so nothing has to be
 * removed; what a database judged itself is forgotten by name. Thread-safe, bounded. Used within
 * users only.
 */
#ifndef USERS_CACHE_H
#define USERS_CACHE_H

#include "base/err.h"
#include "base/secret.h"

#include <stdbool.h>
#include <stdint.h>

#define CACHE_DIGEST 32

struct cache;

/* entries 0: a cache that remembers nothing. */
int cache_create(uint32_t entries, uint32_t seconds, struct cache **ret, struct err *err);
void cache_destroy(struct cache *cache);
/* false: too long to be remembered. */
bool cache_digest(struct cache *cache, const char *user, const char *stored,
		  const struct secret *password, unsigned char digest[CACHE_DIGEST]);
/* Forgets the user; digests made before count no longer, either; NULL: all users. A few others may
 * have to prove themselves again, too. */
void cache_forget(struct cache *cache, const char *user);
bool cache_has(struct cache *cache, const unsigned char digest[CACHE_DIGEST]);
void cache_put(struct cache *cache, const unsigned char digest[CACHE_DIGEST]);

#endif
