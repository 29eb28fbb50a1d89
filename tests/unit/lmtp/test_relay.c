/* A message passed on to another LMTP server, without I/O: what is asked, what each reply means for
 * each recipient, and that no server's octets deliver what was not delivered. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/text.h"
#include "lmtp/relay.h"

enum { RECIPIENTS = 3 };

static struct lmtp_relay relay;
static struct lmtp_relay_recipient recipients[RECIPIENTS];
static char asked[8192]; /* what was sent, since it was looked at */

#define HELLO "250-node\r\n250-PIPELINING\r\n250-SIZE 1000\r\n250 8BITMIME\r\n"
#define GREETED "220 node LMTP\r\n" HELLO
#define MESSAGE "Subject: x\r\n\r\n.dot\r\nbare\n.\nend\r\n"

static struct lmtp_relay_message message_of(const char *sender)
{
	return (struct lmtp_relay_message){
		.host_name = "front.test", .sender = span_of(sender), .size = 40};
}

static void begin(const struct lmtp_relay_message *message)
{
	static const char *const addresses[] = {"anna@x.test", "bert", "c d@x.test"};

	for (int i = 0; i < RECIPIENTS; i++)
		recipients[i].address = span_of(addresses[i]);
	asked[0] = '\0';
	lmtp_relay_init(&relay, message, recipients, RECIPIENTS);
}

static void note(pop3_span out)
{
	size_t used = strlen(asked);

	assert_true(used + out.size < sizeof(asked));
	memcpy(asked + used, out.data, out.size);
	asked[used + out.size] = '\0';
}

static void send_all(void)
{
	pop3_span out;

	while ((out = lmtp_relay_output(&relay)).size) {
		note(out);
		lmtp_relay_sent(&relay, out.size);
	}
}

static void send_message(void)
{
	pop3_span in = span_of(MESSAGE);
	char out[LMTP_RELAY_ENCODE_MIN];

	while (in.size)
		note((pop3_span){out, lmtp_relay_encode(&relay, &in, out, sizeof(out))});
	note((pop3_span){out, lmtp_relay_end(&relay, out, sizeof(out))});
}

/* The events that these octets bring, in pieces of so many, one character each, but for MORE. */
static const char *hear_in(const char *text, size_t piece)
{
	static char events[64];
	pop3_span all = span_of(text);
	size_t n = 0;

	while (all.size) {
		pop3_span in = {all.data, all.size < piece ? all.size : piece};
		enum lmtp_relay_event event;

		all.data += in.size;
		all.size -= in.size;
		do {
			send_all();
			event = lmtp_relay_next(&relay, &in);
			if (event != LMTP_RELAY_MORE)
				events[n++] = "-TCX"[event];
			assert_true(n < sizeof(events));
			if (event == LMTP_RELAY_CONTENT) {
				send_all();
				send_message();
			}
		} while (event == LMTP_RELAY_CONTENT || (event == LMTP_RELAY_MORE && in.size));
		if (event != LMTP_RELAY_MORE)
			break;
	}
	send_all();
	events[n] = '\0';
	return events;
}

static const char *hear(const char *text)
{
	return hear_in(text, SIZE_MAX);
}

static void expect_asked(const char *text)
{
	assert_string_equal(asked, text);
	asked[0] = '\0';
}

/* One letter each: Delivered, Later, Refused, Unknown. */
static void expect_results(const char *results)
{
	for (int i = 0; i < RECIPIENTS; i++)
		if ("PDLRU"[recipients[i].result] != results[i])
			fail_msg("recipient %d: %c, not %c", i, "PDLRU"[recipients[i].result],
				 results[i]);
}

static const char dialog[] = GREETED "250 2.1.0 ok\r\n250 ok\r\n550-5.1.1 no\r\n550 5.1.1 one\r\n"
				     "250 ok\r\n354 go\r\n250 2.0.0 saved\r\n452 4.2.2 full\r\n";

