/* Quantiles of histograms whose steps are powers of two. */
#include "base/histogram.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void test_quantiles(void **state)
{
	uint64_t buckets[32] = {0};

	(void)state;
	assert_int_equal(histogram_quantile(buckets, 32, 500), 0);
	buckets[0] = 10; /* up to 1 */
	assert_int_equal(histogram_quantile(buckets, 32, 1000), 1);
	buckets[4] = 10; /* 9 to 16 */
	assert_int_equal(histogram_quantile(buckets, 32, 500), 1);
	assert_int_equal(histogram_quantile(buckets, 32, 750), 12);
	assert_int_equal(histogram_quantile(buckets, 32, 1000), 16);
	buckets[31] = 1;
	assert_int_equal(histogram_quantile(buckets, 32, 1000), 1u << 31);
	assert_int_equal(histogram_quantile(buckets, 4, 990), 0); /* of the first four */
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_quantiles)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
