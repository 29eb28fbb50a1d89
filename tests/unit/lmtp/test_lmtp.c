/*
 * The LMTP machine where dialogues (tests/transcripts/lmtp_*.txt) don't reach: addresses and UTF-8
 * by table, trace headers and dates, outcomes that arrive out of order, ends in the middle.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/text.h"
#include "lmtp/address.h"
#include "lmtp/headers.h"
#include "lmtp/lmtp.h"

/* --- addresses --- */

static const struct {
	const char *text;
	bool bare_local, utf8;
	enum lmtp_address_status status;
	const char *unquoted;
} addresses[] = {
	{"a@b", false, false, LMTP_ADDRESS_OK, "a@b"},
	{"A.B+c@Example.ORG", false, false, LMTP_ADDRESS_OK, "A.B+c@example.org"},
	{"#!%&'*/=?^_`{|}~-@b", false, false, LMTP_ADDRESS_OK, "#!%&'*/=?^_`{|}~-@b"},
	{"\"a b\"@c", false, false, LMTP_ADDRESS_OK, "a b@c"},
	{"\"a\\\"b\\\\\"@c", false, false, LMTP_ADDRESS_OK, "a\"b\\@c"},
	{"\"a@b\"@c", false, false, LMTP_ADDRESS_OK, "a@b@c"},
	{"\"\"@c", false, false, LMTP_ADDRESS_OK, "@c"},
	{"a@[192.0.2.1]", false, false, LMTP_ADDRESS_OK, "a@[192.0.2.1]"},
	{"a@[IPv6:2001:db8::1]", false, false, LMTP_ADDRESS_OK, "a@[ipv6:2001:db8::1]"},
	{"a@my_host", false, false, LMTP_ADDRESS_OK, "a@my_host"},
	{"a@1-2.b", false, false, LMTP_ADDRESS_OK, "a@1-2.b"},
	{"postmaster", true, false, LMTP_ADDRESS_OK, "postmaster"},
	{"\"post master\"", true, false, LMTP_ADDRESS_OK, "post master"},
	{"\xc3\xa9@b", false, true, LMTP_ADDRESS_OK, "\xc3\xa9@b"},
	{"a@b\xc3\xbc"
	 "cher",
	 false, true, LMTP_ADDRESS_OK,
	 "a@b\xc3\xbc"
	 "cher"},
	{"\"\xc3\xa9 e\"@b", false, true, LMTP_ADDRESS_OK, "\xc3\xa9 e@b"},

	/* names of mailboxes that the grammar has only in quotes */
	{".a@b", true, false, LMTP_ADDRESS_OK, ".a@b"},
	{"a.@b", true, false, LMTP_ADDRESS_OK, "a.@b"},
	{"a..b@c", true, false, LMTP_ADDRESS_OK, "a..b@c"},
	{"\"a..b\"@c", true, false, LMTP_ADDRESS_OK, "a..b@c"},
	{"a..b", true, false, LMTP_ADDRESS_OK, "a..b"},

	{"", true, true, LMTP_ADDRESS_BAD, NULL},
	{"postmaster", false, false, LMTP_ADDRESS_BAD, NULL},
	{"@b", true, false, LMTP_ADDRESS_BAD, NULL},
	{"a@", true, false, LMTP_ADDRESS_BAD, NULL},
	{"a@b@c", true, false, LMTP_ADDRESS_BAD, NULL},
	{"a b@c", true, false, LMTP_ADDRESS_BAD, NULL},
	{".@b", true, false, LMTP_ADDRESS_BAD, NULL},
	{"..@b", true, false, LMTP_ADDRESS_BAD, NULL},
	{"a(b)@c", true, false, LMTP_ADDRESS_BAD, NULL},
	{"a<b@c", true, false, LMTP_ADDRESS_BAD, NULL},
	{"\"a@b", true, false, LMTP_ADDRESS_BAD, NULL},
	{"\"a\\", true, false, LMTP_ADDRESS_BAD, NULL},
	{"\"a\\\"", true, false, LMTP_ADDRESS_BAD, NULL},
	{"\"a\"b@c", true, false, LMTP_ADDRESS_BAD, NULL},
	{"\"a\r\nb\"@c", true, true, LMTP_ADDRESS_BAD, NULL},
	{"\"a\\\nb\"@c", true, true, LMTP_ADDRESS_BAD, NULL},
	{"\"a\x7f\"@c", true, true, LMTP_ADDRESS_BAD, NULL},
	{"a\t@c", true, true, LMTP_ADDRESS_BAD, NULL},
	{"a@b.", true, false, LMTP_ADDRESS_BAD, NULL},
	{"a@.b", true, false, LMTP_ADDRESS_BAD, NULL},
	{"a@b..c", true, false, LMTP_ADDRESS_BAD, NULL},
	{"a@-b", true, false, LMTP_ADDRESS_BAD, NULL},
	{"a@b-", true, false, LMTP_ADDRESS_BAD, NULL},
	{"a@b-.c", true, false, LMTP_ADDRESS_BAD, NULL},
	{"a@b c", true, false, LMTP_ADDRESS_BAD, NULL},
	{"a@[]", true, false, LMTP_ADDRESS_BAD, NULL},
	{"a@[1", true, false, LMTP_ADDRESS_BAD, NULL},
	{"a@[1]]", true, false, LMTP_ADDRESS_BAD, NULL},
	{"\xc3\xa9@b", true, false, LMTP_ADDRESS_NOT_ASCII, NULL},
	{"a@\xc3\xa9", true, false, LMTP_ADDRESS_NOT_ASCII, NULL},
	{"\xc3@b", true, true, LMTP_ADDRESS_BAD, NULL},
	{"\xc2\x85@b", true, true, LMTP_ADDRESS_BAD, NULL}, /* U+0085, a line end to some */
	{"\"\\\xc3\xa9\"@b", true, true, LMTP_ADDRESS_BAD, NULL},
};