/* The same, however the octets are split. */
static void test_each_recipient_has_its_reply(void **state)
{
	const struct lmtp_relay_message message = message_of("s@y.test");

	(void)state;
	for (size_t piece = 1; piece <= sizeof(dialog); piece++) {
		begin(&message);
		assert_string_equal(hear_in(dialog, piece), "CX");
		expect_asked(
			"LHLO front.test\r\n"
			"MAIL FROM:<s@y.test> SIZE=40 BODY=8BITMIME\r\n"
			"RCPT TO:<anna@x.test>\r\nRCPT TO:<bert>\r\nRCPT TO:<\"c d\"@x.test>\r\n"
			"DATA\r\n"
			"Subject: x\r\n\r\n..dot\r\nbare\r\n..\r\nend\r\n.\r\nQUIT\r\n");
		expect_results("DRL");
		assert_int_equal(recipients[0].code, 250);
		assert_string_equal(recipients[0].words, "250 2.0.0 saved");
		assert_string_equal(recipients[1].enhanced, "5.1.1");
		assert_string_equal(recipients[2].enhanced, "4.2.2");
		assert_true(lmtp_relay_works(&relay));
		assert_null(relay.why);
	}
}

/* The connection ends behind each octet: nothing counts as delivered without its reply, and only
 * behind the end of the message is the outcome not known. */
static void test_a_cut_behind_each_octet(void **state)
{
	const struct lmtp_relay_message message = message_of("");
	const char *go = strstr(dialog, "354 go\r\n") + 8, *saved = strstr(dialog, "452 4");

	(void)state;
	for (size_t n = 0; n < sizeof(dialog) - 1; n++) {
		char part[sizeof(dialog)];
		bool ended = dialog + n >= go;

		begin(&message);
		memcpy(part, dialog, n);
		part[n] = '\0';
		assert_string_equal(hear(part), ended ? "C" : "");
		assert_int_equal(lmtp_relay_ended(&relay), ended);
		lmtp_relay_cut(&relay, "cut");
		expect_results(dialog + n >= saved                                  ? "DRU"
			       : ended                                              ? "URU"
			       : dialog + n >= strstr(dialog, "550 5.1.1 one") + 15 ? "LRL"
										    : "LLL");
		assert_string_equal(relay.why, "cut");
		assert_int_equal(lmtp_relay_output(&relay).size, 0);
	}
}

static void test_one_at_a_time_where_nothing_is_offered(void **state)
{
	struct lmtp_relay_message message = message_of("\xC3\xA9@y.test");

	(void)state;
	message.utf8 = true;
	begin(&message);
	hear("220 node\r\n250 node\r\n");
	expect_asked("LHLO front.test\r\nMAIL FROM:<\xC3\xA9@y.test>\r\n");
	hear("250 ok\r\n");
	expect_asked("RCPT TO:<anna@x.test>\r\n");
	hear("250 ok\r\n");
	expect_asked("RCPT TO:<bert>\r\n");
	hear("451 later\r\n");
	expect_asked("RCPT TO:<\"c d\"@x.test>\r\n");
	assert_string_equal(hear("550 no\r\n354 go\r\n"), "C");
	hear("250 saved\r\n");
	expect_results("DLR");
	assert_string_equal(recipients[2].enhanced, "");
	/* and SMTPUTF8 where it is */
	begin(&message);
	hear("220 node\r\n250-node\r\n250 smtputf8\r\n");
	expect_asked("LHLO front.test\r\nMAIL FROM:<\xC3\xA9@y.test> SMTPUTF8\r\n");
}

static void test_nobody_is_left(void **state)
{
	const struct lmtp_relay_message message = message_of("");

	(void)state;
	begin(&message);
	assert_string_equal(hear(GREETED "250 ok\r\n550 a\r\n451 b\r\n550 c\r\n"), "X");
	expect_results("RLR");
	assert_null(strstr(asked, "DATA"));
	assert_non_null(strstr(asked, "QUIT\r\n"));
}

