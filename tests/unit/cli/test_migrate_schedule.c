/* Whose mail `valija migrate --follow` moves next: the clock is the test's. */
#include "cli/migrate/follow/schedule.h"

#include "base/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define OLD SPAN_LITERAL("old")

static struct schedule *schedule;
static uint64_t now;

static int set_up(void **state)
{
	(void)state;
	schedule = schedule_create();
	now = 1000000;
	return schedule ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	schedule_destroy(schedule);
	return 0;
}

static void login(const char *name)
{
	schedule_login(schedule, span_of(name), OLD, now);
}

static void pass(const char *const *names)
{
	schedule_pass_begin(schedule);
	for (; *names; names++)
		schedule_listed(schedule, span_of(*names), OLD, now);
	schedule_pass_listed(schedule, now);
}

#define PASS(...) pass((const char *const[]){__VA_ARGS__ __VA_OPT__(, ) NULL})

/* Takes the next one, who is name. */
static struct schedule_user *next(const char *name)
{
	struct schedule_user *user = schedule_next(schedule, now, true);

	assert_non_null(user);
	assert_string_equal(user->name, name);
	return user;
}

static void nobody(void)
{
	assert_null(schedule_next(schedule, now, true));
}

static unsigned ended(struct schedule_user *user, enum schedule_verdict verdict, bool reached)
{
	return schedule_ended(schedule, user, verdict, OLD, reached, now);
}

/* Lets the time pass until somebody is due. Returns how long that was. */
static uint64_t wait(void)
{
	uint64_t ms = schedule_wait(schedule, now, true);

	assert_true(ms != UINT64_MAX);
	now += ms;
	return ms;
}

static void nobody_waits(void)
{
	assert_true(schedule_wait(schedule, now, true) == UINT64_MAX);
}

static void test_logins_go_before_a_pass(void **state)
{
	(void)state;
	PASS("anna", "berta", "carla");
	(void)next("anna");
	login("dora");
	login("carla"); /* waits already */
	assert_int_equal(schedule_wait(schedule, now, true), 0);
	(void)next("dora");
	(void)next("carla");
	assert_null(schedule_next(schedule, now, false)); /* nobody else logged in */
	(void)next("berta");
	nobody();
	nobody_waits();
}

static void test_a_pass_is_over_when_each_had_a_turn(void **state)
{
	struct schedule_user *anna;

	(void)state;
	schedule_pass_begin(schedule);
	assert_false(schedule_pass_over(schedule));
	schedule_listed(schedule, SPAN_LITERAL("anna"), OLD, now);
	anna = next("anna");
	assert_false(schedule_pass_over(schedule)); /* more may be listed */
	schedule_listed(schedule, SPAN_LITERAL("berta"), OLD, now);
	schedule_pass_listed(schedule, now);
	assert_false(schedule_pass_over(schedule));
	ended(next("berta"), SCHEDULE_HERE, true);
	assert_true(schedule_pass_over(schedule)); /* anna's may take days */
	ended(anna, SCHEDULE_AGAIN, true);
	PASS("anna", "berta"); /* anna waits, and is queued once */
	ended(next("berta"), SCHEDULE_HERE, true);
	nobody();
	assert_true(schedule_pass_over(schedule));
}

static void test_users_of_logins_are_in_later_passes(void **state)
{
	(void)state;
	login("carla");
	ended(next("carla"), SCHEDULE_HERE, true);
	login("carla"); /* the mail is here: late mail is for a pass */
	nobody_waits();
	PASS("anna");
	ended(next("anna"), SCHEDULE_HERE, true);
	ended(next("carla"), SCHEDULE_GONE, false);
	assert_int_equal(schedule_count(schedule), 1);
	PASS("anna");
	(void)next("anna");
	nobody();
}

static void test_a_busy_user_waits_longer_each_time(void **state)
{
	uint64_t before = 0, ms = 0;

	(void)state;
	login("anna");
	for (int i = 0; i < 20; i++) {
		struct schedule_user *user = next("anna");

		assert_int_equal(ended(user, SCHEDULE_AGAIN, false), 0);
		assert_true(schedule_waits_longest(user) == (i >= 9));
		nobody();
		ms = wait();
		assert_true(ms >= before);
		before = ms;
	}
	assert_int_equal(ms, 5 * 60 * 1000);
	ended(next("anna"), SCHEDULE_AGAIN, false);
	login("anna"); /* who is at work: it may be over in a moment */
	assert_int_equal(wait(), 1000);
	(void)next("anna");
}

static void test_others_go_on_meanwhile(void **state)
{
	(void)state;
	PASS("anna", "berta");
	ended(next("anna"), SCHEDULE_AGAIN, false);
	ended(next("berta"), SCHEDULE_AGAIN, false);
	(void)wait();
	(void)next("anna");
	(void)next("berta");
}

static void test_a_server_that_is_down_keeps_all_of_its_users(void **state)
{
	unsigned tries = 0;

	(void)state;
	PASS("anna", "berta", "carla");
	assert_int_equal(ended(next("anna"), SCHEDULE_CUT, false), 1);
	nobody();
	for (int i = 0; i < 100; i++) {
		struct schedule_user *user;

		if (wait() > 10 * 60 * 1000)
			fail();
		user = schedule_next(schedule, now, true);
		if (!user)
			continue;
		assert_int_equal(ended(user, SCHEDULE_CUT, false), ++tries + 1);
	}
	assert_true(schedule_pass_over(schedule)); /* other servers' late mail goes on */
	while (!schedule_next(schedule, now, true))
		(void)wait();
	assert_true(now > 1000000 + 60 * 60 * 1000);
}