static void addresses_by_table(void **state)
{
	for (size_t i = 0; i < sizeof(addresses) / sizeof(*addresses); i++) {
		struct lmtp_address address = {{NULL, 7}, {NULL, 8}};
		pop3_span text = span_of(addresses[i].text);
		char out[LMTP_ADDRESS_MAX];
		int status = lmtp_address_check(text, addresses[i].bare_local, addresses[i].utf8,
						&address);

		if (status != (int)addresses[i].status)
			fail_msg("%s: %d", addresses[i].text, status);
		if (status != LMTP_ADDRESS_OK) {
			assert_int_equal(address.local.size, 7); /* untouched */
			continue;
		}
		size_t n = lmtp_address_unquote(&address, out);

		if (!span_equal((pop3_span){out, n}, span_of(addresses[i].unquoted)))
			fail_msg("%s: unquoted %.*s", addresses[i].text, (int)n, out);
	}
}

static const struct {
	const char *text;
	bool writable;
} senders[] = {
	{"", true},
	{"a", true},
	{"a..b@c", true},
	{".a.@c.", true},
	{"a@", true},
	{"a@-b..c", true},
	{"a@[IPv6:::1]", true},
	{"a@b@c", true},
	{"\"a b\\\"<>,\"@c", true},
	{"\"a\\\\\"@c", true},
	{"\xc3\xa9@b", true},
	{"a b@c", false},
	{"a>b@c", false},
	{"a<b@c", false},
	{"a,b@c", false},
	{"a(b)@c", false},
	{"a\\b@c", false},
	{"\"a@b", false},
	{"\"a\\\"@b", false},
	{"\"a\\\\\" b\"@c", false},
	{"a\r\nX: y@c", false},
	{"\"a\r\nX: y\"@c", false},
	{"\"\\\n\"@c", false},
	{"a\x7f@c", false},
	{"\xc3@b", false},
	{"\xc2\x85@b", false},
};

static void senders_by_table(void **state)
{
	char text[LMTP_SENDER_MAX + 1];

	for (size_t i = 0; i < sizeof(senders) / sizeof(*senders); i++)
		if (lmtp_sender_writable(span_of(senders[i].text)) != senders[i].writable)
			fail_msg("%zu: %s", i, senders[i].text);
	assert_false(lmtp_sender_writable((pop3_span){"a\0b@c", 5}));
	memset(text, 'l', sizeof(text));
	assert_true(lmtp_sender_writable((pop3_span){text, LMTP_SENDER_MAX}));
	assert_false(lmtp_sender_writable((pop3_span){text, LMTP_SENDER_MAX + 1}));
}