static void test_classes_of_replies_to_all(void **state)
{
	static const struct {
		const char *reply, *results;
	} rows[] = {
		{"552 5.3.4 too big\r\n", "RRR"},
		{"451 4.3.0 later\r\n", "LLL"},
		{"500 what\r\n", "LLL"},
		{"502 no\r\n", "LLL"},
		{"503 no\r\n", "LLL"},
		{"504 no\r\n", "LLL"},
		{"530 TLS\r\n", "LLL"},
		{"555 what\r\n", "LLL"},
		{"421 bye\r\n", "LLL"},
	};
	const struct lmtp_relay_message message = message_of("");

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char text[300];

		begin(&message);
		snprintf(text, sizeof(text), GREETED "%s", rows[i].reply);
		assert_string_equal(hear(text), "X");
		expect_results(rows[i].results);
		begin(&message);
		snprintf(text, sizeof(text), GREETED "250 a\r\n250 b\r\n250 c\r\n250 d\r\n%s",
			 rows[i].reply);
		assert_string_equal(hear(text), "X");
		expect_results(rows[i].results);
	}
	begin(&message);
	assert_string_equal(hear("554 5.3.2 not here\r\n"), "X");
	expect_results("LLL");
	assert_string_equal(recipients[1].words, "554 5.3.2 not here");
	assert_false(lmtp_relay_works(&relay));
	begin(&message);
	assert_string_equal(hear("220 hi\r\n500 LHLO?\r\n"), "X");
	expect_results("LLL");
	assert_non_null(strstr(relay.why, "LHLO"));
}

static void test_starttls_or_nothing(void **state)
{
	struct lmtp_relay_message message = message_of("");

	(void)state;
	message.starttls = true;
	begin(&message);
	assert_string_equal(hear("220 a\r\n250-a\r\n250-PIPELINING\r\n250 STARTTLS\r\n"), "");
	assert_string_equal(hear("220 go\r\n"), "T");
	expect_asked("LHLO front.test\r\nSTARTTLS\r\n");
	lmtp_relay_tls_started(&relay);
	hear("250 a\r\n"); /* what was offered in clear text does not count */
	expect_asked("LHLO front.test\r\nMAIL FROM:<>\r\n");
	begin(&message);
	assert_string_equal(hear("220 a\r\n250 a\r\n"), "X");
	expect_results("LLL");
	begin(&message);
	assert_string_equal(hear("220 a\r\n250 STARTTLS\r\n"), "X"); /* its name */
	begin(&message);
	hear("220 a\r\n250-a\r\n250 STARTTLS\r\n");
	assert_string_equal(hear("454 no\r\n"), "X");
	begin(&message);
	assert_string_equal(hear("220 a\r\n250-a\r\n250 STARTTLS\r\n220 early\r\n"), "X");
	begin(&message);
	hear("220 a\r\n250-a\r\n250 STARTTLS\r\n");
	assert_string_equal(hear("220 go\r\n250 injected\r\n"), "X");
	assert_non_null(strstr(relay.why, "attack"));
	assert_null(strstr(asked, "MAIL"));
}

static void test_what_is_no_lmtp(void **state)
{
	static const char *const rows[] = {
		"hello\r\n",
		"22\r\n",
		"220_hi\r\n",
		"120 hi\r\n",
		"620 hi\r\n",
		"220-hi\r\n221 there\r\n",
		"354 go\r\n",
		GREETED "250 ok\r\n354 go\r\n",
		GREETED "250 ok\r\n250 a\r\n250 b\r\n250 c\r\n250 saved\r\n",
		GREETED "250 ok\r\n250 a\r\n250 b\r\n250 c\r\n250 d\r\n250 e\r\n",
	};
	const struct lmtp_relay_message message = message_of("");
	static char text[200000];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		begin(&message);
		assert_string_equal(hear(rows[i]), "X");
		expect_results("LLL");
	}
	memset(text, 'x', LMTP_RELAY_LINE_MAX + 1);
	text[LMTP_RELAY_LINE_MAX + 1] = '\0';
	begin(&message);
	assert_string_equal(hear(text), "X");
	text[0] = '\0';
	for (int i = 0; i <= LMTP_RELAY_LINES_MAX; i++)
		strcat(text, "220-x\r\n");
	begin(&message);
	assert_string_equal(hear(text), "X");
}

