/* The memory of LOGIN-DELAY: bounds in time and in users. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/text.h"
#include "server/auth/login_delays.h"

static struct recent *delays;

static int begin(void **state)
{
	struct err err;

	(void)state;
	return recent_create(64, &delays, &err);
}

static int over(void **state)
{
	(void)state;
	recent_destroy(delays);
	return 0;
}

static void a_delay_ends(void **state)
{
	pop3_span anna = span_of("anna");

	(void)state;
	assert_false(login_delays_has(delays, anna, 60, 0));
	login_delays_put(delays, anna, 0); /* a clock may begin at 0 */
	assert_true(login_delays_has(delays, anna, 60, 0));
	assert_true(login_delays_has(delays, anna, 60, 59999));
	assert_false(login_delays_has(delays, anna, 60, 60000));
	assert_false(login_delays_has(delays, anna, 0, 0));
	assert_true(login_delays_has(delays, anna, 86400, 86399000));
	login_delays_put(delays, anna, 60000);
	assert_true(login_delays_has(delays, anna, 60, 100000));
}

static void a_user_has_one_in_any_case(void **state)
{
	(void)state;
	login_delays_put(delays, span_of("Anna@Example.org"), 1000);
	assert_true(login_delays_has(delays, span_of("anna@example.ORG"), 60, 2000));
	assert_false(login_delays_has(delays, span_of("annb@example.org"), 60, 2000));
	login_delays_forget(delays, span_of("annb@example.org"));
	assert_true(login_delays_has(delays, span_of("Anna@Example.org"), 60, 2000));
	login_delays_forget(delays, span_of("ANNA@example.org"));
	assert_false(login_delays_has(delays, span_of("Anna@Example.org"), 60, 2000));
}

/* Users without number take no more memory: those that logged in least recently are forgotten. */
static void users_without_number(void **state)
{
	char name[32];
	unsigned known = 0;

	(void)state;
	for (unsigned i = 0; i < 10000; i++) {
		snprintf(name, sizeof(name), "user%u", i);
		login_delays_put(delays, span_of(name), i);
		assert_true(login_delays_has(delays, span_of(name), 60, i));
	}
	for (unsigned i = 0; i < 10000; i++) {
		snprintf(name, sizeof(name), "user%u", i);
		known += login_delays_has(delays, span_of(name), 60, 10000);
	}
	assert_int_equal(known, 64);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_delay_ends, begin, over),
		cmocka_unit_test_setup_teardown(a_user_has_one_in_any_case, begin, over),
		cmocka_unit_test_setup_teardown(users_without_number, begin, over),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
