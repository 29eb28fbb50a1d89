/* Servers that fail: left alone for longer each time, tried by one worker at a time. */
#include "lookup/ldap/servers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

enum { PATIENCE = 10000 };

static struct servers servers;

static int set_up(void **state)
{
	servers_init(&servers);
	assert_int_equal(servers_add(&servers, "ldap://one", NULL), 0);
	assert_int_equal(servers_add(&servers, "ldap://two", NULL), 0);
	return 0;
}

static void in_their_order(void **state)
{
	struct server_try tried;

	assert_true(servers_next(&servers, 0, 5, PATIENCE, &tried));
	assert_int_equal(tried.server, 0);
	assert_int_equal(tried.left, 2);
	assert_true(servers_next(&servers, 1, 5, PATIENCE, &tried));
	assert_int_equal(tried.server, 1);
	assert_int_equal(tried.left, 1);
	assert_false(servers_next(&servers, 2, 5, PATIENCE, &tried));
}

static void one_that_fails_is_left_alone(void **state)
{
	struct server_try tried;
	uint64_t now = 1000, wait = SERVERS_BACKOFF_MIN;

	for (int i = 0; i < 8; i++) {
		assert_true(servers_next(&servers, 0, now, PATIENCE, &tried));
		assert_int_equal(tried.server, 0);
		servers_bad(&servers, &tried, now, "refused");
		assert_true(servers_next(&servers, 0, now + wait - 1, PATIENCE, &tried));
		assert_int_equal(tried.server, 1);
		now += wait;
		wait = wait * 2 > SERVERS_BACKOFF_MAX ? SERVERS_BACKOFF_MAX : wait * 2;
	}
	assert_true(servers_next(&servers, 0, now, PATIENCE, &tried));
	servers_good(&servers, &tried);
	assert_true(servers_next(&servers, 0, now, PATIENCE, &tried));
	assert_int_equal(tried.server, 0);
	assert_int_equal(tried.wait, 0);
}

static void failures_together_are_one(void **state)
{
	struct server_try first, second, later;

	assert_true(servers_next(&servers, 0, 0, PATIENCE, &first));
	assert_true(servers_next(&servers, 0, 0, PATIENCE, &second));
	servers_bad(&servers, &first, 100, "x");
	servers_bad(&servers, &second, 200, "x");
	assert_true(servers_next(&servers, 0, 100 + SERVERS_BACKOFF_MIN, PATIENCE, &later));
	assert_int_equal(later.server, 0);
}

static void one_worker_tries(void **state)
{
	struct server_try tried, other;

	assert_true(servers_next(&servers, 0, 0, PATIENCE, &tried));
	servers_bad(&servers, &tried, 0, "x");
	assert_true(servers_next(&servers, 0, SERVERS_BACKOFF_MIN, PATIENCE, &tried));
	assert_int_equal(tried.server, 0);
	assert_true(servers_next(&servers, 0, SERVERS_BACKOFF_MIN + 1, PATIENCE, &other));
	assert_int_equal(other.server, 1);
	/* it was never heard of again: another may try */
	assert_true(servers_next(&servers, 0, SERVERS_BACKOFF_MIN + PATIENCE, PATIENCE, &other));
	assert_int_equal(other.server, 0);
}

static void why_none_can_be_tried(void **state)
{
	struct server_try tried;
	char why[64];

	servers_why(&servers, why, sizeof(why));
	assert_string_equal(why, "");
	assert_true(servers_next(&servers, 0, 0, PATIENCE, &tried));
	servers_bad(&servers, &tried, 0, "refused");
	assert_true(servers_next(&servers, 1, 0, PATIENCE, &tried));
	servers_bad(&servers, &tried, 0, "silent");
	assert_false(servers_next(&servers, 0, 1, PATIENCE, &tried));
	servers_why(&servers, why, sizeof(why));
	assert_string_equal(why, "ldap://one: refused; ldap://two: silent");
	servers_why(&servers, why, 20);
	assert_string_equal(why, "ldap://one: refused");
}

static void too_many(void **state)
{
	struct err err;

	for (int i = 2; i < SERVERS_MAX; i++)
		assert_int_equal(servers_add(&servers, "ldap://x", &err), 0);
	assert_int_equal(servers_add(&servers, "ldap://x", &err), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(in_their_order, set_up),
		cmocka_unit_test_setup(one_that_fails_is_left_alone, set_up),
		cmocka_unit_test_setup(failures_together_are_one, set_up),
		cmocka_unit_test_setup(one_worker_tries, set_up),
		cmocka_unit_test_setup(why_none_can_be_tried, set_up),
		cmocka_unit_test_setup(too_many, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
