/* The order in which costly logins get a worker, and the pairs that come first. */
#include "server/auth/proven.h"
#include "server/auth/queue.h"

#include "base/text.h"
#include "users/users.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { NETWORKS = 40, EACH = 100, MOST = NETWORKS * EACH };

static struct waiting {
	struct queue_entry entry; /* first */
	unsigned network;
} all[MOST];
static unsigned used;
static struct queue queue;

static void begin(uint32_t max, uint32_t threads)
{
	memset(all, 0, sizeof(all));
	used = 0;
	queue_init(&queue, max, threads);
}

static void network_of(unsigned number, uint8_t ret[16])
{
	memset(ret, 0, 16);
	ret[14] = (uint8_t)(number >> 8);
	ret[15] = (uint8_t)number;
}

static int add_of(unsigned network, enum queue_class class, bool loopback)
{
	uint8_t octets[16];

	network_of(network, octets);
	all[used].network = network;
	return queue_add(&queue, &all[used++].entry, octets, loopback, class);
}

static void add(unsigned network, enum queue_class class)
{
	assert_int_equal(add_of(network, class, false), 0);
}

static unsigned taken(void)
{
	struct waiting *waiting = (struct waiting *)queue_take(&queue);

	assert_non_null(waiting);
	assert_false(queue_waits(&waiting->entry));
	return (unsigned)(waiting - all);
}

/* Takes the next one and ends it at once. Returns its network. */
static unsigned served(void)
{
	struct waiting *waiting = &all[taken()];

	queue_leave(&queue, &waiting->entry);
	return waiting->network;
}

static void empty(void)
{
	for (unsigned i = 0; i < used; i++)
		queue_leave(&queue, &all[i].entry);
	assert_int_equal(queue.waiting, 0);
	assert_int_equal(queue.running, 0);
	assert_null(queue_take(&queue));
	assert_int_equal(queue.sources.count, 0);
	table_finish(&queue.sources);
}

static void test_networks_take_turns(void **state)
{
	unsigned counts[NETWORKS] = {0};

	(void)state;
	begin(MOST * 2, 1);
	for (unsigned n = 0; n < NETWORKS; n++) /* one network's crowd is there first */
		for (unsigned i = 0; i < (n ? 3 : EACH); i++)
			add(n, QUEUE_CALM);
	for (unsigned i = 0; i < 3 * NETWORKS; i++)
		counts[served()]++;
	for (unsigned n = 0; n < NETWORKS; n++)
		assert_int_equal(counts[n], 3);
	assert_int_equal(served(), 0);
	empty();
}

static void test_within_a_network_the_first_is_the_first(void **state)
{
	(void)state;
	begin(MOST, 1);
	for (unsigned i = 0; i < 5; i++)
		add(7, QUEUE_CALM);
	for (unsigned i = 0; i < 5; i++) {
		assert_int_equal(taken(), i);
		queue_leave(&queue, &all[i].entry);
	}
	empty();
}

static void test_a_network_has_two_hashes_at_a_time(void **state)
{
	(void)state;
	begin(MOST, 8);
	for (unsigned i = 0; i < 10; i++)
		add(1, QUEUE_CALM);
	assert_int_equal(taken(), 0);
	assert_int_equal(taken(), 1);
	assert_null(queue_take(&queue));
	add(2, QUEUE_FAILED); /* another network does not wait for it, in whatever class */
	assert_int_equal(all[taken()].network, 2);
	assert_null(queue_take(&queue));
	queue_leave(&queue, &all[0].entry);
	assert_int_equal(taken(), 2);
	assert_null(queue_take(&queue));
	empty();
}

static void test_two_hashes_at_a_time_over_all_classes(void **state)
{
	(void)state;
	begin(MOST, 8);
	add(1, QUEUE_PROVEN);
	add(1, QUEUE_CALM);
	add(1, QUEUE_FAILED);
	assert_int_equal(taken(), 0);
	assert_int_equal(taken(), 1);
	assert_null(queue_take(&queue));
	empty();
}

static void test_loopback_may_use_all_workers(void **state)
{
	(void)state;
	begin(MOST, 4);
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(add_of(1, QUEUE_CALM, true), 0);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(taken(), i);
	assert_null(queue_take(&queue)); /* no more than there are threads */
	empty();
}

static void test_proven_pairs_come_first_and_failures_last(void **state)
{
	(void)state;
	begin(MOST, 1);
	add(1, QUEUE_FAILED);
	add(2, QUEUE_CALM);
	add(3, QUEUE_PROVEN);
	add(1, QUEUE_PROVEN);
	assert_int_equal(served(), 3);
	assert_int_equal(served(), 1);
	assert_int_equal(served(), 2);
	assert_int_equal(served(), 1);
	empty();
}

/* However many come before it, each class goes on. */
static void test_no_class_waits_for_ever(void **state)
{
	unsigned counts[4] = {0};

	(void)state;
	begin(MOST, 1);
	for (unsigned i = 0; i < 256; i++) {
		add(1, QUEUE_PROVEN);
		add(2, QUEUE_CALM);
		add(3, QUEUE_FAILED);
	}
	for (unsigned i = 0; i < 256; i++)
		counts[served()]++;
	assert_int_equal(counts[3], 256 / 32);
	assert_int_equal(counts[2], 256 / 8 - 256 / 32);
	assert_int_equal(counts[1], 256 - 256 / 8);
	empty();
}

