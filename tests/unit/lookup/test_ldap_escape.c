/* Values in filters and in names of entries; what may stand as filter and attribute. */
#include "lookup/ldap/escape.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

static const char *escaped(int (*escape)(pop3_span, char *, size_t), const char *value, size_t size)
{
	static char buf[1024];
	int n = escape((pop3_span){value, size}, buf, sizeof(buf) - 1);

	assert_true(n >= 0);
	buf[n] = '\0';
	return buf;
}

static void plain_names_stay(void **state)
{
	const char *names[] = {"anna", "Anna.B-c_9@example.org", ""};

	for (size_t i = 0; i < 3; i++) {
		assert_string_equal(escaped(filter_escape, names[i], strlen(names[i])), names[i]);
		assert_string_equal(escaped(dn_escape, names[i], strlen(names[i])), names[i]);
	}
}

/* RFC 4515 section 3 and RFC 4514 section 2.4 name these; any octet may be written so. */
static void what_means_something_is_escaped(void **state)
{
	static const char special[] = "\0()*\\\"+,;<>=#/&|!~ \t\n\x7f";
	char wanted[4];

	for (size_t i = 0; i < sizeof(special) - 1; i++) {
		unsigned char c = (unsigned char)special[i];

		wanted[0] = '\\';
		wanted[1] = "0123456789abcdef"[c >> 4];
		wanted[2] = "0123456789abcdef"[c & 15];
		wanted[3] = '\0';
		assert_string_equal(escaped(filter_escape, &special[i], 1), wanted);
		assert_string_equal(escaped(dn_escape, &special[i], 1), wanted);
	}
	assert_string_equal(escaped(filter_escape, "*)(uid=*", 8), "\\2a\\29\\28uid\\3d\\2a");
	assert_string_equal(escaped(dn_escape, "\xc3\xa4,x", 4), "\\c3\\a4\\2cx");
}

static void what_does_not_fit_is_refused(void **state)
{
	char buf[8] = "-------";

	assert_int_equal(filter_escape((pop3_span){"((", 2}, buf, 7), 6);
	assert_int_equal(filter_escape((pop3_span){"((", 2}, buf, 6), -1);
	assert_int_equal(filter_escape((pop3_span){"abcd", 4}, buf, 3), -1);
	assert_int_equal(filter_escape((pop3_span){"", 0}, buf, 0), 0);
}

static void filters(void **state)
{
	const char *whole[] = {"(a=b)", "(&(a=b)(|(c=d)(e=f)))", "(a=\\29)"};
	const char *not_whole[] = {"",           "a=b", "(a=b",   "(a=b))",
				   "(a=b)(c=d)", ")(",  "(a=b) ", "()("};

	for (size_t i = 0; i < 3; i++)
		assert_true(filter_is_whole(whole[i]));
	for (size_t i = 0; i < 8; i++)
		assert_false(filter_is_whole(not_whole[i]));
}

static void attributes(void **state)
{
	const char *good[] = {"member", "2.5.4.31", "userPassword;x-a",
			      "memberOf:1.2.840.113556.1.4.1941:"};
	const char *bad[] = {"", "a b", "a)(b", "a=b", "*", ":dn:", "-a", "\xc3\xa4"};

	for (size_t i = 0; i < 4; i++)
		assert_true(attribute_is_valid(good[i]));
	for (size_t i = 0; i < 8; i++)
		assert_false(attribute_is_valid(bad[i]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plain_names_stay),
		cmocka_unit_test(what_means_something_is_escaped),
		cmocka_unit_test(what_does_not_fit_is_refused),
		cmocka_unit_test(filters),
		cmocka_unit_test(attributes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
