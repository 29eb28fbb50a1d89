/* The lines of figures: of each process that was started, and of nothing behind the sums. */
#include "server/control/figures.h"

#include "server/child.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
	enum ipc_role role;
	uint64_t starts, connections;
} counted[] = {{ROLE_FRONT, 3, 5}, {(enum ipc_role)(ROLE_COUNT - 1), 2, 0}};

struct totals *__wrap_totals_of_pages(const struct totals_pages *pages);

/* What was counted, with other octets behind it. */
struct totals *__wrap_totals_of_pages(const struct totals_pages *pages)
{
	struct totals *totals = malloc(2 * sizeof(*totals));

	(void)pages;
	assert_non_null(totals);
	memset(totals, 0, sizeof(*totals));
	memset(totals + 1, 7, sizeof(*totals));
	totals->ignored = 7;
	for (size_t i = 0; i < sizeof(counted) / sizeof(*counted); i++) {
		uint64_t *slots = totals->slots[counted[i].role];

		slots[COUNTER_STARTS] = counted[i].starts;
		slots[COUNTER_CONNECTIONS] = counted[i].connections;
	}
	return totals;
}

static unsigned times(const char *text, const char *wanted)
{
	unsigned count = 0;

	for (const char *at = text; (at = strstr(at, wanted)); at++)
		count++;
	return count;
}

static void test_each_process_that_was_started(void **state)
{
	static struct config config;
	struct child child = {.config = &config};
	struct control *control = calloc(1, sizeof(*control));
	char wanted[100], *text;
	uint64_t lines = 0;
	size_t size = 0;

	(void)state;
	assert_non_null(control);
	control->frame.child = &child;
	text = figures_lines(control, FIGURES_STATS, &size, &lines);
	assert_non_null(text);
	assert_int_equal(strlen(text), size);
	assert_int_equal(times(text, "\n"), lines);
	assert_int_equal(times(text, "\tvalija_process_starts\t"), 2);
	for (size_t i = 0; i < 2; i++) {
		snprintf(wanted, sizeof(wanted), "counter\tvalija_process_starts\tprocess=%s\t%u\n",
			 ipc_role_name(counted[i].role), (unsigned)counted[i].starts);
		assert_int_equal(times(text, wanted), 1);
	}
	assert_int_equal(times(text, "\tvalija_process_failures\t"), 2); /* 0 of each */
	assert_int_equal(times(text, "counter\tvalija_connections\t"), 1);
	free(text);
	free(control);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_process_that_was_started),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
