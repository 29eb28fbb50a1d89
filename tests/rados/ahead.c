/*
 * The store in RADOS against a cluster that runs: how many operations a login takes, and bodies
 * that are read before the client asks for them. test_ahead.py starts the cluster.
 */
#include "drive.h"
#include "faults.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MESSAGES = 100, ROOM = 65536, VALUES = 64, PATIENCE_MS = 60000 };

static char path[64];
static struct node node;
static struct view view;
static char room[ROOM];
static struct store_value values[VALUES];

static int begin(void **state)
{
	(void)state;
	faults_set(FAULT_NONE, 0, 0);
	drive_new_path(path);
	node = (struct node){.where = {NULL, NULL}};
	node_begin(&node);
	node_use(&node, path);
	return 0;
}

static int end(void **state)
{
	(void)state;
	faults_set(FAULT_NONE, 0, 0);
	node_end(&node);
	return 0;
}

/* Of 13 to 1,300 octets. */
static size_t text_of(uint32_t number, char ret[TEXT_MAX])
{
	size_t size = 0;

	for (uint32_t i = 0; i < number; i++)
		size += (size_t)sprintf(ret + size, "message %03u\r\n", (unsigned)number);
	return size;
}

static void deliver_all(void)
{
	char text[TEXT_MAX];

	assert_int_equal(node_make(&node), MAILDROP_OK);
	for (uint32_t n = 1; n <= MESSAGES; n++)
		assert_int_equal(node_deliver(&node, text, text_of(n, text)), MAILDROP_OK);
}

static void open_it(void)
{
	assert_int_equal(node_open(&node, &view), MAILDROP_OK);
	assert_int_equal(view.count, MESSAGES);
}

static struct store_fetch fetch_of(uint32_t first, uint32_t count)
{
	return (struct store_fetch){.first = first,
				    .count = count,
				    .room = room,
				    .room_size = sizeof(room),
				    .values = values};
}

static void check_values(const struct store_fetch *op)
{
	const char *at = room;

	assert_int_equal(op->form, STORE_VALUES);
	for (uint32_t i = 0; i < op->ready; i++) {
		char text[TEXT_MAX];
		size_t size = text_of(op->first + i, text);

		assert_int_equal(values[i].number, op->first + i);
		assert_int_equal(values[i].stored, size);
		assert_memory_equal(at, text, size);
		at += size;
	}
}

static bool over;

static void done(struct store_op *op)
{
	(void)op;
	over = true;
}

static uint32_t wait_for(uint32_t first, uint32_t count)
{
	struct store_fetch op = fetch_of(first, count);

	over = false;
	op.op.done = done;
	store_fetch(view.maildrop, &op);
	assert_false(over); /* never inside the call */
	drive_until(&over);
	assert_int_equal(op.op.status, MAILDROP_OK);
	check_values(&op);
	return op.ready;
}

static uint32_t have(uint32_t first, uint32_t count)
{
	struct store_fetch op = fetch_of(first, count);

	if (!store_try_fetch(view.maildrop, &op))
		return 0;
	check_values(&op);
	return op.ready;
}

static void a_login_to_a_known_log_is_two_operations(void **state)
{
	struct view again;

	(void)state;
	deliver_all();
	open_it();
	node_close(&node, &view, false);
	faults_set(FAULT_NONE, 0, 0);
	assert_int_equal(node_open(&node, &again), MAILDROP_OK);
	assert_int_equal(faults_count(), 2);
	node_close(&node, &again, false);
	assert_int_equal(faults_count(), 3); /* the lock is given back */
	assert_int_equal(node_deliver(&node, "one more\r\n", 10), MAILDROP_OK);
	faults_set(FAULT_NONE, 0, 0);
	assert_int_equal(node_open(&node, &again), MAILDROP_OK);
	assert_int_equal(faults_count(), 2);
	assert_int_equal(again.count, MESSAGES + 1);
	node_close(&node, &again, false);
}

static void a_delivery_to_a_known_log_is_two_operations(void **state)
{
	(void)state;
	deliver_all();
	open_it();
	node_close(&node, &view, false);
	faults_set(FAULT_NONE, 0, 0);
	assert_int_equal(node_deliver(&node, "one more\r\n", 10), MAILDROP_OK);
	assert_int_equal(faults_count(), 2);
}

static void a_client_that_reads_in_order_does_not_wait(void **state)
{
	uint32_t next = 1, n;

	(void)state;
	deliver_all();
	open_it();
	next += wait_for(1, 16);
	while (next <= MESSAGES) {
		for (unsigned i = 0; !(n = have(next, 16)) && i < PATIENCE_MS; i++)
			drive_for(1); /* it comes by itself */
		assert_int_not_equal(n, 0);
		next += n;
	}
	node_close(&node, &view, false);
}

/* Each body is asked for once, whether it was waited for or not. */
static void nothing_is_read_twice(void **state)
{
	uint32_t next = 1, n;

	(void)state;
	deliver_all();
	open_it();
	faults_set(FAULT_NONE, 0, 0);
	while (next <= MESSAGES) {
		n = have(next, 10);
		next += n ? n : wait_for(next, 10);
	}
	assert_int_equal(faults_count(), MESSAGES);
	node_close(&node, &view, false);
}

static void one_that_is_picked_brings_no_others(void **state)
{
	(void)state;
	deliver_all();
	open_it();
	faults_set(FAULT_NONE, 0, 0);
	assert_int_equal(wait_for(50, 1), 1);
	assert_int_equal(wait_for(90, 1), 1);
	assert_int_equal(wait_for(20, 1), 1);
	assert_int_equal(faults_count(), 3);
	assert_int_equal(have(21, 1), 0);
	node_close(&node, &view, false);
}

static void a_client_that_jumps_gets_what_it_asks_for(void **state)
{
	static const uint32_t jumps[] = {1, 9, 60, 61, 2, 95, 1, 9, 40, 30, 31, 100};

	(void)state;
	deliver_all();
	open_it();
	for (size_t i = 0; i < sizeof(jumps) / sizeof(jumps[0]); i++)
		if (!have(jumps[i], 8))
			assert_int_not_equal(wait_for(jumps[i], 8), 0);
	node_close(&node, &view, false);
}

/* What fails ahead of the client is no failure of what the client asks for. */
static void a_body_that_failed_ahead_is_read_again(void **state)
{
	uint32_t next = 1, n;

	(void)state;
	deliver_all();
	open_it();
	faults_set(FAULT_FAILS, 12, 3);
	while (next <= MESSAGES) {
		n = have(next, 8);
		next += n ? n : wait_for(next, 8);
	}
	assert_int_equal(faults_count(), MESSAGES + 3);
	node_close(&node, &view, false);
}

static void a_session_ends_while_bodies_come(void **state)
{
	(void)state;
	deliver_all();
	open_it();
	assert_int_equal(wait_for(1, 8), 8);
	node_close(&node, &view, true);
	open_it();
	assert_int_equal(wait_for(1, 8), 8);
	node_close(&node, &view, false);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
	const struct CMUnitTest tests[] = {
		TEST(a_login_to_a_known_log_is_two_operations),
		TEST(a_delivery_to_a_known_log_is_two_operations),
		TEST(a_client_that_reads_in_order_does_not_wait),
		TEST(nothing_is_read_twice),
		TEST(one_that_is_picked_brings_no_others),
		TEST(a_client_that_jumps_gets_what_it_asks_for),
		TEST(a_body_that_failed_ahead_is_read_again),
		TEST(a_session_ends_while_bodies_come),
	};
	int failed;

	drive_begin();
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	drive_end();
	return failed;
}
