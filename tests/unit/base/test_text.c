/* Spans, numbers, escapes and encodings of src/base/text.c: exact results and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <cmocka.h>

#include "base/text.h"

static void test_number(void **state)
{
	static const struct {
		const char *text;
		uint64_t max;
		int result;
		uint64_t value;
	} cases[] = {
		{"0", 0, 0, 0},
		{"5", 3, -1, 0},
		{"9", 9, 0, 9},
		{"10", 9, -1, 0},
		{"18446744073709551615", UINT64_MAX, 0, UINT64_MAX},
		{"18446744073709551616", UINT64_MAX, -1, 0},
		{"99999999999999999999999", UINT64_MAX, -1, 0},
		{"256", 255, -1, 0},
		{"255", 255, 0, 255},
		{"007", 10, 0, 7},
		{"", 10, -1, 0},
		{"-1", 10, -1, 0},
		{"+1", 10, -1, 0},
		{" 1", 10, -1, 0},
		{"1x", 10, -1, 0},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t value = 77;

		assert_int_equal(span_number(span_of(cases[i].text), cases[i].max, &value),
				 cases[i].result);
		assert_int_equal(value, cases[i].result == 0 ? cases[i].value : 77);
	}
}

static void test_equal(void **state)
{
	pop3_span text = SPAN_LITERAL("userdb_uid");

	assert_true(span_equal(SPAN_LITERAL("abc"), span_of("abc")));
	assert_false(span_equal(SPAN_LITERAL("abc"), span_of("abC")));
	assert_false(span_equal(SPAN_LITERAL("abc"), span_of("ab")));
	assert_true(span_equal((pop3_span){NULL, 0}, span_of("")));
	assert_true(span_take_prefix(&text, SPAN_LITERAL("userdb_")));
	assert_true(span_equal(text, SPAN_LITERAL("uid")));
	assert_false(span_take_prefix(&text, SPAN_LITERAL("uidl"))); /* behind its end */
	assert_false(span_take_prefix(&text, SPAN_LITERAL("ui_")));
	assert_true(span_take_prefix(&text, (pop3_span){NULL, 0}));
	assert_true(span_take_prefix(&text, SPAN_LITERAL("uid")));
	assert_int_equal(text.size, 0);
	text = SPAN_LITERAL("a::b");
	assert_true(span_equal(span_take_until(&text, ':'), span_of("a")));
	assert_int_equal(span_take_until(&text, ':').size, 0);
	assert_true(span_equal(span_take_until(&text, ':'), span_of("b")));
	assert_int_equal(text.size, 0);
	assert_int_equal(span_take_until(&text, ':').size, 0);
	text = (pop3_span){NULL, 0};
	assert_int_equal(span_take_until(&text, ':').size, 0);
	assert_true(span_take_prefix(&text, (pop3_span){NULL, 0}));
	assert_null(text.data);
	assert_true(span_equal_nocase(span_of("Retr[`"), span_of("rETR[`")));
	assert_false(span_equal_nocase(span_of("a{"), span_of("a[")));
}

static void test_copy(void **state)
{
	char buf[4] = "xyz";

	assert_int_equal(span_copy(span_of("abcd"), buf, sizeof(buf)), -1);
	assert_int_equal(span_copy((pop3_span){"a\0b", 3}, buf, sizeof(buf)), -1);
	assert_string_equal(buf, "xyz");
	assert_int_equal(span_copy(span_of("abc"), buf, sizeof(buf)), 0);
	assert_string_equal(buf, "abc");
	assert_int_equal(span_copy((pop3_span){NULL, 0}, buf, sizeof(buf)), 0);
	assert_string_equal(buf, "");
}

/* Threats 28 and 58: no control character survives, and what is cut is seen to be. */
static void test_threat_28_escape(void **state)
{
	char buf[65];

	assert_int_equal(text_escape(buf, 64, (pop3_span){"a\r\n\x1b[1m\xc3\\\0~", 11}), 29);
	assert_string_equal(buf, "a\\x0d\\x0a\\x1b[1m\\xc3\\x5c\\x00~");
	for (size_t cap = 0; cap < 40; cap++) {
		memset(buf, '!', sizeof(buf));
		size_t n = text_escape(buf, cap, (pop3_span){"a\r\n\x1b[1m\xc3\\\0~", 11});

		assert_true(n <= cap);
		assert_int_equal(buf[n], '\0');
		assert_int_equal(buf[cap + 1], '!');
		if (cap >= 4 && cap < 29)
			assert_string_equal(buf + n - 3, "...");
	}
}