static void address_lengths(void **state)
{
	struct lmtp_address address;
	char text[LMTP_LOCAL_PART_MAX + LMTP_DOMAIN_MAX + 8];
	size_t local, domain;

	for (local = LMTP_LOCAL_PART_MAX - 1; local <= LMTP_LOCAL_PART_MAX + 1; local++) {
		for (domain = LMTP_DOMAIN_MAX - 1; domain <= LMTP_DOMAIN_MAX + 1; domain++) {
			memset(text, 'l', local);
			text[local] = '@';
			for (size_t i = 0; i < domain; i++)
				text[local + 1 + i] = i % 2 == 0 || i == domain - 1 ? 'd' : '.';
			assert_int_equal(lmtp_address_check((pop3_span){text, local + 1 + domain},
							    false, false, &address),
					 local > LMTP_LOCAL_PART_MAX || domain > LMTP_DOMAIN_MAX
						 ? LMTP_ADDRESS_LONG
						 : LMTP_ADDRESS_OK);
		}
	}
	/* a label has 63 octets at most (RFC 1035) */
	memset(text, 'd', 70);
	memcpy(text, "l@", 2);
	assert_int_equal(lmtp_address_check((pop3_span){text, 65}, false, false, &address),
			 LMTP_ADDRESS_OK);
	assert_int_equal(lmtp_address_check((pop3_span){text, 66}, false, false, &address),
			 LMTP_ADDRESS_BAD);
}

/* Against a decoder that computes the code point: every two-octet text, and what can go wrong in
 * longer ones. */
static void utf8_by_model(void **state)
{
	static const char *const good[] = {"",
					   "abc",
					   "\xc2\x80",
					   "\xdf\xbf",
					   "\xe0\xa0\x80",
					   "\xed\x9f\xbf",
					   "\xee\x80\x80",
					   "\xef\xbf\xbf",
					   "\xf0\x90\x80\x80",
					   "\xf4\x8f\xbf\xbf",
					   "a\xe6\x97\xa5z"};
	static const char *const bad[] = {"\x80",
					  "\xbf",
					  "\xc0\x80",
					  "\xc1\xbf",
					  "\xe0\x9f\xbf",
					  "\xed\xa0\x80",
					  "\xed\xbf\xbf",
					  "\xf0\x8f\xbf\xbf",
					  "\xf4\x90\x80\x80",
					  "\xf5\x80\x80\x80",
					  "\xff",
					  "\xc2",
					  "\xe6\x97",
					  "\xe6\x97z",
					  "\xf0\x90\x80",
					  "\xf0\x90\x80z"};

	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++)
		assert_true(lmtp_utf8_valid(span_of(good[i])));
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_false(lmtp_utf8_valid(span_of(bad[i])));
	for (unsigned a = 0; a < 256; a++) {
		for (unsigned b = 0; b < 256; b++) {
			char text[2] = {(char)a, (char)b};
			bool ascii = a < 0x80 && b < 0x80;
			bool pair = a >= 0xC2 && a <= 0xDF && b >= 0x80 && b <= 0xBF;

			assert_int_equal(lmtp_utf8_valid((pop3_span){text, 2}), ascii || pair);
		}
	}
}

/* --- headers --- */

/* As libc has it, where its time_t goes so far. */
static void check_date(int64_t t)
{
	char expected[64], date[LMTP_DATE_MAX];
	time_t time = (time_t)t;
	struct tm tm;

	if (time != t)
		return;
	strftime(expected, sizeof(expected), "%a, %-d %b %Y %H:%M:%S +0000", gmtime_r(&time, &tm));
	assert_int_equal(lmtp_date(t, date), strlen(expected));
	assert_string_equal(date, expected);
}

static void dates_by_libc(void **state)
{
	static const int64_t times[] = {
		0,         1,         86399,      86400,      951782400, /* 29 February 2000 */
		951868799, 951868800, 1709164800, 1738379045, 4107542399, 4107542400, 253402300799};
	char date[LMTP_DATE_MAX];

	for (size_t i = 0; i < sizeof(times) / sizeof(*times); i++)
		check_date(times[i]);
	for (int64_t t = 0; t < INT64_C(253402300800); t += 86400 * 17 + 3601)
		check_date(t);
	lmtp_date(4107542399, date);
	assert_string_equal(date, "Sun, 28 Feb 2100 23:59:59 +0000");
	lmtp_date(INT64_MIN, date);
	assert_string_equal(date, "Thu, 1 Jan 1970 00:00:00 +0000");
	lmtp_date(INT64_MAX, date);
	assert_string_equal(date, "Fri, 31 Dec 9999 23:59:59 +0000");
}

