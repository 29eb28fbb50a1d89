/*
 * When the upkeep of maildrops was last done by this process: what is due because time passes, not
 * because somebody did something. A table of hashes without a list of names: two maildrops with one
 * place in it are looked after more often. Any thread.
 */
#ifndef MAILDROP_UPKEEP_H
#define MAILDROP_UPKEEP_H

#include "base/table.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

enum { UPKEEP_SLOTS = 4096, UPKEEP_HOURS = 6 };

struct maildrop_upkeep {
	_Atomic uint32_t slots[UPKEEP_SLOTS]; /* 16 bits of a hash, 16 of the hour */
};

static inline bool maildrop_upkeep_due(struct maildrop_upkeep *upkeep, const char *home, time_t now)
{
	uint64_t hash = hash_octets(home, strlen(home));
	uint32_t slot =
		atomic_load_explicit(&upkeep->slots[hash % UPKEEP_SLOTS], memory_order_relaxed);

	return slot >> 16 != (hash >> 48 | 1) ||
	       (uint16_t)((uint16_t)(now / 3600) - (uint16_t)slot) >= UPKEEP_HOURS;
}

static inline void maildrop_upkeep_done(struct maildrop_upkeep *upkeep, const char *home,
					time_t now)
{
	uint64_t hash = hash_octets(home, strlen(home));

	atomic_store_explicit(&upkeep->slots[hash % UPKEEP_SLOTS],
			      (uint32_t)(hash >> 48 | 1) << 16 | (uint16_t)(now / 3600),
			      memory_order_relaxed);
}

#endif
