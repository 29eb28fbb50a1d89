/* A table finds what it holds, and keys that an attacker chose do not share a bucket. */
#include "base/table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { NODES = 4096 };

/* The longest chain of nodes in one bucket. */
static size_t longest(const struct table *table)
{
	size_t most = 0;

	for (size_t i = 0; i <= table->mask; i++) {
		size_t length = 0;

		for (const struct table_node *node = table->buckets[i]; node; node = node->next)
			length++;
		most = length > most ? length : most;
	}
	return most;
}

static void fill(struct table *table, struct table_node *nodes, uint64_t step)
{
	table_init(table);
	for (uint64_t i = 0; i < NODES; i++)
		table_add(table, &nodes[i], i * step);
	for (uint64_t i = 0; i < NODES; i++)
		assert_ptr_equal(table_find(table, i * step), &nodes[i]);
}

/* Keys in equal steps collide in a hash without a key that multiplies and takes the low bits. */
static void test_threat_62_keys_in_steps_are_spread(void **state)
{
	static const uint64_t steps[] = {1, 1ull << 20, 1ull << 32, 1ull << 48};
	struct table_node *nodes = calloc(NODES, sizeof(*nodes));
	struct table table;

	(void)state;
	assert_non_null(nodes);
	for (size_t i = 0; i < sizeof(steps) / sizeof(*steps); i++) {
		fill(&table, nodes, steps[i]);
		assert_true(longest(&table) < 20);
		table_finish(&table);
	}
	free(nodes);
}

static void test_nodes_with_one_key(void **state)
{
	struct table_node nodes[3];
	struct table table;

	(void)state;
	table_init(&table);
	for (int i = 0; i < 3; i++)
		table_add(&table, &nodes[i], 7);
	assert_non_null(table_next(table_next(table_find(&table, 7))));
	table_remove(&table, &nodes[1]);
	assert_null(table_next(table_next(table_find(&table, 7))));
	assert_null(table_find(&table, 8));
	table_finish(&table);
}

static void count_visit(struct table_node *node, void *context)
{
	unsigned *visits = context;

	visits[node->key]++;
}

/* The table grows between any two calls: what was there at the first is visited once, what came
 * later at most once. */
static void test_a_scan_visits_each_once_while_the_table_grows(void **state)
{
	for (unsigned pace = 0; pace < 40; pace++) {
		struct table_node *nodes = calloc(NODES, sizeof(*nodes));
		unsigned *visits = calloc(NODES, sizeof(*visits)), first = pace * 3, added = 0;
		struct table table;
		uint64_t cursor = 0;

		(void)state;
		assert_true(nodes && visits);
		table_init(&table);
		for (; added < first; added++)
			table_add(&table, &nodes[added], added);
		do {
			cursor = table_scan(&table, cursor, count_visit, visits);
			for (unsigned i = 0; i < pace && added < NODES; i++, added++)
				table_add(&table, &nodes[added], added);
		} while (cursor);
		for (unsigned i = 0; i < NODES; i++)
			assert_true(i < first ? visits[i] == 1 : visits[i] <= 1);
		table_finish(&table);
		free(nodes);
		free(visits);
	}
}

static void test_a_scan_skips_what_was_removed(void **state)
{
	struct table_node nodes[64];
	unsigned visits[64] = {0};
	struct table table;
	uint64_t cursor = 0;

	(void)state;
	table_init(&table);
	for (unsigned i = 0; i < 64; i++)
		table_add(&table, &nodes[i], i);
	cursor = table_scan(&table, cursor, count_visit, visits);
	for (unsigned i = 0; i < 64; i += 2)
		table_remove(&table, &nodes[i]);
	while (cursor)
		cursor = table_scan(&table, cursor, count_visit, visits);
	for (unsigned i = 1; i < 64; i += 2)
		assert_int_equal(visits[i], 1);
	table_finish(&table);
}

static void test_octets(void **state)
{
	(void)state;
	assert_true(hash_octets("anna", 4) == hash_octets("annab", 4));
	assert_false(hash_octets("anna", 4) == hash_octets("annb", 4));
	assert_false(hash_octets("", 0) == hash_octets("\0", 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_threat_62_keys_in_steps_are_spread),
		cmocka_unit_test(test_nodes_with_one_key),
		cmocka_unit_test(test_a_scan_visits_each_once_while_the_table_grows),
		cmocka_unit_test(test_a_scan_skips_what_was_removed),
		cmocka_unit_test(test_octets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