/* Text of other people's languages stays text; what steers a terminal, or hides, does not. */
static void test_threat_28_show(void **state)
{
	static const struct {
		const char *text, *shown;
	} cases[] = {
		{"plain", "plain"},
		{"caf\xc3\xa9", "caf\xc3\xa9"},
		{"\xe8\xaf\xb7\xe6\xb1\x82", "\xe8\xaf\xb7\xe6\xb1\x82"},
		{"\xf0\x9f\x93\xae", "\xf0\x9f\x93\xae"},
		{"a\\b", "a\\x5cb"},
		{"\x1b[2J", "\\x1b[2J"},
		{"\xc2\x9b"
		 "31m",
		 "\\xc2\\x9b31m"},                   /* C1: CSI */
		{"\xe2\x80\xae", "\\xe2\\x80\\xae"}, /* from right to left */
		{"\xe2\x81\xa6", "\\xe2\\x81\\xa6"}, /* isolates */
		{"\xef\xbb\xbf", "\\xef\\xbb\\xbf"}, /* mark */
		{"\xed\xa0\x80", "\\xed\\xa0\\x80"}, /* surrogate */
		{"\xc0\xaf", "\\xc0\\xaf"},          /* longer than need be */
		{"\xe0\x80\xaf", "\\xe0\\x80\\xaf"},
		{"\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80"}, /* beyond Unicode */
		{"\xf3\xa0\x81\x81", "\\xf3\\xa0\\x81\\x81"}, /* tags */
		{"\xe8\xaf", "\\xe8\\xaf"},                   /* cut */
		{"\x80\xff", "\\x80\\xff"},
	};
	char buf[64];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		pop3_span text = span_of(cases[i].text);

		assert_int_equal(text_show(buf, 63, text), strlen(cases[i].shown));
		assert_string_equal(buf, cases[i].shown);
		for (size_t cap = 0; cap < 12; cap++) /* cut, never in the middle of a character */
			assert_true(text_show(buf, cap, text) <= cap);
	}
	text_show(buf, 6, SPAN_LITERAL("\xe8\xaf\xb7\xe6\xb1\x82\xe8\xaf\xb7"));
	assert_string_equal(buf, "\xe8\xaf\xb7...");
}

static void test_base64(void **state)
{
	static const struct {
		const char *plain, *encoded;
	} good[] = {{"", ""},        {"f", "Zg=="},        {"fo", "Zm8="},
		    {"foo", "Zm9v"}, {"foob", "Zm9vYg=="}, {"\xff\xfe\xfd", "//79"}};
	static const char *const bad[] = {"Z",    "Zg",   "Zg=",    "Z===", "====", "Zg==Zg==",
					  "Zh==", "Zm9=", "Zm9v\n", " Zm9", "Zm-v", "Zm_v"};
	char buf[16];

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_int_equal(base64_encode(span_of(good[i].plain), buf, sizeof(buf)),
				 strlen(good[i].encoded));
		assert_string_equal(buf, good[i].encoded);
		assert_int_equal(base64_decode(span_of(good[i].encoded), buf, sizeof(buf)),
				 strlen(good[i].plain));
		assert_memory_equal(buf, good[i].plain, strlen(good[i].plain));
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(base64_decode(span_of(bad[i]), buf, sizeof(buf)), -1);
	assert_int_equal(base64_encode(span_of("foo"), buf, 4), -1);
	assert_int_equal(base64_encode(span_of("foo"), buf, 5), 4);
	assert_int_equal(base64_decode(span_of("Zm9v"), buf, 2), -1);
	assert_int_equal(base64_decode(span_of("Zm9v"), buf, 3), 3);
}

static void test_hex(void **state)
{
	char buf[9];

	hex_encode((const unsigned char *)"\x00\x7f\x80\xff", 4, buf);
	assert_string_equal(buf, "007f80ff");
}

/* As inet_ntop writes it: each octet in each place. */
static void test_dotted(void **state)
{
	char buf[16], wanted[INET_ADDRSTRLEN];

	(void)state;
	for (unsigned place = 0; place < 4; place++)
		for (unsigned value = 0; value < 256; value++) {
			uint8_t octets[4] = {192, 0, 9, 10};

			octets[place] = (uint8_t)value;
			memset(buf, 'x', sizeof(buf));
			text_dotted(octets, buf);
			assert_non_null(inet_ntop(AF_INET, octets, wanted, sizeof(wanted)));
			assert_string_equal(buf, wanted);
		}
	text_dotted((const uint8_t[]){255, 255, 255, 255}, buf);
	assert_string_equal(buf, "255.255.255.255");
}

static void test_pairs(void **state)
{
	static const char text[] = "a\0one\0\0two\0b\0\0c\0cut";
	pop3_span rest = {text, sizeof(text) - 1};
	const char *name, *value;

	(void)state;
	assert_true(text_take_pair(&rest, &name, &value));
	assert_string_equal(name, "a");
	assert_string_equal(value, "one");
	assert_true(text_take_pair(&rest, &name, &value));
	assert_string_equal(name, "");
	assert_string_equal(value, "two");
	assert_true(text_take_pair(&rest, &name, &value));
	assert_string_equal(name, "b");
	assert_string_equal(value, "");
	assert_false(text_take_pair(&rest, &name, &value));
	assert_int_equal(rest.size, 5); /* one that was cut */
	rest.size = 1;
	assert_false(text_take_pair(&rest, &name, &value));
	rest = (pop3_span){0};
	assert_false(text_take_pair(&rest, &name, &value));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pairs),
		cmocka_unit_test(test_number),
		cmocka_unit_test(test_equal),
		cmocka_unit_test(test_copy),
		cmocka_unit_test(test_threat_28_escape),
		cmocka_unit_test(test_threat_28_show),
		cmocka_unit_test(test_base64),
		cmocka_unit_test(test_hex),
		cmocka_unit_test(test_dotted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
