/* How long the monitor waits before it starts a process again. */
#include "server/monitor/slot.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_wait_grows_while_lives_are_short),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
