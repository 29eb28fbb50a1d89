/* Lists grow by doubling, keep what they hold, and refuse sizes that no memory has. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/array.h"

static void test_grows_and_keeps(void **state)
{
	uint32_t *numbers = NULL;
	size_t room = 0, grown = 0;

	for (uint32_t i = 0; i < 1000; i++) {
		size_t before = room;
		uint32_t *more = array_grow(numbers, i, &room, sizeof(*more));

		assert_non_null(more);
		numbers = more;
		grown += room != before;
		assert_true(room > i);
		numbers[i] = i;
	}
	assert_int_equal(room, 1024);
	assert_int_equal(grown, 7); /* 16, 32 … 1024 */
	for (uint32_t i = 0; i < 1000; i++)
		assert_int_equal(numbers[i], i);
	free(numbers);
}

static void test_has_room_already(void **state)
{
	size_t room = 4;
	uint64_t *list = malloc(room * sizeof(*list));

	for (size_t count = 0; count < 4; count++)
		assert_ptr_equal(array_grow(list, count, &room, sizeof(*list)), list);
	assert_int_equal(room, 4);
	free(list);
}

static void test_sizes_that_overflow(void **state)
{
	size_t room = SIZE_MAX / 16;
	char some[1];

	assert_null(array_grow(some, room, &room, 16)); /* octets overflow */
	assert_int_equal(room, SIZE_MAX / 16);
	room = SIZE_MAX / 2 + 1;
	assert_null(array_grow(some, room, &room, 1)); /* the count overflows */
	assert_int_equal(room, SIZE_MAX / 2 + 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_grows_and_keeps),
		cmocka_unit_test(test_has_room_already),
		cmocka_unit_test(test_sizes_that_overflow),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
