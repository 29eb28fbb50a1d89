/* A front's credits at a peer: who gets one, in which order, and what is left when either ends. */
#include "server/front/link.h"

#include "server/child.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

struct client {
	struct link_user user; /* first */
	uint32_t resumed;      /* the number of the event that it went on with; 0: it did not */
	bool gone, asks_again, parts;
};

static unsigned order[8], order_count;
static struct client clients[8];

static void resume(struct link_user *user, const struct pop3_event *event)
{
	struct client *client = (struct client *)user;

	client->resumed = event->number;
	order[order_count++] = (unsigned)(client - clients);
	if (client->asks_again)
		link_asked(user, IPC_FETCH);
	if (client->parts)
		link_part(user);
}

static void gone(struct link_user *user)
{
	struct client *client = (struct client *)user;

	assert_null(link_of(user));
	assert_int_equal(link_unanswered(user), IPC_NONE);
	client->gone = true;
}

static const struct link_handler two_credits = {2, resume, gone};
static struct peer peer;

static struct link *begin(void **state)
{
	static struct link link;

	(void)state;
	memset(clients, 0, sizeof(clients));
	order_count = 0;
	link_init(&link, &peer, &two_credits);
	for (int i = 0; i < 8; i++)
		link_join(&link, &clients[i].user);
	return &link;
}

static void waits(unsigned i, uint32_t number)
{
	struct pop3_event event = {.type = POP3_EVENT_RETR, .number = number};

	assert_false(link_has_credit(&clients[i].user));
	assert_int_equal(link_wait(&clients[i].user, &event), 0);
}

static void use_both(void)
{
	link_asked(&clients[0].user, IPC_FETCH);
	assert_true(link_has_credit(&clients[1].user));
	link_asked(&clients[1].user, IPC_COMMIT);
	assert_int_equal(link_unanswered(&clients[1].user), IPC_COMMIT);
	assert_false(link_has_credit(&clients[1].user));
}

static void test_credits_go_to_those_who_wait_in_order(void **state)
{
	struct link *link = begin(state);

	use_both();
	for (unsigned i = 2; i < 6; i++) {
		clients[i].asks_again = true;
		waits(i, 10 + i);
	}
	link_answered(&clients[1].user);
	assert_int_equal(order_count, 1);
	assert_int_equal(order[0], 2);
	assert_int_equal(clients[2].resumed, 12);
	link_answered(&clients[0].user);
	link_answered(&clients[2].user);
	assert_int_equal(order_count, 3);
	assert_int_equal(order[1], 3);
	assert_int_equal(order[2], 4);
	link_finish(link);
	for (int i = 0; i < 8; i++)
		assert_true(clients[i].gone);
	assert_int_equal(clients[5].resumed, 0);
}

static void test_a_credit_that_is_not_used_goes_on_to_the_next(void **state)
{
	struct link *link = begin(state);

	use_both();
	waits(2, 1);
	waits(3, 2);
	clients[3].asks_again = true;
	waits(4, 3);
	clients[4].asks_again = true;
	waits(5, 4);
	link_answered(&clients[0].user);
	/* 2 had nothing to ask after all; 3 has the credit */
	assert_int_equal(order_count, 2);
	assert_int_equal(clients[3].resumed, 2);
	assert_int_equal(clients[4].resumed, 0);
	link_finish(link);
}

static void test_who_parts_gives_the_credit_back(void **state)
{
	struct link *link = begin(state);

	use_both();
	waits(2, 1);
	clients[2].asks_again = true;
	link_part(&clients[0].user);
	assert_null(link_of(&clients[0].user));
	assert_int_equal(clients[2].resumed, 1);
	assert_false(link_has_credit(&clients[3].user));
	link_part(&clients[0].user); /* nothing */
	link_finish(link);
	assert_false(clients[0].gone);
}

