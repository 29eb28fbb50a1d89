/* Members of an event as a child writes them, and what is none. */
#include "server/monitor/event_members.h"

#include "base/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "server/record_form.h"

static bool valid(const char *text)
{
	return event_members_valid(span_of(text));
}

static void test_what_a_record_makes_is_valid(void **state)
{
	static const uint8_t six[16] = {0x20, 1, 0xd, 0xb8, [15] = 1};
	static const uint8_t fields[] = {RECORD_KEY_USER,
					 13,
					 RECORD_TEXT << 14 >> 8,
					 'a',
					 '"',
					 '\\',
					 '\n',
					 0,
					 0xc3,
					 0xa9,
					 0xff,
					 0xf0,
					 0x9f,
					 0x98,
					 0x80,
					 '}',
					 RECORD_KEY_REASON,
					 2,
					 RECORD_WORDS << 14 >> 8,
					 'o',
					 'k',
					 RECORD_KEY_SIZE,
					 2,
					 0,
					 1,
					 1};
	struct record_view view = {.event = RECORD_LOGIN,
				   .address = six,
				   .has_session = true,
				   .front = UINT64_MAX,
				   .session = UINT64_MAX,
				   .fields = fields,
				   .size = sizeof(fields)};
	char json[RECORD_JSON_MAX + 1];

	(void)state;
	json[record_json(&view, json)] = '\0';
	assert_string_equal(json,
			    "\"event\":\"login\",\"from\":\"2001:db8::1\","
			    "\"session\":\"ffffffffffffffff-18446744073709551615\","
			    "\"user\":\"a\\\"\\\\\\u000a\\u0000\\u00e9\\ufffd\\ud83d\\ude00}\","
			    "\"reason\":\"ok\",\"size\":257");
	assert_true(valid(json));
}

static void test_the_longest_record_is_valid(void **state)
{
	static uint8_t fields[LOG_LINE_MAX];
	struct record_view view = {.event = RECORD_DELIVERED, .fields = fields};
	char json[RECORD_JSON_MAX];
	size_t size;

	(void)state;
	memset(fields, 0xff, sizeof(fields));
	for (unsigned i = 0; i < 3; i++) {
		record_put_head(fields + view.size, RECORD_KEY_SENDER, RECORD_TEXT_CUT,
				RECORD_TEXT_MAX);
		view.size += RECORD_FIELD_HEAD + RECORD_TEXT_MAX;
	}
	size = record_json(&view, json);
	assert_in_range(size, 2500, RECORD_JSON_MAX);
	assert_true(event_members_valid((pop3_span){json, size}));
}

static void test_threat_119_what_would_be_another_object(void **state)
{
	static const char *const lines[] = {
		"",
		"\"event\":\"login\"}",
		"\"event\":\"login\"},{\"event\":\"kicked\"",
		"\"event\":\"login\",",
		"\"event\":\"login\",\"a\":{}",
		"\"event\":\"login\",\"a\":[1]",
		"\"event\":\"login\",\"a\":-1",
		"\"event\":\"login\",\"a\":1e9",
		"\"event\":\"login\",\"a\":123456789012345678901",
		"\"event\":\"login\",\"a\":",
		"\"event\":\"login\",\"a\":\"x",
		"\"event\":\"login\",\"a\":\"\\x\"",
		"\"event\":\"login\",\"a\":\"\\u00g0\"",
		"\"event\":\"login\",\"a\":\"\\u00",
		"\"event\":\"login\",\"a\":\"\t\"",
		"\"event\":\"login\",\"a\":\"\x7f\"",
		"\"event\":\"login\",\"time\":\"1970-01-01T00:00:00.000Z\"",
		"\"event\":\"login\",\"process\":\"auth0[1]\"",
		"\"event\":\"login\",\"v\":2",
		"\"event\":\"login\", \"a\":1",
		"\"event\":\"login\",\"A\":1",
		"\"user\":\"x\",\"event\":\"login\"",
		"\"event\":1",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		if (valid(lines[i]))
			fail_msg("%s", lines[i]);
	assert_true(valid("\"event\":\"login\",\"a\":1"));
	assert_true(valid("\"event\":\"login\",\"a\":18446744073709551615"));
	assert_false(valid("\"event\":\"login\",\"a\":184467440737095516150"));
	assert_true(valid("\"event\":\"login\",\"az-\":0"));
	assert_false(event_members_valid((pop3_span){"\"event\":\"a\0b\"", 13}));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_a_record_makes_is_valid),
		cmocka_unit_test(test_the_longest_record_is_valid),
		cmocka_unit_test(test_threat_119_what_would_be_another_object),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
