/*
 * Lines of the log that strangers can cause at will: the first few of a kind from one network
 * (IPv4 address, IPv6 /64) in a minute are written in full, further ones are counted, and so are
 * those of a kind from all networks above a bound, so that many addresses cannot fill the log
 * either. The counts are reported when their minute is over. For server/record.c; used by one
 * thread. No clock and no allocation here.
 */
#ifndef SERVER_FLOOD_H
#define SERVER_FLOOD_H

#include <stdbool.h>
#include <stdint.h>

enum {
	FLOOD_KINDS = 64,
	FLOOD_FULL = 10,      /* lines of a kind from one network in a minute */
	FLOOD_FULL_ALL = 200, /* of a kind from all networks */
	FLOOD_WINDOW = 60 * 1000,
	FLOOD_SETS = 64, /* of the hash table of networks; one that finds no place is bounded */
	FLOOD_WAYS = 4,  /* by FLOOD_FULL_ALL alone */
};

struct flood_window {
	uint64_t begin; /* milliseconds */
	uint32_t said;  /* 0: unused */
	uint32_t held;  /* counted, not yet reported */
};

struct flood_place {
	struct flood_window window;
	uint8_t network[16];
	uint8_t kind;
};

/* Zeroed at first. */
struct flood {
	struct flood_place places[FLOOD_SETS][FLOOD_WAYS];
	struct flood_window all[FLOOD_KINDS];
	unsigned windows_held; /* windows with held > 0 */
};

/* Counted lines. network: NULL for all networks. */
struct flood_sum {
	const uint8_t *network;
	unsigned kind;
	uint32_t lines;
	uint64_t ms; /* since the first line of the window, counted or not */
};

/* address: as in record.h; NULL: none. now: milliseconds, monotonic. Returns whether the line is
 * to be written. */
bool flood_may(struct flood *flood, unsigned kind, const uint8_t *address, uint64_t now);
/* Reports each count whose minute is over at now, or all of them. */
void flood_report(struct flood *flood, uint64_t now, bool all,
		  void (*report)(const struct flood_sum *sum, void *context), void *context);
/* When a count is next to be reported; UINT64_MAX: there is none. */
uint64_t flood_next(const struct flood *flood);

#endif