static void test_who_parts_does_not_wait_any_longer(void **state)
{
	struct link *link = begin(state);

	use_both();
	waits(2, 1);
	waits(3, 2);
	waits(4, 3);
	link_part(&clients[3].user); /* from the middle */
	link_part(&clients[4].user); /* the last */
	waits(5, 4);
	link_part(&clients[2].user); /* the first */
	link_answered(&clients[0].user);
	assert_int_equal(order_count, 1);
	assert_int_equal(order[0], 5);
	/* nobody waits: the credit is free */
	assert_true(link_has_credit(&clients[6].user));
	link_asked(&clients[6].user, IPC_FETCH);
	waits(7, 5);
	link_answered(&clients[6].user);
	assert_int_equal(clients[7].resumed, 5);
	link_finish(link);
}

static void test_who_goes_on_may_part(void **state)
{
	struct link *link = begin(state);

	use_both();
	for (unsigned i = 2; i < 5; i++) {
		clients[i].asks_again = clients[i].parts = true;
		waits(i, i);
	}
	link_answered(&clients[0].user);
	assert_int_equal(order_count, 3);
	for (unsigned i = 2; i < 5; i++) {
		assert_int_equal(order[i - 2], i);
		assert_null(link_of(&clients[i].user));
	}
	assert_true(link_has_credit(&clients[5].user));
	link_finish(link);
}

static void test_an_answer_to_no_request_frees_nothing(void **state)
{
	struct link *link = begin(state);

	use_both();
	waits(2, 1);
	link_answered(&clients[3].user);
	assert_int_equal(order_count, 0);
	link_answered(&clients[0].user);
	link_answered(&clients[0].user);
	assert_int_equal(order_count, 1);
	link_finish(link);
}

static void test_a_slow_request_gives_its_credit_back(void **state)
{
	struct link *link = begin(state);

	use_both();
	for (unsigned i = 2; i < 5; i++) {
		clients[i].asks_again = true;
		waits(i, i);
	}
	assert_true(link_slow(&clients[0].user));
	assert_int_equal(order_count, 1);
	assert_int_equal(link_unanswered(&clients[0].user), IPC_FETCH); /* it is still asked */
	assert_false(link_has_credit(&clients[0].user));
	assert_true(link_slow(&clients[2].user));
	assert_int_equal(order_count, 2);
	link_answered(&clients[0].user); /* no second credit for the same request */
	link_answered(&clients[2].user);
	assert_int_equal(order_count, 2);
	assert_int_equal(link_unanswered(&clients[0].user), IPC_NONE);
	link_answered(&clients[1].user);
	assert_int_equal(order_count, 3);
	link_finish(link);
}

static void test_only_a_request_can_be_slow_and_only_once(void **state)
{
	struct link *link = begin(state);

	assert_false(link_slow(&clients[0].user));
	use_both();
	assert_true(link_slow(&clients[0].user));
	assert_false(link_slow(&clients[0].user));
	assert_true(link_has_credit(&clients[2].user));
	link_asked(&clients[2].user, IPC_FETCH);
	assert_false(link_has_credit(&clients[3].user));
	link_answered(&clients[0].user);
	link_asked(&clients[0].user, IPC_FETCH); /* the next request is one like any other */
	assert_true(link_slow(&clients[0].user));
	link_finish(link);
}

static void test_who_parts_with_a_slow_request_gives_no_credit_back(void **state)
{
	struct link *link = begin(state);

	use_both();
	assert_true(link_slow(&clients[0].user));
	link_asked(&clients[2].user, IPC_FETCH);
	waits(3, 1);
	link_part(&clients[0].user);
	assert_int_equal(order_count, 0);
	link_part(&clients[2].user);
	assert_int_equal(order_count, 1);
	link_finish(link);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_credits_go_to_those_who_wait_in_order),
		cmocka_unit_test(test_a_credit_that_is_not_used_goes_on_to_the_next),
		cmocka_unit_test(test_who_parts_gives_the_credit_back),
		cmocka_unit_test(test_who_parts_does_not_wait_any_longer),
		cmocka_unit_test(test_who_goes_on_may_part),
		cmocka_unit_test(test_an_answer_to_no_request_frees_nothing),
		cmocka_unit_test(test_a_slow_request_gives_its_credit_back),
		cmocka_unit_test(test_only_a_request_can_be_slow_and_only_once),
		cmocka_unit_test(test_who_parts_with_a_slow_request_gives_no_credit_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
