/* Names of users: which there may be, which get mail, which are the same. */
#include "users/names.h"

#include "base/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void test_only_ascii_letters_fold(void **state)
{
	char in[256], out[256];

	(void)state;
	for (int i = 0; i < 256; i++)
		in[i] = (char)i;
	assert_int_equal(user_name_key((pop3_span){in, sizeof(in)}, out).size, sizeof(in));
	for (int i = 0; i < 256; i++)
		assert_int_equal((unsigned char)out[i], i >= 'A' && i <= 'Z' ? i + 32 : i);
	/* in its own place, and nothing changes the second time */
	(void)user_name_key((pop3_span){in, sizeof(in)}, in);
	assert_memory_equal(in, out, sizeof(in));
	(void)user_name_key((pop3_span){in, sizeof(in)}, in);
	assert_memory_equal(in, out, sizeof(in));
}

static void test_which_are_the_same(void **state)
{
	static const struct {
		const char *a, *b;
		bool same;
	} pairs[] = {
		{"carol", "Carol", true},
		{"Carol@Example.ORG", "cAROL@eXAMPLE.org", true},
		{"", "", true},
		{"carol", "carola", false},
		{"carol", "carob", false},
		{"a[", "a{", false}, /* these differ by the bit that letters do */
		{"a@", "a`", false},
		{"\xc3\x89mile", "\xc3\xa9mile", false},
		{"\xc3\x89MILE", "\xc3\x89mile", true},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		pop3_span a = span_of(pairs[i].a), b = span_of(pairs[i].b);

		if (user_name_same(a, b) != pairs[i].same || user_name_same(b, a) != pairs[i].same)
			fail_msg("%s and %s", pairs[i].a, pairs[i].b);
		if (pairs[i].same)
			assert_int_equal(user_name_hash(a), user_name_hash(b));
	}
	assert_int_not_equal(user_name_hash(span_of("carol")), user_name_hash(span_of("carob")));
}

static void test_which_get_mail(void **state)
{
	static const char *const good[] = {
		"carol",  "Carol@Example.ORG", "foo..bar", "foo.@example.org", "\xc3\xa9mile",
		"a@b@c",  "we;ird\"\\",        "%{home}",  "x'or'1'='1",       "a@[127.0.0.1]",
		"a@b_c.d"};
	static const char *const bad[] = {"a@",       "a@b..c",   "a@b.", "@b",   "a@-b",
					  "\xe9mile", "\xc2\x85", "a@b!", "\"\"@"};
	char longest[USER_NAME_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		if (!user_name_valid(span_of(good[i])) || !user_name_addressable(span_of(good[i])))
			fail_msg("%s gets none", good[i]);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (user_name_addressable(span_of(bad[i])))
			fail_msg("%s gets some", bad[i]);
	memset(longest, 'x', sizeof(longest));
	assert_true(user_name_addressable((pop3_span){longest, sizeof(longest)}));
	/* in quotes it is longer than a local part may be */
	memset(longest, ';', sizeof(longest));
	assert_false(user_name_addressable((pop3_span){longest, sizeof(longest)}));
	assert_true(user_name_addressable((pop3_span){longest, sizeof(longest) - 2}));
}

static void test_a_byte_order_mark_is_no_part_of_a_name(void **state)
{
	(void)state;
	assert_false(user_name_valid(span_of("\xef\xbb\xbfwho")));
	assert_true(user_name_valid(span_of("\xef\xbc\xa1who")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_only_ascii_letters_fold),
		cmocka_unit_test(test_which_are_the_same),
		cmocka_unit_test(test_which_get_mail),
		cmocka_unit_test(test_a_byte_order_mark_is_no_part_of_a_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
