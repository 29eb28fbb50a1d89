/* See totals.h. */
#include "server/totals.h"

#include "base/histogram.h"
#include "base/log.h"

#include <stdlib.h>
#include <string.h>

/* The head is what the monitor wrote, or a lie; a page whose slots mean something else is left
 * out. */
static bool is_ours(const struct counters_page *page)
{
	return memcmp(page->magic, COUNTERS_MAGIC, sizeof(page->magic)) == 0 &&
	       page->version == COUNTERS_VERSION && page->hash == counters_hash();
}

void totals_add(struct totals *totals, enum ipc_role role, const struct counters_page *page)
{
	if (!is_ours(page)) {
		totals->ignored++;
		return;
	}
	for (size_t i = 0; i < counters_row_count(); i++) {
		const struct counter_row *row = counters_row(i);

		for (uint32_t n = 0; n < row->slots && (row->roles & 1u << role); n++) {
			uint64_t *sum = &totals->slots[role][row->slot + n];
			uint64_t value = atomic_load_explicit(&page->slots[row->slot + n],
							      memory_order_relaxed);

			if (row->kind != PEAK)
				*sum += value;
			else if (value > *sum)
				*sum = value;
		}
	}
}

uint64_t totals_of(const struct totals *totals, const struct counter_row *row, size_t slot)
{
	uint64_t sum = 0;

	for (unsigned role = 0; role < ROLE_COUNT; role++) {
		uint64_t value = totals->slots[role][slot];

		if (row->kind != PEAK)
			sum += value;
		else if (value > sum)
			sum = value;
	}
	return sum;
}

static const struct counter_row *row_at(size_t slot)
{
	size_t i = 0;

	while (slot >= counters_row(i)->slot + counters_row(i)->slots)
		i++;
	return counters_row(i);
}

uint64_t totals_slot(const struct totals *totals, size_t slot)
{
	return totals_of(totals, row_at(slot), slot);
}

uint64_t totals_sum(const struct totals *totals, size_t slot)
{
	const struct counter_row *row = row_at(slot);
	uint64_t sum = 0;

	for (uint32_t n = 0; n < row->slots; n++)
		sum += totals_of(totals, row, row->slot + n);
	return sum;
}

void totals_buckets(const struct totals *totals, size_t slot, uint64_t ret[HISTOGRAM_BUCKETS])
{
	for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++)
		ret[i] = totals_of(totals, row_at(slot), slot + i);
}

uint64_t totals_quantile(const uint64_t buckets[HISTOGRAM_BUCKETS], unsigned thousandths)
{
	return histogram_quantile(buckets, HISTOGRAM_BUCKETS, thousandths);
}

void totals_take_page(struct totals_pages *pages, const struct ipc_page *message, int fd)
{
	const struct counters_page *page =
		pages->count < TOTALS_PAGES_MAX ? counters_page_open(fd, false) : NULL;

	if (!page) {
		log_warning("the counters of a process of role %s are not in the metrics",
			    ipc_role_name((enum ipc_role)message->role));
		return;
	}
	pages->list[pages->count].page = page;
	pages->list[pages->count++].role = (enum ipc_role)message->role;
}

struct totals *totals_of_pages(const struct totals_pages *pages)
{
	struct totals *totals = calloc(1, sizeof(*totals));

	for (unsigned i = 0; i < pages->count && totals; i++)
		totals_add(totals, pages->list[i].role, pages->list[i].page);
	return totals;
}
