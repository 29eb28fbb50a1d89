/* Requests for keepers wait in order, each uid once, in bounds and not for ever. */
#include "server/monitor/owners.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static struct owner_home home = {3, {"anna", 4}};

static uint32_t next(struct owners *owners, uint64_t now)
{
	uint32_t uid = 0, root = 0;
	char *path;

	if (!owners_next(owners, now, &uid, &root, &path))
		return 0;
	assert_string_equal(path, "anna");
	assert_int_equal(root, 3);
	free(path);
	return uid;
}

static void test_in_order_each_once(void **state)
{
	struct owners owners = {0};

	(void)state;
	assert_true(owners_wait(&owners, 7, home, 0));
	assert_true(owners_wait(&owners, 5, home, 1));
	assert_true(owners_wait(&owners, 7, home, 2));
	assert_true(owners_anything_waits(&owners));
	assert_int_equal(next(&owners, 3), 7);
	assert_int_equal(next(&owners, 3), 5);
	assert_int_equal(next(&owners, 3), 0);
	assert_false(owners_anything_waits(&owners));
}

static void test_not_for_ever(void **state)
{
	struct owners owners = {0};

	(void)state;
	owners_wait(&owners, 7, home, 0);
	owners_wait(&owners, 5, home, 20000);
	owners_wait(&owners, 3, home, 20000);
	assert_int_equal(next(&owners, 30001), 5);
	owners_wait(&owners, 3, home, 49000); /* it is asked for again */
	assert_int_equal(next(&owners, 60000), 3);
	assert_int_equal(next(&owners, 60000), 0);
}

static void test_in_bounds(void **state)
{
	struct owners owners = {0};
	uint32_t uid = 0;

	(void)state;
	while (owners_wait(&owners, uid + 1, home, 0))
		uid++;
	assert_int_equal(uid, 1024);
	assert_true(owners_wait(&owners, 1, home, 0)); /* one that waits already */
	assert_int_equal(next(&owners, 0), 1);
	assert_true(owners_wait(&owners, uid + 1, home, 0));
	owners_finish(&owners);
	assert_false(owners_anything_waits(&owners));
}

static void test_failures_stop_for_a_while(void **state)
{
	struct owners owners = {0};

	(void)state;
	for (int i = 0; i < 32; i++) {
		assert_false(owners_fail(&owners, 20000));
		owners_note_failure(&owners, 20000);
	}
	assert_true(owners_fail(&owners, 20000));
	assert_true(owners_fail(&owners, 30000));
	assert_false(owners_fail(&owners, 30001));
	owners_note_failure(&owners, 30001);
	assert_false(owners_fail(&owners, 30001));
}

static void test_the_keeper_of_an_owner(void **state)
{
	struct slot of_mail = {.uid = 7, .role = ROLE_KEEPER};
	struct slot first = {.uid = 5, .role = ROLE_KEEPER, .on_demand = true};
	struct slot second = {.uid = 7, .role = ROLE_KEEPER, .on_demand = true};

	(void)state;
	of_mail.next = &first;
	assert_null(owners_find(&of_mail, 7)); /* that one is the group's */
	first.next = &second;
	assert_ptr_equal(owners_find(&of_mail, 7), &second);
	assert_null(owners_find(&of_mail, 9));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_in_order_each_once),
		cmocka_unit_test(test_not_for_ever),
		cmocka_unit_test(test_in_bounds),
		cmocka_unit_test(test_failures_stop_for_a_while),
		cmocka_unit_test(test_the_keeper_of_an_owner),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
