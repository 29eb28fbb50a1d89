/* The pauses of an account whose destination takes nothing, and the messages meanwhile. */
#include "sink_test.h"

#include "fetch/sink/backoff.h"

enum { NOW = 1700000000 };

static struct journal *journal;

static int begin(void **state)
{
	int rc = place_begin(state);

	assert_int_equal(journal_open(&fetch_files_real, place.state, "j", "t", &journal, NULL), 0);
	return rc;
}

static int end(void **state)
{
	journal_close(journal);
	return place_end(state);
}

static void note(bool later, uint32_t wait, bool delivered, int64_t now)
{
	struct sink sink = {.later = later, .wait = wait};

	assert_int_equal(backoff_note(journal, &sink, delivered, now, "451 not now", NULL), 0);
}

/* Seconds until the next try; 0: at once. */
static int64_t waits(int64_t now)
{
	char text[200];
	long long left = 0;

	place.err = (struct err){0};
	if (backoff_check(journal, now, &place.err) == 0)
		return 0;
	assert_int_equal(place.err.code, EX_TEMPFAIL);
	assert_int_equal(sscanf(place.err.text,
				"the destination takes nothing now (451 not now): the next try is "
				"in %lld s",
				&left),
			 1);
	snprintf(text, sizeof(text),
		 "the destination takes nothing now (451 not now): the next try is in %lld s, or "
		 "at once with --now",
		 left);
	assert_string_equal(place.err.text, text);
	return left;
}

static void each_refusal_in_a_row_doubles_it(void **state)
{
	static const int64_t wanted[] = {0,    60,   120,  240,  480,  960,
					 1920, 3600, 3600, 3600, 3600, 3600};

	(void)state;
	assert_int_equal(waits(NOW), 0);
	for (size_t i = 0; i < sizeof(wanted) / sizeof(*wanted); i++) {
		note(true, 0, false, NOW);
		assert_int_equal(waits(NOW), wanted[i]);
		if (wanted[i])
			assert_int_equal(waits(NOW + wanted[i] - 1), 1);
		assert_int_equal(waits(NOW + wanted[i]), 0);
	}
	assert_string_equal(journal_recall(journal, "back-off"), "1700003600 8 451 not now");
}

static void a_delivery_ends_it(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++)
		note(true, 0, false, NOW);
	assert_int_equal(waits(NOW), 120);
	note(false, 0, false, NOW); /* nothing was collected: nothing is known */
	assert_int_equal(waits(NOW), 120);
	note(false, 0, true, NOW);
	assert_int_equal(waits(NOW), 0);
	note(true, 0, false, NOW); /* the first one again */
	assert_int_equal(waits(NOW), 0);
	note(true, 0, false, NOW);
	assert_int_equal(waits(NOW), 60);
	note(true, 0, true, NOW); /* some were taken, then no more */
	assert_int_equal(waits(NOW), 0);
	note(true, 0, false, NOW);
	assert_int_equal(waits(NOW), 60);
}

/* Nothing is written for an account that never had to wait. */
static void nothing_to_remember(void **state)
{
	(void)state;
	note(false, 0, true, NOW);
	assert_null(journal_recall(journal, "back-off"));
}

static void a_time_that_the_destination_names(void **state)
{
	(void)state;
	note(true, 90, false, NOW);
	assert_int_equal(waits(NOW), 90);
	note(true, 90, false, NOW);
	assert_int_equal(waits(NOW), 90);
	note(true, 90, false, NOW); /* the longer one */
	assert_int_equal(waits(NOW), 120);
	note(true, 86400, false, NOW);
	assert_int_equal(waits(NOW), 86400);
	note(true, 86401, false, NOW); /* no more than a day */
	assert_int_equal(waits(NOW), 86400);
	/* the clock was wrong then */
	assert_int_equal(waits(NOW - 1), 0);
}

static void what_the_journal_may_hold(void **state)
{
	static const char *const odd[] = {"", "x", "1700000100", "1700000100 0 451 not now",
					  "1700000100 x 451 not now"};

	(void)state;
	for (size_t i = 0; i < sizeof(odd) / sizeof(*odd); i++) {
		assert_int_equal(journal_remember(journal, "back-off", odd[i], NULL), 0);
		assert_int_equal(waits(NOW), 0);
		note(true, 0, false, NOW);
		assert_string_equal(journal_recall(journal, "back-off"),
				    "1700000000 1 451 not now");
	}
	assert_int_equal(journal_remember(journal, "back-off", "1700000100 1 451 not now", NULL),
			 0);
	assert_int_equal(waits(NOW), 100);
}

#define IN_PLACE(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_PLACE(each_refusal_in_a_row_doubles_it),
		IN_PLACE(a_delivery_ends_it),
		IN_PLACE(nothing_to_remember),
		IN_PLACE(a_time_that_the_destination_names),
		IN_PLACE(what_the_journal_may_hold),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