/* Replies to commands that have not left yet: nothing runs over, nothing is delivered. */
static void test_a_server_that_answers_before_it_is_asked(void **state)
{
	enum { MANY = 60 };
	static struct lmtp_relay_recipient many[MANY];
	static char address[LMTP_ADDRESS_MAX + 1];
	const struct lmtp_relay_message message = message_of("s@y.test");
	pop3_span in = span_of(GREETED "250 ok\r\n");
	size_t before = 0;

	(void)state;
	memset(address, 'a', LMTP_ADDRESS_MAX);
	address[LMTP_LOCAL_PART_MAX] = '@';
	for (int i = 62; i < LMTP_DOMAIN_MAX; i += 63)
		address[LMTP_LOCAL_PART_MAX + 1 + i] = '.';
	for (int i = 0; i < MANY; i++)
		many[i].address = span_of(address);
	lmtp_relay_init(&relay, &message, many, MANY);
	assert_int_equal(lmtp_relay_next(&relay, &in), LMTP_RELAY_MORE);
	for (int i = 0; i < MANY; i++) {
		in = SPAN_LITERAL("250 ok\r\n");
		if (lmtp_relay_next(&relay, &in) == LMTP_RELAY_OVER)
			break;
		before++;
	}
	assert_true(before < MANY); /* as many as were written down */
	for (int i = 0; i < MANY; i++)
		assert_int_equal(many[i].result, LMTP_RELAY_LATER);
}

static void test_paths(void **state)
{
	static const struct {
		const char *address, *path;
	} rows[] = {
		{"anna", "anna"},
		{"anna@x.test", "anna@x.test"},
		{"a b@x.test", "\"a b\"@x.test"},
		{"a\"b\\c@x.test", "\"a\\\"b\\\\c\"@x.test"},
		{"a@b@x.test", "\"a@b\"@x.test"},
		{"\"@x.test", "\"\\\"\"@x.test"},
		{"\xC3\xA9@x.test", "\xC3\xA9@x.test"},
		{"", NULL},
		{"a@", NULL},
		{"a@b c", NULL},
		{"a\r\nRCPT TO:<b>", NULL},
		{"a@x.test>\r\nDATA", NULL},
		{"a\x01@x.test", NULL},
		{"\xC3@x.test", NULL},
	};
	char path[LMTP_RELAY_PATH_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int n = lmtp_relay_path(span_of(rows[i].address), path, sizeof(path));

		if (!rows[i].path) {
			assert_int_equal(n, -1);
			continue;
		}
		assert_int_equal(n, strlen(rows[i].path));
		assert_memory_equal(path, rows[i].path, (size_t)n);
	}
	assert_int_equal(lmtp_relay_path(SPAN_LITERAL("anna"), path, 3), -1);
	assert_int_equal(lmtp_relay_path(SPAN_LITERAL("a b"), path, 4), -1);
}

static void test_an_envelope_that_cannot_be_sent(void **state)
{
	static const char *const senders[] = {"a\r\nRCPT TO:<b>", "a> b", "a\x7f", "\xff"};

	(void)state;
	for (size_t i = 0; i < sizeof(senders) / sizeof(senders[0]); i++) {
		const struct lmtp_relay_message message = message_of(senders[i]);

		begin(&message);
		hear("220 node LMTP\r\n");
		assert_string_equal(hear(HELLO), "X");
		expect_asked("LHLO front.test\r\n");
		expect_results("LLL");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_recipient_has_its_reply),
		cmocka_unit_test(test_a_cut_behind_each_octet),
		cmocka_unit_test(test_one_at_a_time_where_nothing_is_offered),
		cmocka_unit_test(test_nobody_is_left),
		cmocka_unit_test(test_classes_of_replies_to_all),
		cmocka_unit_test(test_starttls_or_nothing),
		cmocka_unit_test(test_what_is_no_lmtp),
		cmocka_unit_test(test_a_server_that_answers_before_it_is_asked),
		cmocka_unit_test(test_paths),
		cmocka_unit_test(test_an_envelope_that_cannot_be_sent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
