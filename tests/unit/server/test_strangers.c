/*
 * Connections that have not logged in: whose network is crowded, and which one ends for another.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "server/strangers.h"

#include <arpa/inet.h>
#include <stdbool.h>

enum { MANY = 200 };

static struct strangers strangers;
static struct stranger list[MANY];

static const uint8_t *address_of(const char *text)
{
	static uint8_t address[16];

	memset(address, 0, sizeof(address));
	if (inet_pton(AF_INET6, text, address) == 1)
		return address;
	address[10] = address[11] = 0xff;
	assert_int_equal(inet_pton(AF_INET, text, address + 12), 1);
	return address;
}

static void add(unsigned number, const char *text)
{
	strangers_add(&strangers, &list[number], address_of(text));
}

static bool crowded(const char *text)
{
	return strangers_crowded(&strangers, address_of(text));
}

static bool always(const struct stranger *stranger, bool crowds, const void *context)
{
	(void)crowds;
	(void)stranger;
	(void)context;
	return true;
}

static bool all_but(const struct stranger *stranger, bool crowds, const void *context)
{
	(void)crowds;
	return stranger != context;
}

static int set_up(void **state)
{
	(void)state;
	memset(list, 0, sizeof(list));
	strangers_init(&strangers);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	for (unsigned i = 0; i < MANY; i++)
		strangers_remove(&strangers, &list[i]);
	assert_int_equal(strangers.count, 0);
	assert_int_equal(strangers.blocks.count, 0);
	assert_null(strangers.oldest);
	assert_null(strangers.newest);
	table_finish(&strangers.blocks);
	return 0;
}

static void an_address_and_its_neighbours(void **state)
{
	char text[64];

	assert_false(crowded("192.0.2.1"));
	add(0, "192.0.2.1");
	assert_true(crowded("192.0.2.1"));
	assert_false(crowded("192.0.2.2"));
	for (unsigned i = 1; i < 15; i++) {
		snprintf(text, sizeof(text), "192.0.2.%u", i + 1);
		add(i, text);
	}
	assert_false(crowded("192.0.2.200"));
	add(15, "192.0.2.16");
	assert_true(crowded("192.0.2.200")); /* sixteen of its /24 */
	assert_false(crowded("192.0.3.1"));
	strangers_remove(&strangers, &list[15]);
	assert_false(crowded("192.0.2.200"));
}

static void networks_of_six(void **state)
{
	char text[64];

	add(0, "2001:db8:0:100::1");
	assert_true(crowded("2001:db8:0:100::2")); /* its /64 */
	assert_false(crowded("2001:db8:0:101::1"));
	for (unsigned i = 1; i < 4; i++) {
		snprintf(text, sizeof(text), "2001:db8:0:10%u::1", i);
		add(i, text);
	}
	assert_true(crowded("2001:db8:0:1ff::1"));  /* four of its /56 */
	assert_false(crowded("2001:db8:0:200::1")); /* another one */
	for (unsigned i = 4; i < 16; i++) {
		snprintf(text, sizeof(text), "2001:db8:0:%x00::1", i);
		add(i, text);
	}
	assert_true(crowded("2001:db8:0:ff00::1")); /* sixteen of its /48 */
	assert_false(crowded("2001:db8:1::1"));
}

static void a_unix_socket_is_one_place(void **state)
{
	static const uint8_t none[16];

	assert_false(strangers_crowded(&strangers, none));
	strangers_add(&strangers, &list[0], none);
	assert_true(strangers_crowded(&strangers, none));
	assert_false(crowded("127.0.0.1"));
}

static void the_oldest_ends_first(void **state)
{
	assert_null(strangers_victim(&strangers, always, NULL));
	add(0, "192.0.2.1");
	add(1, "198.51.100.1");
	add(2, "203.0.113.1");
	assert_ptr_equal(strangers_victim(&strangers, always, NULL), &list[0]);
	assert_ptr_equal(strangers_victim(&strangers, all_but, &list[0]), &list[1]);
	strangers_renew(&strangers, &list[0]);
	assert_ptr_equal(strangers_victim(&strangers, always, NULL), &list[1]);
	strangers_remove(&strangers, &list[1]);
	assert_ptr_equal(strangers_victim(&strangers, always, NULL), &list[2]);
	strangers_remove(&strangers, &list[1]); /* legal */
	strangers_renew(&strangers, &list[1]);
	assert_int_equal(strangers.count, 2);
}

static void the_crowd_ends_before_a_lone_one(void **state)
{
	add(0, "192.0.2.1");
	add(1, "198.51.100.1");
	add(2, "198.51.100.1");
	assert_ptr_equal(strangers_victim(&strangers, always, NULL), &list[1]);
	strangers_remove(&strangers, &list[1]);
	assert_ptr_equal(strangers_victim(&strangers, always, NULL), &list[0]);
}

/* The search has a bound: behind so many lone ones a crowd is not looked for. */
static void the_search_is_bounded(void **state)
{
	char text[64];

	for (unsigned i = 0; i < STRANGER_LOOKS; i++) {
		snprintf(text, sizeof(text), "10.0.%u.1", i);
		add(i, text);
	}
	add(STRANGER_LOOKS, "192.0.2.1");
	add(STRANGER_LOOKS + 1, "192.0.2.1");
	assert_ptr_equal(strangers_victim(&strangers, always, NULL), &list[0]);
	strangers_remove(&strangers, &list[0]);
	assert_ptr_equal(strangers_victim(&strangers, always, NULL), &list[STRANGER_LOOKS]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(an_address_and_its_neighbours, set_up, tear_down),
		cmocka_unit_test_setup_teardown(networks_of_six, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_unix_socket_is_one_place, set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_oldest_ends_first, set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_crowd_ends_before_a_lone_one, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(the_search_is_bounded, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
