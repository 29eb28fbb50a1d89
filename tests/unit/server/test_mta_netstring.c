/* Netstrings: whole, in part, and what is none. */
#include "server/mta/netstring.h"

#include "base/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static pop3_span content;
static size_t taken;

static enum netstring_status parse(const char *text, size_t size)
{
	return netstring_parse((pop3_span){text, size}, &content, &taken);
}

static void test_whole(void **state)
{
	(void)state;
	assert_int_equal(parse("5:hello,3:you,", 14), NETSTRING_WHOLE);
	assert_int_equal(taken, 8);
	assert_true(span_equal(content, SPAN_LITERAL("hello")));
	assert_int_equal(parse("0:,", 3), NETSTRING_WHOLE);
	assert_int_equal(content.size, 0);
	assert_int_equal(taken, 3);
}

static void test_every_part_needs_more(void **state)
{
	const char text[] = "12:hello, world,";

	(void)state;
	for (size_t n = 0; n < sizeof(text) - 1; n++)
		assert_int_equal(parse(text, n), NETSTRING_MORE);
	assert_int_equal(parse(text, sizeof(text) - 1), NETSTRING_WHOLE);
}

static void test_bad(void **state)
{
	static const char *const rows[] = {"x",        ":",        ",",
					   "5;hello,", "5:hello;", "05:",
					   "00:,",     "1025:x",   "99999999999999999999:",
					   "-1:",      " 1:x,"};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(parse(rows[i], strlen(rows[i])), NETSTRING_BAD);
}

static void test_the_longest_fits_the_room(void **state)
{
	static char text[NETSTRING_ROOM];
	int n = snprintf(text, sizeof(text), "%d:", NETSTRING_MAX);

	(void)state;
	memset(text + n, 'x', NETSTRING_MAX);
	text[n + NETSTRING_MAX] = ',';
	assert_int_equal(parse(text, (size_t)n + NETSTRING_MAX + 1), NETSTRING_WHOLE);
	assert_int_equal(content.size, NETSTRING_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_whole),
		cmocka_unit_test(test_every_part_needs_more),
		cmocka_unit_test(test_bad),
		cmocka_unit_test(test_the_longest_fits_the_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
