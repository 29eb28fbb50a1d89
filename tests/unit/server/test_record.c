/* Records of the log: their form, and text from outside in them. */
#include "server/record.h"

#include "base/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <stdio.h>

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

/* Each octet, alone: as it is, or as \xHH. */
static void test_which_octets_of_text_stay(void **state)
{
	static const char stays[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "0123456789@._+-";
	char expected[100];

	(void)state;
	for (unsigned c = 0; c < 256; c++) {
		struct record record;
		char text = (char)c;

		record_begin(&record, RECORD_LOGIN, NULL, 1, 2);
		record_text(&record, RECORD_KEY_USER, (pop3_span){&text, 1});
		if (c && strchr(stays, (int)c))
			snprintf(expected, sizeof(expected), "login session=1-2 user=\"%c\"",
				 (int)c);
		else
			snprintf(expected, sizeof(expected), "login session=1-2 user=\"\\x%02x\"",
				 c);
		assert_string_equal(written(&record), expected);
	}
}

/* Our own words are printable, and have quotes and backslashes as \xHH alone. */
static void test_which_octets_of_words_stay(void **state)
{
	char expected[100];

	(void)state;
	for (unsigned c = 1; c < 256; c++) {
		const char words[] = {(char)c, '\0'};
		bool plain = c >= ' ' && c <= '~' && c != '"' && c != '\\';
		struct record record;

		record_begin(&record, RECORD_LOGIN_REFUSED, NULL, 1, 2);
		record_words(&record, RECORD_KEY_REASON, words);
		snprintf(expected, sizeof(expected),
			 plain ? "login-refused session=1-2 reason=\"%c\""
			       : "login-refused session=1-2 "
				 "reason=\"\\x%02x\"",
			 c);
		assert_string_equal(written(&record), expected);
	}
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

static char sums[8][LOG_LINE_MAX + 1];
static unsigned lines, sum_count;

static void count(enum log_level level, const char *text, size_t size)
{
	lines++;
	if (strncmp(text, "summed-up ", 10) != 0)
		return;
	assert_int_equal(level, LOG_LEVEL_INFO);
	assert_true(sum_count < 8);
	memcpy(sums[sum_count], text, size);
	sums[sum_count++][size] = '\0';
}

static void refuse(const uint8_t from[16], enum record_event event, unsigned times)
{
	for (unsigned i = 0; i < times; i++) {
		struct record record;

		record_begin(&record, event, from, 1, i);
		record_write(&record);
	}
}

static void test_lines_of_strangers_are_summed_up(void **state)
{
	static const uint8_t none[16], six[16] = {0x20, 1, 0xd, 0xb8, [15] = 1};
	struct err err;
	struct loop *loop = loop_create(&err);

	(void)state;
	lines = sum_count = 0;
	log_set_output(count);
	record_start(loop);
	refuse(address, RECORD_LOGIN_REFUSED, 30);
	refuse(none, RECORD_LOGIN_REFUSED, 20);
	refuse(six, RECORD_STRANGER_END, 12);
	refuse(address, RECORD_SESSION_END, 30); /* of users: all are written */
	for (int i = 0; i < 11; i++)
		assert_int_equal(record_may(RECORD_CHANNEL_GONE, NULL), i < 10);
	assert_int_equal(lines, 3 * 10 + 30);
	record_finish();
	log_set_output(NULL);
	assert_int_equal(sum_count, 4);
	for (unsigned i = 0; i < sum_count; i++) {
		char wanted[4][90] = {
			"summed-up from=192.0.2.1 lines=20 seconds=0 of=\"login-refused\"",
			"summed-up from=local lines=10 seconds=0 of=\"login-refused\"",
			"summed-up from=2001:db8::/64 lines=2 seconds=0 of=\"session-end\"",
			"summed-up lines=1 seconds=0 of=\"channel-gone\""};
		bool found = false;

		for (unsigned k = 0; k < 4; k++)
			found = found || strcmp(sums[i], wanted[k]) == 0;
		if (!found)
			fail_msg("%s", sums[i]);
	}
	loop_destroy(loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_address_and_session_come_first),
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_text_from_outside_is_escaped),
		cmocka_unit_test(test_long_values_are_cut_and_closed),
		cmocka_unit_test(test_which_octets_of_text_stay),
		cmocka_unit_test(test_which_octets_of_words_stay),
		cmocka_unit_test(test_quotes_in_own_words),
		cmocka_unit_test(test_lines_of_strangers_are_summed_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
