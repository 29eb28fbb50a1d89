/* Quantiles of a histogram whose steps are powers of two: bucket n has the values up to 2^n that
 * are in no bucket before. No I/O, any process and thread. */
#ifndef BASE_HISTOGRAM_H
#define BASE_HISTOGRAM_H

#include <stddef.h>
#include <stdint.h>

/* The quantile (0 … 1000 thousandths), within its bucket by proportion; 0: there are no values. */
uint64_t histogram_quantile(const uint64_t *buckets, size_t count, unsigned thousandths);

#endif
