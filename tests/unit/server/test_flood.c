/* Lines that strangers cause: the first ones in full, then counts, by network and by all. */
#include "server/flood.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

enum { KIND = 3, OTHER = 4, BEGIN = 1000 };

static struct flood flood;
static struct {
	unsigned sums;
	uint64_t lines;
	struct flood_sum last;
	uint8_t network[16];
	bool has_network;
} got;

static int fresh(void **state)
{
	(void)state;
	memset(&flood, 0, sizeof(flood));
	memset(&got, 0, sizeof(got));
	return 0;
}

static void keep(const struct flood_sum *sum, void *context)
{
	assert_ptr_equal(context, &got);
	got.sums++;
	got.lines += sum->lines;
	got.last = *sum;
	got.has_network = sum->network != NULL;
	if (sum->network)
		memcpy(got.network, sum->network, 16);
}

static const uint8_t *four(uint32_t number)
{
	static uint8_t address[16] = {[10] = 0xff, [11] = 0xff};

	for (int i = 0; i < 4; i++)
		address[12 + i] = (uint8_t)(number >> (24 - 8 * i));
	return address;
}

static const uint8_t *six(uint8_t network, uint8_t host)
{
	static uint8_t address[16] = {0x20, 0x01, 0x0d, 0xb8};

	address[7] = network;
	address[15] = host;
	return address;
}

static unsigned written(const uint8_t *address, unsigned times, uint64_t now)
{
	unsigned n = 0;

	for (unsigned i = 0; i < times; i++)
		n += flood_may(&flood, KIND, address, now);
	return n;
}

static void report(uint64_t now, bool all)
{
	flood_report(&flood, now, all, keep, &got);
}

static void test_the_first_ones_then_a_count(void **state)
{
	(void)state;
	assert_int_equal(written(four(1), 2000, BEGIN), FLOOD_FULL);
	assert_int_equal(flood_next(&flood), BEGIN + FLOOD_WINDOW);
	report(BEGIN + FLOOD_WINDOW - 1, false);
	assert_int_equal(got.sums, 0);
	report(BEGIN + FLOOD_WINDOW, false);
	assert_int_equal(got.sums, 1);
	assert_int_equal(got.lines, 2000 - FLOOD_FULL);
	assert_int_equal(got.last.kind, KIND);
	assert_int_equal(got.last.ms, FLOOD_WINDOW);
	assert_memory_equal(got.network, four(1), 16);
	assert_true(flood_next(&flood) == UINT64_MAX);
	report(BEGIN + 2 * FLOOD_WINDOW, true);
	assert_int_equal(got.sums, 1);
	assert_int_equal(written(four(1), 20, BEGIN + FLOOD_WINDOW), FLOOD_FULL);
}

static void test_few_lines_are_never_held(void **state)
{
	(void)state;
	for (uint64_t minute = 0; minute < 5; minute++)
		assert_int_equal(written(four(1), FLOOD_FULL, BEGIN + minute * FLOOD_WINDOW),
				 FLOOD_FULL);
	report(BEGIN + 9 * FLOOD_WINDOW, true);
	assert_int_equal(got.sums, 0);
}

/* A late report keeps the count together: no line is written between count and report. */
static void test_a_count_is_not_lost_when_the_report_is_late(void **state)
{
	(void)state;
	written(four(1), FLOOD_FULL + 1, BEGIN);
	assert_int_equal(written(four(1), 5, BEGIN + 3 * FLOOD_WINDOW), 0);
	report(BEGIN + 3 * FLOOD_WINDOW, false);
	assert_int_equal(got.lines, 6);
	assert_int_equal(got.last.ms, 3 * FLOOD_WINDOW);
}

static void test_networks_and_kinds_are_apart(void **state)
{
	(void)state;
	assert_int_equal(written(four(1), 50, BEGIN), FLOOD_FULL);
	assert_int_equal(written(four(2), 50, BEGIN), FLOOD_FULL);
	assert_int_equal(written(NULL, 50, BEGIN), FLOOD_FULL);
	assert_true(flood_may(&flood, OTHER, four(1), BEGIN));
	report(BEGIN, true);
	assert_int_equal(got.sums, 3);
	assert_int_equal(got.lines, 3 * (50 - FLOOD_FULL));
}

