/* See flood.h. In every child, on its loop. */
#include "server/flood.h"

#include "base/table.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

static bool is_over(const struct flood_window *window, uint64_t now)
{
	return now - window->begin >= FLOOD_WINDOW;
}

/* A count that was not reported keeps its window open. */
static bool is_free(const struct flood_window *window, uint64_t now)
{
	return !window->said || (is_over(window, now) && !window->held);
}

/* The address, of IPv6 the /64. An address that is not known: one that nobody has. */
static void network_of(const uint8_t *address, uint8_t ret[16])
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

	if (!address) {
		memset(ret, 0xff, 16);
		return;
	}
	memcpy(ret, address, 16);
	if (memcmp(address, mapped, sizeof(mapped)) != 0)
		memset(ret + 8, 0, 8);
}

static struct flood_place *find_place(struct flood *flood, unsigned kind, const uint8_t network[16],
				      uint64_t now)
{
	uint8_t name[17] = {(uint8_t)kind};
	struct flood_place *set, *empty = NULL;

	memcpy(name + 1, network, 16);
	set = flood->places[hash_octets(name, sizeof(name)) % FLOOD_SETS];
	for (unsigned i = 0; i < FLOOD_WAYS; i++) {
		if (is_free(&set[i].window, now))
			empty = &set[i];
		else if (set[i].kind == kind && memcmp(set[i].network, network, 16) == 0)
			return &set[i];
	}
	if (!empty)
		return NULL;
	empty->window = (struct flood_window){.begin = now};
	memcpy(empty->network, network, 16);
	empty->kind = (uint8_t)kind;
	return empty;
}

static void hold(struct flood *flood, struct flood_window *window)
{
	if (!window->held)
		flood->windows_held++;
	if (window->held < UINT32_MAX)
		window->held++;
}

bool flood_may(struct flood *flood, unsigned kind, const uint8_t *address, uint64_t now)
{
	struct flood_window *all = &flood->all[kind];
	struct flood_place *place;
	uint8_t network[16];

	assert(kind < FLOOD_KINDS);
	network_of(address, network);
	place = find_place(flood, kind, network, now);
	if (place && place->window.said >= FLOOD_FULL) {
		hold(flood, &place->window);
		return false;
	}
	if (is_free(all, now))
		*all = (struct flood_window){.begin = now};
	if (all->said >= FLOOD_FULL_ALL) {
		hold(flood, all);
		return false;
	}
	all->said++;
	if (place)
		place->window.said++;
	return true;
}

static void report_window(struct flood *flood, struct flood_window *window, struct flood_sum *sum,
			  uint64_t now, void (*report)(const struct flood_sum *, void *),
			  void *context)
{
	sum->lines = window->held;
	sum->ms = now - window->begin;
	report(sum, context);
	window->held = window->said = 0;
	flood->windows_held--;
}

void flood_report(struct flood *flood, uint64_t now, bool all,
		  void (*report)(const struct flood_sum *sum, void *context), void *context)
{
	if (!flood->windows_held)
		return;
	for (size_t i = 0; i < (size_t)FLOOD_SETS * FLOOD_WAYS; i++) {
		struct flood_place *place = &flood->places[i / FLOOD_WAYS][i % FLOOD_WAYS];
		struct flood_sum sum = {.network = place->network, .kind = place->kind};

		if (place->window.held && (all || is_over(&place->window, now)))
			report_window(flood, &place->window, &sum, now, report, context);
	}
	for (unsigned kind = 0; kind < FLOOD_KINDS; kind++) {
		struct flood_sum sum = {.kind = kind};

		if (flood->all[kind].held && (all || is_over(&flood->all[kind], now)))
			report_window(flood, &flood->all[kind], &sum, now, report, context);
	}
}

static void earlier(const struct flood_window *window, uint64_t *ret)
{
	if (window->held && window->begin + FLOOD_WINDOW < *ret)
		*ret = window->begin + FLOOD_WINDOW;
}

uint64_t flood_next(const struct flood *flood)
{
	uint64_t next = UINT64_MAX;

	if (!flood->windows_held)
		return next;
	for (size_t i = 0; i < (size_t)FLOOD_SETS * FLOOD_WAYS; i++)
		earlier(&flood->places[i / FLOOD_WAYS][i % FLOOD_WAYS].window, &next);
	for (unsigned kind = 0; kind < FLOOD_KINDS; kind++)
		earlier(&flood->all[kind], &next);
	return next;
}