static void headers_rendered(void **state)
{
	struct lmtp_trace trace = {.sender = span_of("carol@example.com"),
				   .recipient = span_of("alice+x@example.org"),
				   .peer_name = span_of("mta.example.com"),
				   .peer_address = span_of("2001:db8::1"),
				   .host_name = span_of("mail.example.org"),
				   .protocol = span_of("LMTP"),
				   .id = span_of("0123abcd"),
				   .time = 1738379045};
	char out[LMTP_HEADERS_MAX + 1];

	out[lmtp_headers_render(&trace, out, LMTP_HEADERS_MAX)] = '\0';
	assert_string_equal(out, "Return-Path: <carol@example.com>\r\n"
				 "Delivered-To: alice+x@example.org\r\n"
				 "Received: from mta.example.com ([IPv6:2001:db8::1])\r\n"
				 "\tby mail.example.org with LMTP id 0123abcd;\r\n"
				 "\tSat, 1 Feb 2025 03:04:05 +0000\r\n");
	trace = (struct lmtp_trace){.host_name = span_of("h"), .protocol = span_of("local")};
	out[lmtp_headers_render(&trace, out, LMTP_HEADERS_MAX)] = '\0';
	assert_string_equal(out, "Return-Path: <>\r\nReceived: by h with local;\r\n"
				 "\tThu, 1 Jan 1970 00:00:00 +0000\r\n");
}

/* Nothing from outside makes or ends a line, and the longest of everything fits. */
static void headers_hold(void **state)
{
	char octets[5000], out[LMTP_HEADERS_MAX];
	pop3_span all = {octets, sizeof(octets)};
	struct lmtp_trace trace = {all, all, all, all, all, all, all, INT64_MAX};
	size_t n, lines = 0;

	for (size_t i = 0; i < sizeof(octets); i++)
		octets[i] = (char)(i % 4 == 0 ? '\r' : i % 4 == 1 ? '\n' : i);
	n = lmtp_headers_render(&trace, out, sizeof(out));
	assert_true(n < sizeof(out));
	assert_memory_equal(out + n - 7, "+0000\r\n", 7);
	for (size_t i = 0; i < n; i++) {
		if (out[i] == '\n') {
			assert_int_equal(out[i - 1], '\r');
			lines++;
		} else if (out[i] == '\r') {
			assert_int_equal(out[i + 1], '\n');
		} else {
			assert_true((unsigned char)out[i] >= 0x20 || out[i] == '\t');
			assert_int_not_equal(out[i], 0x7F);
		}
	}
	assert_int_equal(lines, 5);
}

/* --- the machine --- */

static const struct lmtp_server_settings settings = {.host_name = "h", .max_recipients = 100};

static void give(struct lmtp_server *server, const char *text, struct lmtp_event *event)
{
	pop3_span in = span_of(text);
	static char scratch[LMTP_SCRATCH_MIN];

	lmtp_server_next(server, &in, scratch, sizeof(scratch), event);
	assert_int_equal(in.size, 0);
}

static const char *take(struct lmtp_server *server)
{
	static char out[4096];

	out[lmtp_server_pull(server, out, sizeof(out) - 1)] = '\0';
	return out;
}

/* A message to n recipients, complete, whose outcomes are owed. */
static void up_to_end(struct lmtp_server *server, uint32_t n)
{
	struct lmtp_event event;

	lmtp_server_init(server, &settings);
	take(server);
	give(server, "LHLO a\r\n", &event);
	take(server);
	give(server, "MAIL FROM:<>\r\n", &event);
	lmtp_server_reply(server, 250, "2.1.0", "ok");
	take(server);
	for (uint32_t i = 0; i < n; i++) {
		give(server, "RCPT TO:<a@b>\r\n", &event);
		assert_int_equal(event.index, i);
		lmtp_server_reply(server, 250, "2.1.5", "ok");
		take(server);
	}
	give(server, "DATA\r\n", &event);
	lmtp_server_reply_data_go(server);
	take(server);
	give(server, ".\r\n", &event);
	assert_int_equal(event.type, LMTP_EVENT_END);
	assert_int_equal(lmtp_server_want(server), LMTP_WANT_DATA_REPLIES);
	assert_int_equal(lmtp_server_accepted(server), n);
}