/* Ten are held; of a hundred others some are in the same sets of the table. */
static void test_networks_of_one_set_are_apart(void **state)
{
	enum { HELD = 10, OTHERS = FLOOD_FULL_ALL - HELD * FLOOD_FULL };

	(void)state;
	for (uint32_t i = 0; i < HELD; i++)
		assert_int_equal(written(four(i), FLOOD_FULL + 1, BEGIN), FLOOD_FULL);
	for (uint32_t i = 0; i < OTHERS; i++)
		assert_true(flood_may(&flood, KIND, four(1000 + i), BEGIN));
	report(BEGIN, true);
	assert_int_equal(got.sums, HELD);
	assert_int_equal(got.lines, HELD);
}

static void test_ipv6_counts_by_its_64(void **state)
{
	unsigned n = 0;

	(void)state;
	for (unsigned host = 1; host <= 100; host++)
		n += written(six(1, (uint8_t)host), 1, BEGIN);
	assert_int_equal(n, FLOOD_FULL);
	assert_int_equal(written(six(2, 1), 1, BEGIN), 1);
	report(BEGIN, true);
	assert_memory_equal(got.network, six(1, 0), 16);
}

static void test_many_addresses_are_bounded_together(void **state)
{
	unsigned n = 0;

	(void)state;
	for (uint32_t i = 0; i < 10000; i++)
		n += written(four(i << 8), 3, BEGIN);
	assert_int_equal(n, FLOOD_FULL_ALL);
	assert_int_equal(flood_next(&flood), BEGIN + FLOOD_WINDOW);
	report(BEGIN + FLOOD_WINDOW, false);
	assert_true(flood_next(&flood) == UINT64_MAX);
	assert_true(got.sums <= 1 + FLOOD_FULL_ALL / FLOOD_FULL);
	assert_false(got.has_network); /* the sum over all comes last */
	assert_int_equal(n + got.lines, 30000);
}

/* One line each: no network is counted, all of them together are. */
static void test_a_sum_of_all_is_due_by_itself(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < FLOOD_FULL_ALL; i++)
		assert_true(flood_may(&flood, KIND, four(i << 8), BEGIN));
	assert_true(flood_next(&flood) == UINT64_MAX);
	assert_false(flood_may(&flood, KIND, four(1u << 20), BEGIN + 5));
	assert_int_equal(flood_next(&flood), BEGIN + FLOOD_WINDOW);
}

/* Sums of networks are bounded too: a network is counted after FLOOD_FULL lines of the common
 * bound. */
static void test_many_addresses_that_each_flood(void **state)
{
	unsigned n = 0;

	(void)state;
	for (uint32_t i = 0; i < 500; i++)
		n += written(four(i), 100, BEGIN);
	assert_int_equal(n, FLOOD_FULL_ALL);
	report(BEGIN + FLOOD_WINDOW, false);
	assert_true(got.sums <= 1 + FLOOD_FULL_ALL / FLOOD_FULL);
	assert_int_equal(n + got.lines, 50000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_the_first_ones_then_a_count, fresh),
		cmocka_unit_test_setup(test_few_lines_are_never_held, fresh),
		cmocka_unit_test_setup(test_a_count_is_not_lost_when_the_report_is_late, fresh),
		cmocka_unit_test_setup(test_networks_and_kinds_are_apart, fresh),
		cmocka_unit_test_setup(test_networks_of_one_set_are_apart, fresh),
		cmocka_unit_test_setup(test_ipv6_counts_by_its_64, fresh),
		cmocka_unit_test_setup(test_many_addresses_are_bounded_together, fresh),
		cmocka_unit_test_setup(test_a_sum_of_all_is_due_by_itself, fresh),
		cmocka_unit_test_setup(test_many_addresses_that_each_flood, fresh),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
