/* Requests of Postfix's policy service: whole, in part, doubtful, and what is none. */
#include "server/mta/policy_request.h"

#include "base/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define KIND "request=smtpd_access_policy\n"

static struct policy_request request;

static enum policy_status take(pop3_span in, size_t *left)
{
	enum policy_status status;

	policy_request_init(&request);
	status = policy_request_take(&request, &in);
	*left = in.size;
	return status;
}

static enum policy_status parse(const char *text)
{
	size_t left;
	enum policy_status status = take(span_of(text), &left);

	assert_int_equal(left, 0);
	return status;
}

static bool asks_about(const char *recipient)
{
	return span_equal(policy_request_recipient(&request), span_of(recipient));
}

static void test_as_postfix_sends_it(void **state)
{
	(void)state;
	assert_int_equal(parse(KIND "protocol_state=RCPT\nprotocol_name=ESMTP\nhelo_name=a=b\n"
				    "queue_id=\nsender=x@y\nrecipient=anna@z\nsize=4711\n\n"),
			 POLICY_WHOLE);
	assert_true(asks_about("anna@z"));
	assert_int_equal(request.size, 4711);
	assert_int_equal(parse(KIND "recipient=a=b@z\n\n"), POLICY_WHOLE);
	assert_true(asks_about("a=b@z"));
	assert_int_equal(request.size, 0);
}

/* Cut anywhere, the octets of the next request stay. */
static void test_in_parts(void **state)
{
	static const char text[] = KIND "recipient=anna@z\nsize=3\n\nrequest=";
	const size_t whole = strlen(text) - strlen("request=");

	(void)state;
	for (size_t cut = 0; cut <= whole; cut++) {
		pop3_span first = {text, cut}, second = {text + cut, strlen(text) - cut};

		policy_request_init(&request);
		assert_int_equal(policy_request_take(&request, &first),
				 cut < whole ? POLICY_MORE : POLICY_WHOLE);
		assert_int_equal(first.size, 0);
		if (cut < whole)
			assert_int_equal(policy_request_take(&request, &second), POLICY_WHOLE);
		assert_int_equal(second.size, strlen("request="));
		assert_true(asks_about("anna@z"));
		assert_int_equal(request.size, 3);
	}
}

static void test_doubtful(void **state)
{
	static const char *const rows[] = {
		"\n",
		KIND "\n",
		"recipient=anna@z\n\n",
		KIND "recipient=\n\n",
		KIND "recipient=anna@z\nrecipient=anna@z\n\n",
		KIND "recipient=anna@z\nrecipient=\n\n",
		"request=smtpd_access_policy \nrecipient=anna@z\n\n",
		KIND "recipient=anna@z\nrequest=other\n\n",
		KIND "Recipient=anna@z\n\n",
		KIND " recipient=anna@z\n\n",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(parse(rows[i]), POLICY_WHOLE);
		assert_true(asks_about(""));
	}
}

static void test_nul(void **state)
{
	size_t left;

	(void)state;
	assert_int_equal(take(SPAN_LITERAL(KIND "recipient=an\0na@z\n\n"), &left), POLICY_WHOLE);
	assert_true(asks_about(""));
	assert_int_equal(take(SPAN_LITERAL(KIND "recipient=anna@z\nhelo_name=\0\n\n"), &left),
			 POLICY_WHOLE);
	assert_true(asks_about("anna@z"));
	assert_int_equal(take(SPAN_LITERAL("\0\0\0\n"), &left), POLICY_BAD);
}

static void test_sizes(void **state)
{
	static const char *const none[] = {"", "-1", "1 ", "0x10", "18446744073709551616", "x"};
	char text[128];

	(void)state;
	for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
		snprintf(text, sizeof(text), KIND "recipient=anna@z\nsize=%s\n\n", none[i]);
		assert_int_equal(parse(text), POLICY_WHOLE);
		assert_int_equal(request.size, 0);
		assert_true(asks_about("anna@z"));
	}
	assert_int_equal(parse("size=9223372036854775807\n\n"), POLICY_WHOLE);
	assert_int_equal(request.size, INT64_MAX);
}

/* A line of n octets with that name between two good ones. */
static enum policy_status with_line(const char *name, size_t n)
{
	char *text = calloc(1, n + 128);
	enum policy_status status;
	size_t at = strlen(KIND), left;

	assert_non_null(text);
	strcpy(text, KIND);
	memset(text + at, 'x', n);
	memcpy(text + at, name, strlen(name));
	strcpy(text + at + n, "\nsize=7\n\n");
	status = take(span_of(text), &left);
	free(text);
	return status;
}

static void test_long_lines(void **state)
{
	(void)state;
	assert_int_equal(with_line("recipient=", strlen("recipient=") + POLICY_ADDRESS_MAX),
			 POLICY_WHOLE);
	assert_int_equal(policy_request_recipient(&request).size, POLICY_ADDRESS_MAX);
	assert_int_equal(with_line("recipient=", strlen("recipient=") + POLICY_ADDRESS_MAX + 1),
			 POLICY_WHOLE);
	assert_true(asks_about("") && request.size == 7);
	assert_int_equal(with_line("recipient=", POLICY_LINE_MAX + 1), POLICY_WHOLE);
	assert_true(asks_about("") && request.size == 7);
	assert_int_equal(with_line("helo_name=", POLICY_REQUEST_MAX / 2), POLICY_WHOLE);
	assert_true(!request.doubtful && request.size == 7);
	assert_int_equal(with_line("none", POLICY_LINE_MAX * 2), POLICY_BAD);
	assert_int_equal(with_line("helo_name=", POLICY_REQUEST_MAX), POLICY_BAD);
}

/* Attributes without end: each is short, all together are too much. */
static void test_many_attributes(void **state)
{
	pop3_span line;
	size_t taken = 0;
	enum policy_status status = POLICY_MORE;

	(void)state;
	policy_request_init(&request);
	while (status == POLICY_MORE && taken < 2 * POLICY_REQUEST_MAX) {
		line = SPAN_LITERAL("a=b\n");
		status = policy_request_take(&request, &line);
		taken += 4;
	}
	assert_int_equal(status, POLICY_BAD);
	assert_true(taken >= POLICY_REQUEST_MAX && taken <= POLICY_REQUEST_MAX + 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_as_postfix_sends_it),
		cmocka_unit_test(test_in_parts),
		cmocka_unit_test(test_doubtful),
		cmocka_unit_test(test_nul),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_long_lines),
		cmocka_unit_test(test_many_attributes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
