/* Bodies that a keeper gives by value: which are asked for, when, and which answers fit. */
#include "server/front/reader.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static struct {
	struct ipc_bodies bodies;
	char tail[4096];
} answer;

/* BODIES for messages first…first + count - 1: message n has n octets, each the letter of n. */
static const struct ipc_bodies *bodies(uint32_t first, uint32_t count)
{
	struct ipc_body *body = (struct ipc_body *)(void *)answer.tail;
	char *octets = (char *)&body[count];

	memset(&answer, 0, sizeof(answer));
	answer.bodies.head.type = IPC_BODIES;
	answer.bodies.count = count;
	for (uint32_t n = first; n < first + count; n++, body++) {
		*body = (struct ipc_body){n + 2, n, n};
		memset(octets, 'a' + (int)(n % 26), n);
		octets += n;
	}
	answer.bodies.head.tail = (uint32_t)(octets - answer.tail);
	return &answer.bodies;
}

static void found(struct reader *reader, uint32_t number)
{
	uint64_t octets = 0;

	assert_true(reader_find(reader, number, &octets));
	assert_int_equal(octets, number + 2);
	assert_true(reader_has_body(reader));
	assert_int_equal(reader->body.size, number);
	for (uint32_t i = 0; i < number; i++)
		assert_int_equal(reader->body.data[i], 'a' + number % 26);
	reader_drop_body(reader);
	assert_false(reader_has_body(reader));
}

static void not_found(struct reader *reader, uint32_t number)
{
	uint64_t octets;

	assert_false(reader_find(reader, number, &octets));
}

/* The client waits for number; count are asked for with it and come. */
static void fetched(struct reader *reader, uint32_t number, uint32_t count)
{
	struct ipc_fetch fetch = {0};
	const struct ipc_bodies *message;
	uint64_t octets;

	not_found(reader, number);
	reader_fetch(reader, NULL, &fetch);
	assert_int_equal(fetch.number, number);
	assert_int_equal(fetch.count, count);
	assert_int_equal(fetch.slot, IPC_NO_SLOT);
	assert_false(reader_is_ahead(reader));
	message = bodies(number, count);
	assert_true(reader_fits(reader, IPC_BODIES, message));
	assert_int_equal(reader_take(reader, message), 0);
	assert_true(reader_find_asked(reader, &octets));
	assert_int_equal(octets, number + 2);
	reader_drop_body(reader);
}

static void test_a_client_in_order_never_waits_again(void **state)
{
	struct reader reader;
	struct ipc_fetch fetch = {0};
	struct pop3_event held;
	unsigned asked = 0;

	(void)state;
	reader_init(&reader, 60);
	fetched(&reader, 1, 8);
	assert_false(reader_fetch_ahead(&reader, NULL, &fetch));
	for (uint32_t n = 2; n <= 60; n++) {
		uint32_t count;

		found(&reader, n);
		if (!reader_fetch_ahead(&reader, NULL, &fetch))
			continue;
		asked++;
		assert_true(reader_is_ahead(&reader));
		assert_true(fetch.number > n);
		assert_in_range(fetch.count, 8, 32);
		count = fetch.number + fetch.count > 60 ? 61 - fetch.number : fetch.count;
		assert_int_equal(reader_take(&reader, bodies(fetch.number, count)), 0);
		assert_false(reader_ahead_over(&reader, &held));
	}
	assert_int_equal(asked, 2); /* 9 to 40, 41 to 60 */
	reader_finish(&reader);
}

static void test_a_client_that_jumps_gets_one_message(void **state)
{
	struct reader reader;
	struct ipc_fetch fetch = {0};

	(void)state;
	reader_init(&reader, 60);
	fetched(&reader, 30, 1);
	assert_false(reader_fetch_ahead(&reader, NULL, &fetch)); /* nor any behind it */
	fetched(&reader, 20, 1);
	assert_false(reader_fetch_ahead(&reader, NULL, &fetch));
	fetched(&reader, 21, 4); /* twice in order */
	found(&reader, 23);      /* 22 is skipped for good */
	fetched(&reader, 22, 1);
	reader_finish(&reader);
}

static void test_a_message_may_be_read_twice(void **state)
{
	struct reader reader;

	(void)state;
	reader_init(&reader, 8);
	fetched(&reader, 1, 8);
	found(&reader, 2);
	fetched(&reader, 2, 1);
	reader_finish(&reader);
}

