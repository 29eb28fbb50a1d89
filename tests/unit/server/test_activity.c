/* For how long a client has done nothing: what moves it, and what the socket says. */
#include "server/front/activity.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static struct conn conn;
static struct activity activity;
static uint64_t silent;
static bool blocked;

uint64_t __wrap_conn_silent(const struct conn *of);
bool __wrap_conn_blocked(const struct conn *of);

uint64_t __wrap_conn_silent(const struct conn *of)
{
	assert_ptr_equal(of, &conn);
	return silent;
}

bool __wrap_conn_blocked(const struct conn *of)
{
	assert_ptr_equal(of, &conn);
	return blocked;
}

static int begin(void **state)
{
	(void)state;
	conn = (struct conn){.octets_in = 10, .octets_out = 20};
	activity = (struct activity){.last = 0};
	silent = UINT64_MAX;
	blocked = false;
	activity_note(&activity, &conn, 1000, false);
	return 0;
}

static void test_octets_of_both_ways_count(void **state)
{
	(void)state;
	assert_int_equal(activity_idle(&activity, &conn, 1500), 500);
	activity_note(&activity, &conn, 2000, false); /* looked after, and nothing moved */
	assert_int_equal(activity_idle(&activity, &conn, 2500), 1500);
	conn.octets_in++;
	activity_note(&activity, &conn, 3000, false);
	assert_int_equal(activity_idle(&activity, &conn, 3500), 500);
	conn.octets_out++;
	activity_note(&activity, &conn, 4000, false);
	activity_note(&activity, &conn, 5000, false);
	assert_int_equal(activity_idle(&activity, &conn, 5500), 1500);
}

static void test_what_goes_out_counts_before_it_has_left(void **state)
{
	(void)state;
	activity_note(&activity, &conn, 2000, true);
	assert_int_equal(activity_idle(&activity, &conn, 2500), 500);
}

static void test_acknowledgements_count(void **state)
{
	(void)state;
	silent = 50;
	assert_int_equal(activity_idle(&activity, &conn, 2000), 50);
	silent = 5000;
	assert_int_equal(activity_idle(&activity, &conn, 2000), 1000);
}

/* While a reply goes out, its pieces count when they are asked about; else what moved since the
 * last command counts when that is over. */
static void test_pieces_of_a_reply_that_waits(void **state)
{
	(void)state;
	conn.octets_out += 100;
	assert_int_equal(activity_idle(&activity, &conn, 2000), 1000);
	blocked = true;
	assert_int_equal(activity_idle(&activity, &conn, 2000), 0);
	assert_int_equal(activity_idle(&activity, &conn, 3000), 1000);
}

#define OF_A_CLIENT(test) cmocka_unit_test_setup(test, begin)

int main(void)
{
	const struct CMUnitTest tests[] = {
		OF_A_CLIENT(test_octets_of_both_ways_count),
		OF_A_CLIENT(test_what_goes_out_counts_before_it_has_left),
		OF_A_CLIENT(test_acknowledgements_count),
		OF_A_CLIENT(test_pieces_of_a_reply_that_waits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