/* A message that is refused while it comes is read to its end, but not for ever. */
static void refused_without_an_end(void **state)
{
	enum { CHUNK = 1 << 20, CHUNKS = LMTP_DISCARD_MAX / CHUNK };
	static char octets[CHUNK], scratch[LMTP_SCRATCH_MIN];
	struct lmtp_server server;
	struct lmtp_event event;

	(void)state;
	memset(octets, 'x', sizeof(octets));
	lmtp_server_init(&server, &settings);
	take(&server);
	give(&server, "LHLO a\r\n", &event);
	take(&server);
	give(&server, "MAIL FROM:<>\r\n", &event);
	lmtp_server_reply(&server, 250, "2.1.0", "ok");
	take(&server);
	give(&server, "RCPT TO:<a@b>\r\n", &event);
	lmtp_server_reply(&server, 250, "2.1.5", "ok");
	take(&server);
	give(&server, "DATA\r\n", &event);
	lmtp_server_reply_data_go(&server);
	take(&server);
	lmtp_server_fail_content(&server, 452, "4.3.1", "no room");
	for (int i = 0; i <= CHUNKS; i++) {
		pop3_span in = {octets, i < CHUNKS ? CHUNK : 1};

		assert_int_equal(lmtp_server_want(&server), LMTP_WANT_INPUT);
		while (in.size)
			lmtp_server_next(&server, &in, scratch, sizeof(scratch), &event);
	}
	assert_string_equal(take(&server),
			    "421 4.3.2 The rest of a refused message is too long\r\n");
	assert_int_equal(lmtp_server_want(&server), LMTP_WANT_CLOSE);
}

static void outcomes_go_out_in_order(void **state)
{
	struct lmtp_server server;
	struct lmtp_outcome outcomes[4];

	up_to_end(&server, 4);
	memset(outcomes, 0xFF, sizeof(outcomes));
	lmtp_server_lend(&server, outcomes);
	lmtp_server_reply_recipient(&server, 2, 452, "4.2.2", "two");
	assert_int_equal(lmtp_server_want(&server), LMTP_WANT_DATA_REPLIES);
	assert_string_equal(take(&server), "");
	lmtp_server_reply_recipient(&server, 0, 250, "2.0.0", "zero");
	assert_int_equal(lmtp_server_want(&server), LMTP_WANT_OUTPUT);
	assert_string_equal(take(&server), "250 2.0.0 zero\r\n");
	assert_int_equal(lmtp_server_want(&server), LMTP_WANT_DATA_REPLIES);
	lmtp_server_reply_recipient(&server, 1, 550, NULL, "one");
	assert_string_equal(take(&server), "550 one\r\n452 4.2.2 two\r\n");
	assert_int_equal(lmtp_server_want(&server), LMTP_WANT_DATA_REPLIES);
	lmtp_server_reply_recipient(&server, 3, 250, "2.0.0", "three");
	assert_string_equal(take(&server), "250 2.0.0 three\r\n");
	assert_int_equal(lmtp_server_want(&server), LMTP_WANT_INPUT);
	assert_ptr_equal(lmtp_server_take_back(&server), outcomes);
	assert_null(lmtp_server_take_back(&server));
	assert_int_equal(lmtp_server_accepted(&server), 0);
}

/* The keeper of the last two died: what is known goes out, the rest gets one outcome. */
static void outcome_for_the_rest(void **state)
{
	struct lmtp_server server;
	struct lmtp_outcome outcomes[3];
	struct lmtp_event event;

	up_to_end(&server, 3);
	lmtp_server_lend(&server, outcomes);
	lmtp_server_reply_recipient(&server, 1, 250, "2.0.0", "one");
	lmtp_server_reply_all(&server, 451, "4.3.0", "later");
	assert_string_equal(take(&server),
			    "451 4.3.0 later\r\n250 2.0.0 one\r\n451 4.3.0 later\r\n");
	assert_int_equal(lmtp_server_want(&server), LMTP_WANT_INPUT);
	lmtp_server_take_back(&server);
	/* nothing of it is left over in the next transaction */
	give(&server, "MAIL FROM:<>\r\n", &event);
	lmtp_server_reply(&server, 250, "2.1.0", "ok");
	take(&server);
	give(&server, "DATA\r\n", &event);
	assert_string_equal(take(&server), "503 5.5.1 No valid recipients\r\n");
}

