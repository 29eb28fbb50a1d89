/* Answers of databases to questions that nobody waits for: which may come, how often, how long. */
#include "server/auth/unanswered.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdlib.h>

enum { NOW = 1000, LATE_MS = 30 * 1000, MOST = 16384 };

static struct unanswered unanswered;

static int begin(void **state)
{
	(void)state;
	unanswered_init(&unanswered);
	return 0;
}

/* Adding one more drops all that are over. */
static int end(void **state)
{
	(void)state;
	unanswered_add(&unanswered, 1, 1, 1000 * (uint64_t)LATE_MS);
	assert_int_equal(unanswered.table.count, 1);
	unanswered_add(&unanswered, 2, 1, 2000 * (uint64_t)LATE_MS);
	assert_int_equal(unanswered.table.count, 1);
	free(unanswered.first);
	table_finish(&unanswered.table);
	return 0;
}

static bool take(uint64_t id, uint64_t instance, uint64_t now)
{
	return unanswered_take(&unanswered, id, instance, now);
}

static void test_each_may_come_once(void **state)
{
	(void)state;
	assert_false(take(7, 1, NOW));
	assert_false(take(7, 1, 0));
	unanswered_add(&unanswered, 7, 1, NOW);
	unanswered_add(&unanswered, 8, 2, NOW);
	assert_false(take(9, 1, NOW));
	assert_true(take(7, 1, NOW + 1));
	assert_false(take(7, 1, NOW + 1));
	assert_false(take(8, 1, NOW + 1)); /* not that process's */
	assert_true(take(8, 2, NOW + 1));
}

static void test_for_a_while(void **state)
{
	(void)state;
	unanswered_add(&unanswered, 7, 1, NOW);
	unanswered_add(&unanswered, 8, 1, NOW);
	assert_true(take(7, 1, NOW + LATE_MS - 1));
	assert_false(take(8, 1, NOW + LATE_MS));
}

static void test_what_is_over_is_dropped(void **state)
{
	(void)state;
	unanswered_add(&unanswered, 1, 1, NOW);
	unanswered_add(&unanswered, 2, 1, NOW + 1);
	unanswered_add(&unanswered, 3, 1, NOW + LATE_MS - 1);
	assert_int_equal(unanswered.table.count, 3);
	unanswered_add(&unanswered, 4, 1, NOW + LATE_MS);
	assert_int_equal(unanswered.table.count, 3);
	assert_true(take(2, 1, NOW + LATE_MS));
	unanswered_add(&unanswered, 5, 1, NOW + 10 * LATE_MS);
	assert_int_equal(unanswered.table.count, 1);
	assert_true(take(5, 1, NOW + 10 * LATE_MS));
}

static void test_more_than_are_kept(void **state)
{
	(void)state;
	for (uint64_t id = 1; id <= MOST; id++)
		unanswered_add(&unanswered, id, 1, NOW);
	assert_int_equal(unanswered.table.count, MOST);
	assert_false(take(MOST + 1, 1, NOW));
	unanswered_add(&unanswered, MOST + 1, 1, NOW + 5);
	assert_int_equal(unanswered.table.count, MOST);
	assert_true(take(MOST + 1, 1, NOW + 5)); /* any may come now */
	assert_true(take(MOST + 2, 3, NOW + 5 + LATE_MS - 1));
	assert_false(take(MOST + 2, 3, NOW + 5 + LATE_MS));
	assert_true(take(MOST, 1, NOW + 5));
	assert_false(take(MOST, 1, NOW + 5)); /* those that are known, as ever */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_each_may_come_once, begin, end),
		cmocka_unit_test_setup_teardown(test_for_a_while, begin, end),
		cmocka_unit_test_setup_teardown(test_what_is_over_is_dropped, begin, end),
		cmocka_unit_test_setup_teardown(test_more_than_are_kept, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
