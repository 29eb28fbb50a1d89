/* Secrets: in place, bounded, compared in full, wiped as a whole. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/secret.h"

static void test_set_and_bounds(void **state)
{
	static char text[SECRET_MAX + 1];
	static struct secret secret;

	secret_init(&secret);
	memset(text, 'x', sizeof(text));
	assert_int_equal(secret_set(&secret, (pop3_span){"a\0b", 3}), 0);
	assert_int_equal(secret.size, 3);
	assert_memory_equal(secret.bytes, "a\0b", 4);
	assert_int_equal(secret_set(&secret, (pop3_span){text, SECRET_MAX + 1}), -1);
	assert_int_equal(secret.size, 3);
	assert_int_equal(secret_set(&secret, (pop3_span){text, SECRET_MAX}), 0);
	assert_int_equal(secret.bytes[SECRET_MAX], '\0');
	secret_finish(&secret);
}

static void test_finish_leaves_nothing(void **state)
{
	static struct secret secret;

	secret_init(&secret);
	secret_set(&secret, (pop3_span){"a long secret", 13});
	secret_set(&secret, (pop3_span){"short", 5});
	secret_finish(&secret);
	assert_int_equal(secret.size, 0);
	for (size_t i = 0; i < sizeof(secret.bytes); i++)
		assert_int_equal(secret.bytes[i], 0);
}

static void test_equal(void **state)
{
	assert_true(secret_equal((pop3_span){"abc", 3}, (pop3_span){"abc", 3}));
	assert_false(secret_equal((pop3_span){"abc", 3}, (pop3_span){"abd", 3}));
	assert_false(secret_equal((pop3_span){"abc", 3}, (pop3_span){"xbc", 3}));
	assert_false(secret_equal((pop3_span){"abc", 3}, (pop3_span){"ab", 2}));
	assert_false(secret_equal((pop3_span){"a\0b", 3}, (pop3_span){"a\0c", 3}));
	assert_true(secret_equal((pop3_span){NULL, 0}, (pop3_span){NULL, 0}));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_set_and_bounds),
		cmocka_unit_test(test_finish_leaves_nothing),
		cmocka_unit_test(test_equal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
