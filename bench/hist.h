/*
 * A histogram of durations for the bench: log-linear, 128 steps an octave (error below 1 %), fixed
 * size, so that measuring allocates nothing. Values are nanoseconds from 0 to about 10^12; larger
 * ones are counted in the last step. Printed as one JSON object in milliseconds.
 */
#ifndef BENCH_HIST_H
#define BENCH_HIST_H

#include <stdint.h>
#include <stdio.h>

#define HIST_STEPS 128
#define HIST_OCTAVES 34
#define HIST_SIZE (HIST_STEPS * HIST_OCTAVES)

struct hist {
	uint64_t count, sum, max;
	uint32_t cell[HIST_SIZE];
};

void hist_add(struct hist *hist, uint64_t nanoseconds);
/* The duration that a share (0…1) of the values does not exceed, in nanoseconds; 0 when empty. */
double hist_quantile(const struct hist *hist, double share);
/* {"count":…,"mean":…,"p50":…,…,"max":…} */
void hist_print(const struct hist *hist, FILE *out);

#endif
