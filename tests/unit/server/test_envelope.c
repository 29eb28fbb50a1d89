/* The log's fields about a delivered message: sender, client and message id, out of text that
 * others wrote. */
#include "server/keeper/envelope.h"

#include "base/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void expect(pop3_span got, const char *wanted)
{
	assert_int_equal(got.size, strlen(wanted));
	assert_memory_equal(got.data, wanted, got.size);
}

#define FROM(path) "Return-Path: <" path ">\r\n"

static void test_sender(void **state)
{
	(void)state;
	expect(envelope_sender(FROM("anna@office.test") "Received: x\r\n"), "anna@office.test");
	expect(envelope_sender(FROM("") "X: <b>\r\n"), "");
	expect(envelope_sender(FROM("\"a>b\"@c")), "\"a>b\"@c");
	expect(envelope_sender("Return-Path: <anna"), "");
	expect(envelope_sender("X: <anna>\r\n"), "");
	expect(envelope_sender(""), "");
}

static void test_client(void **state)
{
	static const char six[] = "2001:db8::1";

	(void)state;
	expect(envelope_client(FROM("") "Received: from mx.test ([192.0.2.7])\r\n\tby here\r\n"),
	       "192.0.2.7");
	expect(envelope_client(FROM("") "Received: from x ([2001:db8::1])\r\n\tby ([1])\r\n"), six);
	/* its name is what it likes */
	expect(envelope_client(FROM("") "Received: from ([1.1.1.1]) ([192.0.2.7])\r\n"),
	       "192.0.2.7");
	expect(envelope_client(FROM("") "Received: from x ([])\r\n"), "");
	expect(envelope_client(FROM("") "Received: from x (192.0.2.7])\r\n"), "");
	expect(envelope_client(FROM("") "Received: from x ([192.0.2.7])"), "");
	expect(envelope_client(FROM("") "Received: from x ([192.0.2.7]\r\n"), "");
	expect(envelope_client(FROM("") "Received: from x\r\n"), "");
	expect(envelope_client(FROM("") "Received: from \r\n"), "");
	expect(envelope_client(FROM("")), "");
	expect(envelope_client("Received: from x ([192.0.2.7])\r\n"), ""); /* no line of ours */
}

static const char *id_of(const char *head)
{
	static char id[ENVELOPE_ID_MAX];
	size_t size = strlen(head);
	char *copy = strndup(head, size); /* its end is one of memory, too */

	memset(id, 'x', sizeof(id));
	envelope_message_id((pop3_span){copy, size}, id);
	free(copy);
	return id;
}

static void test_message_id(void **state)
{
	(void)state;
	assert_string_equal(id_of("Message-ID: <1@a>\r\n"), "1@a");
	assert_string_equal(id_of("Subject: x\nmessage-id:<1@a>\nTo: y\n"), "1@a");
	assert_string_equal(id_of("Message-ID: \t <1@a> \t\r\n"), "1@a");
	assert_string_equal(id_of("Message-ID: 1@a"), "1@a");
	assert_string_equal(id_of("Message-ID:\r\n <1@a>\r\n"), "1@a");
	assert_string_equal(id_of("Message-ID:\n\t<1@a>\n"), "1@a");
	assert_string_equal(id_of("Message-ID: \r\n <1@a>\r\n"), "1@a");
	assert_string_equal(id_of("Message-ID: x\r\n <1@a>\r\n"), "x");
	assert_string_equal(id_of("Message-ID:\r\nX: <1@a>\r\n"), "");
	assert_string_equal(id_of("Message-ID: <>\r\n"), "");
	assert_string_equal(id_of("Message-ID: > <\r\n"), "> <");
}

static void test_no_message_id(void **state)
{
	(void)state;
	assert_string_equal(id_of(""), "");
	assert_string_equal(id_of("Subject: x"), "");
	assert_string_equal(id_of("Message-ID:"), "");
	assert_string_equal(id_of("Message-IDs: <1@a>\r\n"), "");
	assert_string_equal(id_of("X: y\r\n\r\nMessage-ID: <1@a>\r\n"), ""); /* in the body */
	assert_string_equal(id_of("\nMessage-ID: <1@a>\n"), "");
}

static void test_the_longest_message_id(void **state)
{
	char head[2 * ENVELOPE_ID_MAX] = "Message-ID: <";
	size_t at = strlen(head);

	(void)state;
	memset(head + at, 'a', ENVELOPE_ID_MAX - 1);
	strcpy(head + at + ENVELOPE_ID_MAX - 1, ">\r\n");
	assert_int_equal(strlen(id_of(head)), ENVELOPE_ID_MAX - 1);
	strcpy(head + at + ENVELOPE_ID_MAX - 1, "b>\r\n");
	assert_int_equal(strlen(id_of(head)), ENVELOPE_ID_MAX - 1);
	assert_null(strchr(id_of(head), 'b'));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sender),
		cmocka_unit_test(test_client),
		cmocka_unit_test(test_message_id),
		cmocka_unit_test(test_no_message_id),
		cmocka_unit_test(test_the_longest_message_id),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
