/* See histogram.h. */
#include "base/histogram.h"

uint64_t histogram_quantile(const uint64_t *buckets, size_t count, unsigned thousandths)
{
	double values = 0, below = 0, wanted;

	for (size_t i = 0; i < count; i++)
		values += (double)buckets[i];
	wanted = values * thousandths / 1000;
	for (size_t i = 0; i < count && values > 0; i++) {
		double here = (double)buckets[i], low = i ? (double)(1ull << (i - 1)) : 0;
		double width = (double)(1ull << i) - low;

		if (here > 0 && below + here >= wanted)
			return (uint64_t)(low + width * (wanted - below) / here);
		below += here;
	}
	return 0;
}
