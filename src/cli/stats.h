/* The counters of a running server, as `valija stats` prints them and `valija top` watches them:
 * the lines of "1 stats" (docs/control.md). */
#ifndef CLI_STATS_H
#define CLI_STATS_H

#include "cli/control_link.h"

#include <stdint.h>

enum { STATS_BUCKETS = 32 };

struct stats_value {
	char *name, *labels; /* "-": none */
	bool histogram, rises;
	char unit[8];    /* of a histogram: "us", "ms" */
	long long value; /* of a histogram: the sum */
	uint64_t buckets[STATS_BUCKETS], count;
};

struct stats {
	struct stats_value *values;
	size_t count, room;
};

/* Asks, and reads the whole answer. -1 with err. */
int stats_read(struct stats *stats, struct control_link *link, struct err *err);
void stats_free(struct stats *stats);
/* The value of that name and those labels; NULL: it never happened. */
const struct stats_value *stats_find(const struct stats *stats, const char *name,
				     const char *labels);
/* The sum of all values of that name whose labels have that one ("" or NULL: all). */
long long stats_sum(const struct stats *stats, const char *name, const char *label);

#endif