static void end_by_the_program(void **state)
{
	struct lmtp_server server;
	struct lmtp_event event;

	lmtp_server_init(&server, &settings);
	assert_false(lmtp_server_idle(&server));
	take(&server);
	assert_true(lmtp_server_idle(&server));
	give(&server, "LHLO x", &event);
	assert_false(lmtp_server_idle(&server));
	give(&server, ".example\r\n", &event);
	take(&server);
	assert_true(span_equal(lmtp_server_peer_name(&server), span_of("x.example")));
	give(&server, "MAIL FROM:<>\r\n", &event);
	lmtp_server_reply(&server, 250, "2.1.0", "ok");
	take(&server);
	assert_false(lmtp_server_idle(&server));
	lmtp_server_end(&server, "4.4.2", "Idle for too long");
	assert_string_equal(take(&server), "421 4.4.2 Idle for too long\r\n");
	assert_int_equal(lmtp_server_want(&server), LMTP_WANT_CLOSE);
}

/* Text of replies can't make a second line, however long it is. */
static void reply_text_is_one_line(void **state)
{
	struct lmtp_server server;
	struct lmtp_event event;
	char text[2000];
	const char *reply;

	for (size_t i = 0; i < sizeof(text) - 1; i++)
		text[i] = (char)(i % 255 + 1);
	text[sizeof(text) - 1] = '\0';
	lmtp_server_init(&server, &settings);
	take(&server);
	give(&server, "LHLO a\r\n", &event);
	take(&server);
	give(&server, "MAIL FROM:<>\r\n", &event);
	lmtp_server_reply(&server, 451, "4.0.0", text);
	reply = take(&server);
	assert_int_equal(strlen(reply), LMTP_REPLY_MAX);
	assert_ptr_equal(strchr(reply, '\r'), reply + LMTP_REPLY_MAX - 2);
	assert_ptr_equal(strchr(reply, '\n'), reply + LMTP_REPLY_MAX - 1);
}

/* 10,000 transactions leave nothing behind: the machine is as it was. */
static void transactions_leave_nothing(void **state)
{
	struct lmtp_server server, first;
	struct lmtp_event event;

	lmtp_server_init(&server, &settings);
	take(&server);
	give(&server, "LHLO a\r\n", &event);
	take(&server);
	for (int i = 0; i < 10000; i++) {
		give(&server, "MAIL FROM:<a@b>\r\n", &event);
		lmtp_server_reply(&server, 250, "2.1.0", "ok");
		take(&server);
		give(&server, "RCPT TO:<c@d>\r\n", &event);
		lmtp_server_reply(&server, 250, "2.1.5", "ok");
		take(&server);
		give(&server, "DATA\r\n", &event);
		lmtp_server_reply_data_go(&server);
		take(&server);
		give(&server, "x\r\n", &event);
		give(&server, ".\r\n", &event);
		assert_int_equal(event.type, LMTP_EVENT_END);
		lmtp_server_reply_all(&server, 250, "2.0.0", "done");
		assert_string_equal(take(&server), "250 2.0.0 done\r\n");
		if (i == 0)
			first = server;
	}
	assert_memory_equal(&server, &first, sizeof(server));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses_by_table),
		cmocka_unit_test(senders_by_table),
		cmocka_unit_test(address_lengths),
		cmocka_unit_test(utf8_by_model),
		cmocka_unit_test(dates_by_libc),
		cmocka_unit_test(headers_rendered),
		cmocka_unit_test(headers_hold),
		cmocka_unit_test(refused_without_an_end),
		cmocka_unit_test(outcomes_go_out_in_order),
		cmocka_unit_test(outcome_for_the_rest),
		cmocka_unit_test(end_by_the_program),
		cmocka_unit_test(reply_text_is_one_line),
		cmocka_unit_test(transactions_leave_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
