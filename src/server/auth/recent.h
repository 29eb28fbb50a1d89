/*
 * Things that happened lately, as 64-bit hashes with a time each, in bounded memory: sets of eight,
 * in which the one of longest ago makes room. The hash is the caller's, under a key that strangers
 * do not know. On auth's loop.
 */
#ifndef SERVER_AUTH_RECENT_H
#define SERVER_AUTH_RECENT_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

struct recent;

/* entries: that are remembered at least, if none share a set; 16 octets each. -1 with err. */
int recent_create(uint32_t entries, struct recent **ret, struct err *err);
void recent_destroy(struct recent *recent);
/* It happened now, by any clock that never goes back and stays the same. True: it took a free
 * place. */
bool recent_put(struct recent *recent, uint64_t hash, uint64_t now);
/* False: it is not known to have happened. */
bool recent_get(const struct recent *recent, uint64_t hash, uint64_t *ret_when);
/* It did not happen. */
void recent_forget(struct recent *recent, uint64_t hash);

#endif