static void test_answers_that_do_not_fit(void **state)
{
	struct reader reader;
	struct ipc_fetch fetch = {0};
	struct ipc_body_lent lent = {.number = 1};
	struct ipc_body_failed failed = {.number = 1};
	struct ipc_bodies *message;

	(void)state;
	reader_init(&reader, 5);
	not_found(&reader, 1);
	reader_fetch(&reader, NULL, &fetch);
	assert_int_equal(fetch.count, 8);
	assert_true(reader_fits(&reader, IPC_BODIES, bodies(1, 1)));
	assert_true(reader_fits(&reader, IPC_BODIES, bodies(1, 5)));
	assert_false(reader_fits(&reader, IPC_BODIES, bodies(1, 6))); /* more than there are */
	assert_false(reader_fits(&reader, IPC_BODIES, bodies(2, 1))); /* not what was asked */
	message = (struct ipc_bodies *)(uintptr_t)bodies(1, 1);
	message->in_slot = 1; /* no slot was named */
	assert_false(reader_fits(&reader, IPC_BODIES, message));
	assert_true(reader_fits(&reader, IPC_BODY_LENT, &lent));
	assert_true(reader_fits(&reader, IPC_BODY_FAILED, &failed));
	lent.number = failed.number = 2;
	assert_false(reader_fits(&reader, IPC_BODY_LENT, &lent));
	assert_false(reader_fits(&reader, IPC_BODY_FAILED, &failed));
	reader_finish(&reader);
}

static void test_more_than_was_asked_does_not_fit(void **state)
{
	struct reader reader;
	struct ipc_fetch fetch = {0};

	(void)state;
	reader_init(&reader, 60);
	not_found(&reader, 1);
	reader_fetch(&reader, NULL, &fetch);
	assert_true(reader_fits(&reader, IPC_BODIES, bodies(1, fetch.count)));
	assert_false(reader_fits(&reader, IPC_BODIES, bodies(1, fetch.count + 1)));
	reader_finish(&reader);
}

static void test_a_command_waits_for_what_is_ahead(void **state)
{
	struct pop3_event top = {.type = POP3_EVENT_TOP, .number = 9}, held;
	struct reader reader;
	struct ipc_fetch fetch = {0};

	(void)state;
	reader_init(&reader, 60);
	fetched(&reader, 1, 8);
	for (uint32_t n = 2; n <= 4; n++)
		found(&reader, n);
	assert_true(reader_fetch_ahead(&reader, NULL, &fetch));
	assert_int_equal(fetch.number, 9);
	assert_false(reader_fetch_ahead(&reader, NULL, &fetch)); /* one at a time */
	reader_hold(&reader, &top);
	assert_true(reader_fits(&reader, IPC_BODIES, bodies(9, 2)));
	assert_int_equal(reader_take(&reader, bodies(9, 2)), 0);
	assert_true(reader_ahead_over(&reader, &held));
	assert_int_equal(held.type, POP3_EVENT_TOP);
	assert_int_equal(held.number, 9);
	assert_false(reader_is_ahead(&reader));
	found(&reader, 9);
	assert_false(reader_ahead_over(&reader, &held)); /* held once */
	reader_finish(&reader);
}

static void test_what_failed_ahead_is_not_asked_for_over_and_over(void **state)
{
	struct reader reader;
	struct ipc_fetch fetch = {0};
	struct pop3_event held;

	(void)state;
	reader_init(&reader, 60);
	fetched(&reader, 1, 8);
	for (uint32_t n = 2; n <= 4; n++)
		found(&reader, n);
	assert_true(reader_fetch_ahead(&reader, NULL, &fetch));
	reader_not_taken(&reader);
	assert_false(reader_ahead_over(&reader, &held));
	for (uint32_t n = 5; n <= 8; n++) {
		found(&reader, n);
		assert_false(reader_fetch_ahead(&reader, NULL, &fetch));
	}
	reader_finish(&reader);
}

static void test_an_idle_client_keeps_no_batch(void **state)
{
	struct reader reader;

	(void)state;
	reader_init(&reader, 60);
	fetched(&reader, 1, 8);
	reader_trim(&reader);
	assert_null(reader.batch);
	fetched(&reader, 2, 32); /* in order still */
	reader_finish(&reader);
}

static void test_behind_a_large_message_one_comes_alone(void **state)
{
	struct reader reader;
	struct ipc_fetch fetch = {0};

	(void)state;
	reader_init(&reader, 60);
	not_found(&reader, 1);
	reader_fetch(&reader, NULL, &fetch);
	reader_not_taken(&reader);
	reader_large(&reader);
	fetched(&reader, 2, 4);
	reader_finish(&reader);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_client_in_order_never_waits_again),
		cmocka_unit_test(test_a_client_that_jumps_gets_one_message),
		cmocka_unit_test(test_a_message_may_be_read_twice),
		cmocka_unit_test(test_answers_that_do_not_fit),
		cmocka_unit_test(test_more_than_was_asked_does_not_fit),
		cmocka_unit_test(test_a_command_waits_for_what_is_ahead),
		cmocka_unit_test(test_what_failed_ahead_is_not_asked_for_over_and_over),
		cmocka_unit_test(test_an_idle_client_keeps_no_batch),
		cmocka_unit_test(test_behind_a_large_message_one_comes_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