static void test_the_queue_is_bounded_with_room_for_proven_pairs(void **state)
{
	(void)state;
	begin(100, 1);
	for (unsigned i = 0; i < 75; i++)
		add(i % 7, i % 2 ? QUEUE_CALM : QUEUE_FAILED);
	assert_int_equal(add_of(30, QUEUE_CALM, false), -1);
	assert_int_equal(add_of(30, QUEUE_FAILED, true), -1);
	for (unsigned i = 0; i < 25; i++)
		add(8, QUEUE_PROVEN);
	assert_int_equal(add_of(9, QUEUE_PROVEN, false), -1);
	(void)served();
	add(9, QUEUE_PROVEN);
	empty();
}

static void test_an_entry_leaves_whatever_it_does(void **state)
{
	(void)state;
	begin(MOST, 2);
	for (unsigned i = 0; i < 6; i++)
		add(i / 3, QUEUE_CALM);
	queue_leave(&queue, &all[0].entry); /* the first of its network */
	queue_leave(&queue, &all[2].entry); /* the last */
	queue_leave(&queue, &all[2].entry); /* again: nothing */
	add(0, QUEUE_CALM);
	assert_int_equal(taken(), 1);
	queue_leave(&queue, &all[6].entry); /* its network has none that waits any more */
	assert_int_equal(taken(), 3);
	queue_leave(&queue, &all[1].entry);
	assert_int_equal(taken(), 4);
	empty();
}

static void test_pairs_are_remembered_for_thirty_days(void **state)
{
	static char longest[1 << 20];
	struct proven *proven;
	uint8_t here[16], there[16];

	(void)state;
	memset(longest, 'x', sizeof(longest));
	network_of(1, here);
	network_of(2, there);
	assert_int_equal(proven_create(1024, &proven, NULL), 0);
	assert_false(proven_has(proven, SPAN_LITERAL("anna"), here, 0));
	proven_put(proven, SPAN_LITERAL("anna"), here, 10);
	assert_true(proven_has(proven, SPAN_LITERAL("anna"), here, 10));
	assert_true(proven_has(proven, SPAN_LITERAL("ANNA"), here, 10));
	assert_false(proven_has(proven, SPAN_LITERAL("anna"), there, 10));
	assert_false(proven_has(proven, SPAN_LITERAL("ann"), here, 10));
	assert_false(proven_has(proven, SPAN_LITERAL(""), here, 10));
	assert_true(proven_has(proven, SPAN_LITERAL("anna"), here, 9 + PROVEN_SECONDS));
	assert_false(proven_has(proven, SPAN_LITERAL("anna"), here, 10 + PROVEN_SECONDS));
	proven_put(proven, SPAN_LITERAL("Anna"), here, 10 + PROVEN_SECONDS);
	assert_true(proven_has(proven, SPAN_LITERAL("anna"), here, 9 + 2 * PROVEN_SECONDS));
	/* what can be no name is not looked for, however long it is */
	proven_put(proven, (pop3_span){longest, USER_NAME_MAX}, here, 10);
	assert_true(proven_has(proven, (pop3_span){longest, USER_NAME_MAX}, here, 10));
	proven_put(proven, (pop3_span){longest, USER_NAME_MAX + 1}, here, 10);
	assert_false(proven_has(proven, (pop3_span){longest, USER_NAME_MAX + 1}, here, 10));
	assert_false(proven_has(proven, (pop3_span){longest, sizeof(longest)}, here, 10));
	proven_put(proven, (pop3_span){longest, sizeof(longest)}, here, 10);
	proven_destroy(proven);
	proven_destroy(NULL);
}

static void test_the_pair_used_least_recently_makes_room(void **state)
{
	struct proven *proven;
	uint8_t network[16];
	char name[16];
	unsigned left = 0;

	(void)state;
	network_of(1, network);
	assert_int_equal(proven_create(8, &proven, NULL), 0);
	proven_put(proven, SPAN_LITERAL("anna"), network, 1);
	for (unsigned i = 0; i < 20; i++) {
		snprintf(name, sizeof(name), "user%u", i);
		proven_put(proven, span_of(name), network, 2 + i);
		if (i < 12) /* one that logs in again and again stays */
			proven_put(proven, SPAN_LITERAL("anna"), network, 2 + i);
	}
	assert_false(proven_has(proven, SPAN_LITERAL("user0"), network, 30));
	assert_false(proven_has(proven, SPAN_LITERAL("user11"), network, 30));
	for (unsigned i = 0; i < 20; i++) {
		snprintf(name, sizeof(name), "user%u", i);
		left += proven_has(proven, span_of(name), network, 30);
	}
	assert_int_equal(left, 8);
	assert_false(proven_has(proven, SPAN_LITERAL("anna"), network, 30));
	proven_destroy(proven);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_networks_take_turns),
		cmocka_unit_test(test_within_a_network_the_first_is_the_first),
		cmocka_unit_test(test_a_network_has_two_hashes_at_a_time),
		cmocka_unit_test(test_two_hashes_at_a_time_over_all_classes),
		cmocka_unit_test(test_loopback_may_use_all_workers),
		cmocka_unit_test(test_proven_pairs_come_first_and_failures_last),
		cmocka_unit_test(test_no_class_waits_for_ever),
		cmocka_unit_test(test_the_queue_is_bounded_with_room_for_proven_pairs),
		cmocka_unit_test(test_an_entry_leaves_whatever_it_does),
		cmocka_unit_test(test_pairs_are_remembered_for_thirty_days),
		cmocka_unit_test(test_the_pair_used_least_recently_makes_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
