/* Records of the log: their form, and text from outside in them. */
#include "server/record.h"

#include "base/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const uint8_t address[16] = {[10] = 0xff, [11] = 0xff, [12] = 192, [14] = 2, [15] = 1};
static char line[LOG_LINE_MAX + 1];

static void keep(enum log_level level, const char *text, size_t size)
{
	(void)level;
	assert_true(size <= LOG_LINE_MAX);
	memcpy(line, text, size);
	line[size] = '\0';
}

static const char *written(const struct record *record)
{
	log_set_output(keep);
	record_write(record);
	log_set_output(NULL);
	return line;
}

static void test_address_and_session_come_first(void **state)
{
	struct record record;

	(void)state;
	record_begin(&record, RECORD_LOGIN, address, 0xabc, 7);
	record_text(&record, RECORD_KEY_USER, SPAN_LITERAL("alice"));
	record_number(&record, RECORD_KEY_LEFT, UINT64_MAX);
	record_words(&record, RECORD_KEY_REASON, "a reason");
	assert_string_equal(written(&record), "login from=192.0.2.1 session=abc-7 user=\"alice\" "
					      "left=18446744073709551615 reason=\"a reason\"");
}

static void test_addresses(void **state)
{
	static const uint8_t none[16], six[16] = {0x20, 1, 0xd, 0xb8, [15] = 1};
	char buf[64];

	(void)state;
	assert_string_equal(record_address(none, buf), "local");
	assert_string_equal(record_address(six, buf), "2001:db8::1");
	assert_string_equal(record_address(address, buf), "192.0.2.1");
}

static void test_text_from_outside_is_escaped(void **state)
{
	static const char name[] = "a\" from=6.6.6.6 \x1b\xc3\xa9\\x00\n\0z";
	struct record record;

	(void)state;
	record_begin(&record, RECORD_LOGIN_REFUSED, NULL, 1, 2);
	record_text(&record, RECORD_KEY_USER, (pop3_span){name, sizeof(name) - 1});
	assert_string_equal(written(&record),
			    "login-refused session=1-2 user=\"a\\x22\\x20from\\x3d6.6.6.6\\x20"
			    "\\x1b\\xc3\\xa9\\x5cx00\\x0a\\x00z\"");
}

static void test_long_values_are_cut_and_closed(void **state)
{
	static char name[5000];
	struct record record;

	(void)state;
	memset(name, ' ', sizeof(name));
	record_begin(&record, RECORD_DELIVERED, address, 1, 2);
	for (int i = 0; i < 8; i++)
		record_text(&record, RECORD_KEY_SENDER, (pop3_span){name, sizeof(name)});
	written(&record);
	assert_true(strlen(line) <= LOG_LINE_MAX);
	assert_non_null(strstr(line, "\\x20...\" sender=\"\\x20"));
}

static void test_quotes_in_own_words(void **state)
{
	struct record record;

	(void)state;
	record_begin(&record, RECORD_MAILDROP_FAILED, NULL, 1, 2);
	record_words(&record, RECORD_KEY_REASON, "x\" y\\z\n");
	assert_string_equal(written(&record),
			    "maildrop-failed session=1-2 reason=\"x\\x22 y\\x5cz\\x0a\"");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_address_and_session_come_first),
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_text_from_outside_is_escaped),
		cmocka_unit_test(test_long_values_are_cut_and_closed),
		cmocka_unit_test(test_quotes_in_own_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
