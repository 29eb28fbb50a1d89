/*
 * The connections of a front that have not logged in: who is one too many. By age, and by how many
 * come from the same place: an IPv4 address and its /24, an IPv6 /64, /56 and /48. In fronts, on
 * their loop; no I/O here.
 */
#ifndef SERVER_STRANGERS_H
#define SERVER_STRANGERS_H

#include "base/table.h"

#include <stdbool.h>
#include <stdint.h>

enum { STRANGER_BLOCKS = 3, STRANGER_LOOKS = 64 };

/* Embedded in a connection; zeroed: in no list. Members are strangers.c's alone. */
struct stranger {
	struct stranger *older, *newer;
	struct stranger_block *blocks[STRANGER_BLOCKS]; /* NULL: not counted */
	bool listed;
};

struct strangers {
	struct stranger *oldest, *newest;
	struct table blocks;
	size_t count;
};

void strangers_init(struct strangers *strangers);
/* address: IPv4 mapped or IPv6; all zero: a Unix socket. */
void strangers_add(struct strangers *strangers, struct stranger *stranger,
		   const uint8_t address[16]);
/* Legal for one that is in no list. */
void strangers_remove(struct strangers *strangers, struct stranger *stranger);
/* It did something: it is the newest now. */
void strangers_renew(struct strangers *strangers, struct stranger *stranger);
/* Whether the place of address has strangers enough: one of that address (or /64) is, or 4 of its
 * /56, or 16 of its /48 or IPv4 /24. */
bool strangers_crowded(const struct strangers *strangers, const uint8_t address[16]);
/* The one to end for another: the oldest whose place is crowded, else the oldest. Looks at the
 * oldest STRANGER_LOOKS only. may: whether it can be ended now (crowded: its place is). NULL:
 * nobody. */
struct stranger *strangers_victim(const struct strangers *strangers,
				  bool (*may)(const struct stranger *stranger, bool crowded,
					      const void *context),
				  const void *context);

#endif
