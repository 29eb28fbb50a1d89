/* Sums over the counters pages. A process that an attacker owns writes what it likes into its page:
 * it can lie about what its own role counts, and about nothing else. In status and control. */
#ifndef SERVER_TOTALS_H
#define SERVER_TOTALS_H

#include "server/counters.h"

#include <stdbool.h>

enum { TOTALS_PAGES_MAX = 2048 }; /* more than the monitor makes */

/* The pages of all processes that count or did. */
struct totals_pages {
	struct {
		const struct counters_page *page;
		enum ipc_role role;
	} list[TOTALS_PAGES_MAX];
	unsigned count;
};

struct totals {
	uint64_t slots[ROLE_COUNT][COUNTER_SLOTS];
	uint32_t ignored; /* pages of another table */
};

/* PAGE of the monitor: maps the memory of fd, which stays the caller's. One that cannot be mapped
 * is not counted, and the log says so. */
void totals_take_page(struct totals_pages *pages, const struct ipc_page *message, int fd);
/* All of them added; the caller's to free. NULL: no memory. */
struct totals *totals_of_pages(const struct totals_pages *pages);
/* role: of the page, by the word of the monitor. */
void totals_add(struct totals *totals, enum ipc_role role, const struct counters_page *page);
/* A slot of a row, over all roles. */
uint64_t totals_of(const struct totals *totals, const struct counter_row *row, size_t slot);
/* The same by its place in enum counter_slot, of a row without labels, or of its first value. */
uint64_t totals_slot(const struct totals *totals, size_t slot);
/* All values of the row that begins at slot. */
uint64_t totals_sum(const struct totals *totals, size_t slot);
/* The values of a histogram that all label values of its row have together. */
void totals_buckets(const struct totals *totals, size_t slot, uint64_t ret[HISTOGRAM_BUCKETS]);
/* The quantile (0 … 1000 thousandths) of a histogram, in its unit, within its bucket by proportion;
 * 0: it has no values. */
uint64_t totals_quantile(const uint64_t buckets[HISTOGRAM_BUCKETS], unsigned thousandths);

#endif
