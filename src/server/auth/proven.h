/*
 * Pairs of user and network with a login that succeeded within 30 days: their slow hashes come
 * first. Kept as 64-bit hashes under a key of this process, in bounded memory; the pair used least
 * recently makes room. A reload and a restart begin with none, as they begin without remembered
 * passwords. On auth's loop.
 */
#ifndef SERVER_AUTH_PROVEN_H
#define SERVER_AUTH_PROVEN_H

#include "base/err.h"

#include <pop3/span.h>

#include <stdbool.h>
#include <stdint.h>

#define PROVEN_SECONDS (30u * 24 * 60 * 60)

struct proven;

/* pairs: that are remembered at least, if none share a set. */
int proven_create(uint32_t pairs, struct proven **ret, struct err *err);
void proven_destroy(struct proven *proven);
/* name: of the user, in any case of its letters; network: canonical; now: seconds of a clock that
 * never goes back. */
void proven_put(struct proven *proven, pop3_span name, const uint8_t network[16], uint64_t now);
bool proven_has(const struct proven *proven, pop3_span name, const uint8_t network[16],
		uint64_t now);

#endif
