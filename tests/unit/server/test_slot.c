/* The times that the monitor waits before it starts a process again, or gives one up that does not
 * end. */
#include "server/monitor/slot.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

static unsigned started;

static void again(struct slot *slot)
{
	(void)slot;
	started++;
}

static const struct slot_events events = {.again = again};

static struct loop *begin(struct slot *slot)
{
	struct err err;
	struct loop *loop = loop_create(&err);

	assert_non_null(loop);
	slot_init(slot, loop, NULL, &events);
	slot->started = loop_now(loop);
	started = 0;
	return loop;
}

static void test_the_wait_grows_while_lives_are_short(void **state)
{
	static const uint64_t waits[] = {10, 30, 90, 270, 800, 800, 800};
	struct slot slot = {0};
	struct loop *loop = begin(&slot);

	(void)state;
	for (size_t i = 0; i < sizeof(waits) / sizeof(*waits); i++) {
		slot.started = loop_now(loop);
		slot_start_later(&slot);
		assert_int_equal(slot.back_off, waits[i]);
	}
	/* it lived for more than ten seconds: the next one comes soon */
	slot.started = loop_now(loop) - 10001;
	slot_start_later(&slot);
	assert_int_equal(slot.back_off, 10);
	slot_no_more_starts(&slot);
	slot_finish(&slot);
	loop_destroy(loop);
}

static void test_a_process_that_does_not_end_is_given_up_once(void **state)
{
	enum { STUCK = 1500, FREED = 2147483647 }; /* no process has that id */
	struct slot slot = {0};
	struct loop *loop = begin(&slot);
	uint64_t now = loop_now(loop);

	(void)state;
	assert_false(slot_is_stuck(&slot));
	slot.pid = FREED;
	assert_false(slot_is_stuck(&slot)); /* it was not killed */
	slot.killed = now - STUCK + 1;
	assert_false(slot_is_stuck(&slot));
	slot.killed = now - STUCK;
	assert_true(slot_is_stuck(&slot));
	slot_abandon(&slot);
	assert_int_equal(slot.pid, 0);
	assert_false(slot_is_stuck(&slot));
	slot_finish(&slot);
	loop_destroy(loop);
}

static int refuse(struct slot *slot, struct err *err)
{
	(void)slot;
	return err_set(err, 1, "no channel");
}

static void test_a_process_that_cannot_be_told_its_part_is_killed(void **state)
{
	static const struct slot_events refusing = {.again = again, .brief = refuse};
	struct slot slot = {0};
	struct loop *loop = begin(&slot);
	int exe = open("/bin/true", O_RDONLY | O_CLOEXEC), status;
	struct err err;
	pid_t pid;

	(void)state;
	slot.events = &refusing;
	assert_true(exe >= 0);
	assert_int_equal(slot_start(&slot, exe, -1, 7, &err), -1);
	assert_string_equal(err.text, "no channel");
	assert_int_not_equal(slot.killed, 0);
	assert_int_equal(slot.instance, 7);
	pid = slot.pid;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	slot_reaped(&slot, status, true);
	assert_int_equal(slot.pid, 0);
	slot_finish(&slot);
	close(exe);
	loop_destroy(loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_wait_grows_while_lives_are_short),
		cmocka_unit_test(test_a_process_that_does_not_end_is_given_up_once),
		cmocka_unit_test(test_a_process_that_cannot_be_told_its_part_is_killed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
