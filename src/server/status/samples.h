/*
 * The last day in 288 samples of five minutes, in memory that the monitor keeps, so that it
 * outlives this process and a reload. What is found there is checked: it may be of another build.
 * In status.
 */
#ifndef SERVER_STATUS_SAMPLES_H
#define SERVER_STATUS_SAMPLES_H

#include "server/totals.h"

enum {
	SAMPLES = 288,
	SAMPLE_SECONDS = 300,
};

struct sample {
	uint64_t time;                         /* seconds since 1970, of its end */
	uint64_t sessions;                     /* then */
	uint64_t logins, failures, deliveries; /* within it */
	uint64_t p99;                          /* microseconds until a login had its answer */
};

struct samples;

/* Maps the memory of fd, COUNTERS_SAMPLES_SIZE octets. NULL: it cannot be. */
struct samples *samples_open(int fd);
/* Enters a sample if one is due. */
void samples_tick(struct samples *samples, const struct totals *totals, uint64_t now);
unsigned samples_count(const struct samples *samples);
/* The n-th from the oldest. */
const struct sample *samples_get(const struct samples *samples, unsigned n);

#endif
