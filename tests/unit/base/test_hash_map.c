/* A map of hashes: what is put is found, growth loses nothing, the bound holds, a hash of 0 is one
 * like others. */
#include "base/hash_map.h"

#include "base/table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void finds_what_was_put(void **state)
{
	struct hash_map map;

	(void)state;
	hash_map_init(&map, 10000);
	assert_null(hash_map_find(&map, 7));
	for (uint64_t i = 0; i < 10000; i++) {
		uint64_t *number = hash_map_put(&map, hash_octets(&i, sizeof(i)));

		assert_non_null(number);
		assert_int_equal(*number, 0);
		*number = i + 1;
	}
	for (uint64_t i = 0; i < 10000; i++)
		assert_int_equal(*hash_map_find(&map, hash_octets(&i, sizeof(i))), i + 1);
	assert_int_equal(map.count, 10000);
	hash_map_clear(&map);
	assert_int_equal(map.count, 0);
	for (uint64_t i = 0; i < 10000; i++)
		assert_null(hash_map_find(&map, hash_octets(&i, sizeof(i))));
	hash_map_finish(&map);
}

/* Neighbours share a run of entries; one that is not there ends it. */
static void tells_neighbours_apart(void **state)
{
	struct hash_map map;

	(void)state;
	hash_map_init(&map, 100);
	for (uint64_t i = 0; i < 40; i++)
		*hash_map_put(&map, 64 * i + 3) = i;
	for (uint64_t i = 0; i < 40; i++)
		assert_int_equal(*hash_map_find(&map, 64 * i + 3), i);
	assert_null(hash_map_find(&map, 64 * 40 + 3));
	hash_map_finish(&map);
}

static void is_bounded(void **state)
{
	struct hash_map map;

	(void)state;
	hash_map_init(&map, 3);
	*hash_map_put(&map, 0) = 5;
	*hash_map_put(&map, 10) = 6;
	*hash_map_put(&map, 20) = 7;
	assert_null(hash_map_put(&map, 30));
	assert_int_equal(*hash_map_put(&map, 10), 6);
	assert_int_equal(*hash_map_find(&map, 0), 5);
	hash_map_clear(&map);
	assert_non_null(hash_map_put(&map, 30));
	hash_map_finish(&map);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_what_was_put),
		cmocka_unit_test(tells_neighbours_apart),
		cmocka_unit_test(is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