static void test_a_session_that_breaks_keeps_nobody_else(void **state)
{
	(void)state;
	PASS("anna", "berta");
	assert_int_equal(ended(next("anna"), SCHEDULE_CUT, true), 0);
	(void)next("berta");
}

static void test_refused_logins_in_a_row(void **state)
{
	(void)state;
	PASS("anna", "berta", "carla", "dora");
	assert_int_equal(ended(next("anna"), SCHEDULE_DENIED, false), 1);
	assert_int_equal(ended(next("berta"), SCHEDULE_DENIED, false), 2);
	assert_int_equal(ended(next("carla"), SCHEDULE_DENIED, false), 3);
	nobody(); /* the next one may be one too many for that server */
	(void)wait();
	assert_int_equal(ended(next("dora"), SCHEDULE_HERE, true), 0);
	nobody_waits(); /* a login, or the next pass */
}

static void test_what_somebody_has_to_mend(void **state)
{
	(void)state;
	login("anna");
	assert_int_equal(ended(next("anna"), SCHEDULE_LATER, false), 0);
	assert_int_equal(wait(), 3 * 1000); /* the login may have mended it meanwhile */
	ended(next("anna"), SCHEDULE_LATER, false);
	nobody_waits();
	PASS("anna");
	ended(next("anna"), SCHEDULE_LATER, false);
	nobody_waits();
	login("anna"); /* not at once: each login would be one there */
	assert_int_equal(wait(), 30 * 1000);
	ended(next("anna"), SCHEDULE_HERE, true);
}

static void test_a_password_that_is_learned_at_a_login(void **state)
{
	(void)state;
	PASS("anna");
	ended(next("anna"), SCHEDULE_WAITS, false);
	nobody_waits();
	login("anna");
	ended(next("anna"), SCHEDULE_WAITS, false); /* at once, and it is not written down yet */
	assert_int_equal(wait(), 3 * 1000);
	ended(next("anna"), SCHEDULE_HERE, true);
}

static void test_a_login_while_it_runs(void **state)
{
	struct schedule_user *user;

	(void)state;
	PASS("anna");
	user = next("anna");
	login("anna"); /* its round has to end for that */
	nobody();
	ended(user, SCHEDULE_AGAIN, true);
	assert_int_equal(wait(), 1000);
	assert_ptr_equal(schedule_next(schedule, now, false), user); /* it goes first now */
}

static void test_what_was_said(void **state)
{
	struct schedule_user *user;

	(void)state;
	login("anna");
	user = next("anna");
	ended(user, SCHEDULE_CUT, false);
	assert_false(schedule_is_new(user, NULL));
	assert_true(schedule_is_new(user, "why"));
	assert_false(schedule_is_new(user, "why"));
	assert_true(schedule_is_new(user, "another"));
	assert_true(schedule_is_new(user, NULL));
	assert_true(schedule_is_new(user, "another"));
	assert_true(schedule_section_is_new(user, "why"));
	assert_false(schedule_section_is_new(user, "why"));
}

/* Whatever happens: each user is in one place, and nobody is forgotten. */
static void test_many_at_random(void **state)
{
	struct schedule_user *running[8] = {NULL};
	unsigned turns[200] = {0};

	(void)state;
	srand(7);
	for (int i = 0; i < 20000; i++) {
		struct schedule_user **slot = &running[rand() % 8];
		char name[16];

		snprintf(name, sizeof(name), "user%d", rand() % 200);
		if (rand() % 4 == 0)
			login(name);
		if (i % 2000 == 0) {
			schedule_pass_begin(schedule);
			for (int n = 0; n < 200; n++) {
				snprintf(name, sizeof(name), "user%d", n);
				schedule_listed(schedule, span_of(name), OLD, now);
			}
			schedule_pass_listed(schedule, now);
		}
		if (*slot)
			ended(*slot, (enum schedule_verdict)(rand() % (SCHEDULE_LATER + 1)),
			      rand() % 2);
		*slot = schedule_next(schedule, now, rand() % 2);
		if (*slot) {
			for (int n = 0; n < 8; n++)
				assert_true(&running[n] == slot || running[n] != *slot);
			turns[atoi((*slot)->name + 4)]++;
		}
		now += (uint64_t)(rand() % 1000);
	}
	for (int n = 0; n < 200; n++)
		assert_true(turns[n] > 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(test_logins_go_before_a_pass),
		TEST(test_a_pass_is_over_when_each_had_a_turn),
		TEST(test_users_of_logins_are_in_later_passes),
		TEST(test_a_busy_user_waits_longer_each_time),
		TEST(test_others_go_on_meanwhile),
		TEST(test_a_server_that_is_down_keeps_all_of_its_users),
		TEST(test_a_session_that_breaks_keeps_nobody_else),
		TEST(test_refused_logins_in_a_row),
		TEST(test_what_somebody_has_to_mend),
		TEST(test_a_password_that_is_learned_at_a_login),
		TEST(test_a_login_while_it_runs),
		TEST(test_what_was_said),
		TEST(test_many_at_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
