/*
 * Room for messages: who has to give way when it is short. A clock of our own, so that no test
 * waits.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "server/lmtp/spool.h"

#define MIB (UINT64_C(1) << 20)
#define ROOM (256 * MIB)

enum { MESSAGES = 512 };

static struct spool spool;
static struct spool_message messages[MESSAGES];
static unsigned evicted;

static void evict(struct spool *from, struct spool_message *message)
{
	evicted++;
	spool_end(from, message);
}

static int set_up(void **state)
{
	(void)state;
	spool_init(&spool, ROOM, SPOOL_SMALL, evict);
	memset(messages, 0, sizeof(messages));
	evicted = 0;
	return 0;
}

/* Nothing is left behind when all messages have ended. */
static int tear_down(void **state)
{
	(void)state;
	for (unsigned i = 0; i < MESSAGES; i++)
		spool_end(&spool, &messages[i]);
	assert_int_equal(spool.held, 0);
	assert_int_equal(spool.senders.count, 0);
	assert_null(spool.first);
	table_finish(&spool.senders);
	return 0;
}

/* Octets that the message could grow by, in pieces of 64 KiB. */
static uint64_t grow(unsigned number, uint64_t octets, uint64_t now)
{
	uint64_t done = 0;

	while (done < octets && spool_grow(&spool, &messages[number], 65536, now))
		done += 65536;
	return done;
}

static void keys_of_senders(void **state)
{
	uint8_t none[16] = {0}, four[16] = {[10] = 0xff, 0xff, 192, 0, 2, 1}, other[16];
	uint8_t six[16] = {0x20, 0x01, 0x0d, 0xb8, [15] = 1}, loopback[16] = {[15] = 1};

	memcpy(other, four, 16);
	other[15] = 2;
	assert_true(spool_key(four, 0) != spool_key(other, 0));
	memcpy(other, six, 16);
	other[15] = 2; /* the same /64 */
	assert_true(spool_key(six, 0) == spool_key(other, 0));
	other[7] = 1;
	assert_true(spool_key(six, 0) != spool_key(other, 0));
	assert_true(spool_key(none, 0) != spool_key(none, 1000));
	assert_true(spool_key(none, 0) != spool_key(loopback, 0));
	assert_true(spool_key(none, 0xC0000201) != spool_key(four, 0));
}

/* One sender alone may fill three quarters with large messages; small ones still go. */
static void the_last_quarter_is_for_small_messages(void **state)
{
	unsigned n = 0;

	for (; n < 37; n++) {
		assert_true(spool_begin(&spool, &messages[n], 1, 0, 0));
		if (grow(n, 7 * MIB, 0) < 7 * MIB)
			break;
	}
	assert_in_range(spool.held, ROOM * 3 / 4 - MIB, ROOM * 3 / 4);
	assert_int_equal(evicted, 0);
	spool_end(&spool, &messages[n]);
	/* a large one of this sender is refused at once, if its size was said */
	assert_false(spool_begin(&spool, &messages[100], 1, 20 * MIB, 0));
	for (n = 101; n < 132; n++) {
		assert_true(spool_begin(&spool, &messages[n], 1, MIB, 0));
		assert_int_equal(grow(n, MIB, 0), MIB);
	}
	/* another sender has its share */
	assert_true(spool_begin(&spool, &messages[200], 2, 20 * MIB, 0));
	assert_int_equal(grow(200, 20 * MIB, 0), 20 * MIB);
	assert_int_equal(evicted, 0);
}

/* On a disk there are no small ones. */
static void the_last_quarter_is_for_other_senders(void **state)
{
	spool.small = 0;
	for (unsigned i = 0; i < 2; i++) {
		assert_true(spool_begin(&spool, &messages[i], 1, 0, 0));
		assert_int_equal(grow(i, 96 * MIB, 0), 96 * MIB);
	}
	assert_int_equal(spool.held, ROOM * 3 / 4);
	assert_true(spool_begin(&spool, &messages[2], 1, 0, 0));
	assert_int_equal(grow(2, MIB, 0), 0);
	assert_false(spool_begin(&spool, &messages[3], 1, 1, 0));
	assert_true(spool_begin(&spool, &messages[4], 2, MIB, 0));
	assert_int_equal(grow(4, MIB, 0), MIB);
	assert_int_equal(evicted, 0);
}

static void slow_messages_give_way_first(void **state)
{
	for (unsigned i = 0; i < 23; i++) {
		assert_true(spool_begin(&spool, &messages[i], 1, 0, 0));
		assert_int_equal(grow(i, 8 * MIB, 0), 8 * MIB);
	}
	/* they drip less than a step */
	for (uint64_t now = 1000; now <= SPOOL_STEP_MS + 1000; now += 1000)
		for (unsigned i = 0; i < 23; i++)
			assert_true(spool_grow(&spool, &messages[i], 1, now));
	assert_true(spool_begin(&spool, &messages[100], 1, 16 * MIB, SPOOL_STEP_MS + 1));
	assert_int_equal(evicted, 2); /* as many as it takes */
	assert_null(messages[0].sender);
	assert_null(messages[1].sender);
	assert_non_null(messages[2].sender);
	assert_int_equal(grow(100, 16 * MIB, SPOOL_STEP_MS + 1), 16 * MIB);
}

static void a_message_that_grows_does_not_give_way_to_its_own_sender(void **state)
{
	uint64_t now = 0;

	for (unsigned i = 0; i < 4; i++)
		assert_true(spool_begin(&spool, &messages[i], 1, 0, 0));
	for (; spool.held < ROOM * 3 / 4; now += SPOOL_STEP_MS / 2)
		for (unsigned i = 0; i < 4; i++)
			grow(i, MIB, now);
	now -= SPOOL_STEP_MS / 2;
	assert_false(spool_begin(&spool, &messages[10], 1, 8 * MIB, now));
	assert_int_equal(evicted, 0);
	for (unsigned i = 0; i < 4; i++)
		assert_non_null(messages[i].sender);
	assert_null(messages[10].sender);
}

/* When all room is used, the sender that holds most gives way, whoever asks. */
static void the_sender_that_holds_most_gives_way(void **state)
{
	unsigned n = 10;

	for (unsigned i = 0; i < 3; i++) {
		assert_true(spool_begin(&spool, &messages[i], 1, 0, 0));
		assert_int_equal(grow(i, 64 * MIB, 0), 64 * MIB);
	}
	for (uint64_t key = 2; spool.held < ROOM; key++, n++) {
		assert_true(spool_begin(&spool, &messages[n], key, 0, 0));
		assert_int_equal(grow(n, 8 * MIB, 0), 8 * MIB);
	}
	assert_int_equal(evicted, 0);
	assert_true(spool_begin(&spool, &messages[100], 1000, 0, 0));
	assert_int_equal(grow(100, MIB, 0), MIB);
	assert_int_equal(evicted, 1);
	assert_null(messages[0].sender);
}

static void complete_messages_do_not_give_way(void **state)
{
	for (unsigned i = 0; i < 4; i++) {
		assert_true(spool_begin(&spool, &messages[i], 1 + i, 0, 0));
		assert_int_equal(grow(i, 64 * MIB, 0), 64 * MIB);
		spool_complete(&spool, &messages[i]);
	}
	assert_true(spool_begin(&spool, &messages[10], 9, 0, 10 * SPOOL_STEP_MS));
	assert_int_equal(grow(10, MIB, 10 * SPOOL_STEP_MS), 0);
	assert_int_equal(evicted, 0);
	spool_end(&spool, &messages[2]);
	assert_int_equal(grow(10, MIB, 10 * SPOOL_STEP_MS), MIB);
}

static void time_for_a_message(void **state)
{
	assert_false(spool_late(5, 0, 5 + SPOOL_TIME_MS));
	assert_true(spool_late(5, 0, 6 + SPOOL_TIME_MS));
	/* 100 MiB at 16 KiB a second take 6,400 seconds more */
	assert_false(spool_late(5, 100 * MIB, 5 + SPOOL_TIME_MS + 6400 * 1000));
	assert_true(spool_late(5, 100 * MIB, 6 + SPOOL_TIME_MS + 6400 * 1000));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_of_senders),
		cmocka_unit_test_setup_teardown(the_last_quarter_is_for_small_messages, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(the_last_quarter_is_for_other_senders, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(slow_messages_give_way_first, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			a_message_that_grows_does_not_give_way_to_its_own_sender, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(the_sender_that_holds_most_gives_way, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(complete_messages_do_not_give_way, set_up,
						tear_down),
		cmocka_unit_test(time_for_a_message),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
