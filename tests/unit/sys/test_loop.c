/* The loop: order of what runs when, descriptors, timers, deadlines, signals. */
#include "sys/loop.h"
#include "sys/loop_deadlines.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* What happened, in order. */
static char trace[256];

static void note(char c)
{
	size_t used = strlen(trace);

	assert_true(used + 1 < sizeof(trace));
	trace[used] = c;
}

static int set_up(void **state)
{
	memset(trace, 0, sizeof(trace));
	*state = loop_create(NULL);
	return *state ? 0 : -1;
}

static int tear_down(void **state)
{
	loop_destroy(*state);
	return 0;
}

/* ---- later ---- */

struct step {
	struct loop_later later;
	struct loop *loop;
	struct step *adds, *cancels;
	char name;
	bool stops;
};

static void run_step(struct loop_later *later)
{
	struct step *step = later->context;

	note(step->name);
	if (step->adds)
		loop_later_add(step->loop, &step->adds->later);
	if (step->cancels)
		loop_later_cancel(&step->cancels->later);
	if (step->stops)
		loop_stop(step->loop);
}

static void make_steps(struct loop *loop, struct step *steps, int count)
{
	for (int i = 0; i < count; i++)
		steps[i] = (struct step){.later = {.run = run_step, .context = &steps[i]},
					 .loop = loop,
					 .name = (char)('a' + i)};
}

static void test_later_keeps_order_and_runs_once(void **state)
{
	struct step steps[4];

	make_steps(*state, steps, 4);
	for (int i = 0; i < 4; i++)
		loop_later_add(*state, &steps[i].later);
	loop_later_add(*state, &steps[1].later);
	loop_later_cancel(&steps[3].later);
	loop_later_cancel(&steps[3].later);
	loop_run(*state); /* ends by itself: nothing is left */
	assert_string_equal(trace, "abc");
}

static void test_later_cancelled_by_an_earlier_one(void **state)
{
	struct step steps[4];

	make_steps(*state, steps, 4);
	steps[0].cancels = &steps[3]; /* the last of the running ones */
	steps[1].adds = &steps[0];    /* the next turn */
	steps[0].adds = NULL;
	for (int i = 0; i < 4; i++)
		loop_later_add(*state, &steps[i].later);
	loop_run(*state);
	assert_string_equal(trace, "abca");
}

static void ready_noted(struct loop_watch *watch, int what)
{
	note(what == LOOP_READ ? 'R' : what == LOOP_WRITE ? 'W' : 'B');
	loop_watch_want(watch, 0);
}

/* One that adds itself for ever must not keep the loop from the descriptors. */
static void test_later_added_in_a_run_waits_for_the_descriptors(void **state)
{
	struct step steps[2];
	struct loop_watch watch;
	int fds[2];

	assert_int_equal(pipe(fds), 0);
	assert_int_equal(write(fds[1], "x", 1), 1);
	make_steps(*state, steps, 2);
	steps[0].adds = &steps[1];
	steps[1].stops = true;
	loop_watch_init(&watch, *state, fds[0], ready_noted, NULL);
	assert_int_equal(loop_watch_want(&watch, LOOP_READ), 0);
	loop_later_add(*state, &steps[0].later);
	loop_run(*state);
	assert_string_equal(trace, "aRb");
	loop_watch_finish(&watch);
	close(fds[0]);
	close(fds[1]);
}

static void add_last(struct loop_later *later)
{
	struct step *step = later->context;

	note(step->name);
	loop_later_add_last(step->loop, &step->adds->later);
}

static void test_last_runs_in_the_turn_that_added_it(void **state)
{
	struct step steps[5];

	make_steps(*state, steps, 5);
	loop_later_add_last(*state, &steps[4].later);
	loop_later_add_slow(*state, &steps[3].later);
	steps[0].later.run = add_last;
	steps[0].adds = &steps[2];
	steps[2].adds = &steps[1]; /* the next turn */
	loop_later_add(*state, &steps[0].later);
	loop_run(*state);
	assert_string_equal(trace, "aecdb");
}

/* Handshakes: one a turn, behind what is short. */
static void test_slow_ones_run_behind_the_others(void **state)
{
	struct step steps[5];

	make_steps(*state, steps, 5);
	loop_later_add_slow(*state, &steps[0].later);
	loop_later_add_slow(*state, &steps[1].later);
	assert_true(loop_slow_waits(*state));
	loop_later_add(*state, &steps[2].later);
	loop_later_add(*state, &steps[3].later);
	steps[0].adds = &steps[4]; /* in the next turn it is before the next slow one */
	loop_run(*state);
	assert_string_equal(trace, "cdaeb");
	assert_false(loop_slow_waits(*state));
}

/* ---- descriptors ---- */

static void readable_noted(struct loop_watch *watch, int what)
{
	(void)what;
	note(*(const char *)watch->context);
	loop_watch_want(watch, 0);
}

static void test_an_urgent_one_is_looked_at_first(void **state)
{
	struct loop_watch watch[3];
	int fds[3][2];

	for (int i = 0; i < 3; i++) {
		assert_int_equal(pipe(fds[i]), 0);
		loop_watch_init(&watch[i], *state, fds[i][0], readable_noted, &"abc"[i]);
		assert_int_equal(loop_watch_want(&watch[i], LOOP_READ), 0);
		assert_int_equal(write(fds[i][1], "x", 1), 1);
	}
	assert_int_equal(loop_watch_urgent(&watch[2]), 0);
	loop_run(*state);
	assert_string_equal(trace, "cab");
	for (int i = 0; i < 3; i++) {
		loop_watch_finish(&watch[i]);
		close(fds[i][0]);
		close(fds[i][1]);
	}
}

static void test_watch_fires_for_what_is_wanted(void **state)
{
	struct loop_watch watch;
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	loop_watch_init(&watch, *state, fds[0], ready_noted, NULL);
	assert_int_equal(loop_watch_want(&watch, LOOP_READ), 0);
	assert_int_equal(loop_watch_want(&watch, LOOP_READ | LOOP_WRITE), 0);
	loop_run(*state);
	assert_string_equal(trace, "W");
	assert_int_equal(write(fds[1], "x", 1), 1);
	assert_int_equal(loop_watch_want(&watch, LOOP_READ | LOOP_WRITE), 0);
	loop_run(*state);
	assert_int_equal(loop_watch_want(&watch, LOOP_WRITE), 0);
	assert_int_equal(loop_watch_want(&watch, LOOP_READ), 0);
	loop_run(*state);
	assert_string_equal(trace, "WBR");
	loop_watch_finish(&watch);
	close(fds[0]);
	close(fds[1]);
}

static void test_watch_of_a_file_is_refused(void **state)
{
	struct loop_watch watch;
	FILE *file = tmpfile();

	assert_non_null(file);
	loop_watch_init(&watch, *state, fileno(file), ready_noted, NULL);
	assert_int_equal(loop_watch_want(&watch, LOOP_READ), -1);
	loop_watch_finish(&watch);
	fclose(file);
}

static void ready_hangup(struct loop_watch *watch, int what)
{
	struct pollfd poller = {.fd = watch->fd, .events = POLLRDHUP};

	assert_int_equal(what, LOOP_HANGUP);
	poll(&poller, 1, 0);
	if (poller.revents & (POLLRDHUP | POLLHUP | POLLERR)) {
		note(poller.revents & POLLERR ? 'E' : 'H');
		loop_watch_want(watch, 0);
	}
}

/* Octets that nobody reads must not make it fire over and over; the end must be told. */
static void test_hangup_behind_unread_octets(void **state)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	const struct linger at_once = {1, 0};
	socklen_t size = sizeof(address);
	struct loop_watch watch;
	int listener = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(bind(listener, (struct sockaddr *)&address, size), 0);
	assert_int_equal(listen(listener, 5), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &size), 0);
	for (int reset = 0; reset < 2; reset++) {
		int client = socket(AF_INET, SOCK_STREAM, 0), server;

		assert_int_equal(connect(client, (struct sockaddr *)&address, size), 0);
		server = accept(listener, NULL, NULL);
		assert_int_equal(send(client, "unread", 6, 0), 6);
		loop_watch_init(&watch, *state, server, ready_hangup, NULL);
		assert_int_equal(loop_watch_want(&watch, LOOP_HANGUP), 0);
		if (reset)
			setsockopt(client, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
		close(client);
		loop_run(*state);
		loop_watch_finish(&watch);
		close(server);
	}
	assert_string_equal(trace, "HE");
	close(listener);
}

/* ---- time ---- */

struct alarm {
	struct loop_timer timer;
	char name;
};

static void alarm_fired(struct loop_timer *timer)
{
	note(((struct alarm *)timer)->name);
}

static void test_timers_fire_in_order(void **state)
{
	struct alarm alarms[3];
	uint64_t began = loop_now(*state);

	for (int i = 0; i < 3; i++) {
		alarms[i].name = (char)('a' + i);
		loop_timer_init(&alarms[i].timer, *state, alarm_fired, NULL);
	}
	loop_timer_set(&alarms[0].timer, 30);
	loop_timer_set(&alarms[1].timer, 1);
	loop_timer_set(&alarms[2].timer, 5);
	loop_timer_set(&alarms[2].timer, 60); /* set again: once, at the later time */
	loop_run(*state);
	assert_string_equal(trace, "bac");
	loop_timer_set(&alarms[0].timer, 1);
	loop_timer_cancel(&alarms[0].timer);
	loop_run(*state);
	assert_string_equal(trace, "bac");
	assert_true(loop_now(*state) >= began + 50);
}

struct slot {
	struct loop_deadline deadline;
	char name;
};

static void slot_expired(struct loop_deadlines *deadlines, struct loop_deadline *deadline)
{
	struct slot *slot = (struct slot *)deadline, *other = deadlines->context;

	note(slot->name);
	if (other) /* allowed: another one in the list */
		loop_deadline_cancel(&other->deadline);
}

static void test_deadlines_expire_in_order_of_renewal(void **state)
{
	struct loop_deadlines deadlines, never;
	struct slot slots[5];

	loop_deadlines_init(&deadlines, *state, 10, slot_expired, &slots[4]);
	loop_deadlines_init(&never, *state, 0, slot_expired, NULL);
	for (int i = 0; i < 5; i++) {
		slots[i].name = (char)('a' + i);
		loop_deadline_init(&slots[i].deadline);
		loop_deadline_cancel(&slots[i].deadline); /* in no list: nothing happens */
		loop_deadline_renew(&deadlines, &slots[i].deadline);
	}
	loop_deadline_renew(&deadlines, &slots[0].deadline);
	loop_deadline_cancel(&slots[2].deadline);
	loop_deadline_renew(&never, &slots[3].deadline); /* left the other list */
	loop_run(*state);
	assert_string_equal(trace, "ba");
	loop_deadlines_finish(&deadlines);
	loop_deadlines_finish(&never);
}

static void expired_renews(struct loop_deadlines *deadlines, struct loop_deadline *deadline)
{
	note('x');
	if (strlen(trace) < 3)
		loop_deadline_renew(deadlines, deadline);
}

static void test_deadline_renewed_when_it_expires(void **state)
{
	struct loop_deadlines deadlines;
	struct loop_deadline deadline;

	loop_deadlines_init(&deadlines, *state, 2, expired_renews, NULL);
	loop_deadline_init(&deadline);
	loop_deadline_renew(&deadlines, &deadline);
	loop_run(*state);
	assert_string_equal(trace, "xxx");
	loop_deadlines_finish(&deadlines);
}

/* ---- signals, scratch ---- */

static void caught(struct loop_signal *sig, int number)
{
	note(number == SIGUSR1 ? '1' : '2');
	if (number == SIGUSR2)
		loop_stop(sig->loop);
	else
		raise(SIGUSR2);
}

static void test_signals_arrive_in_the_loop(void **state)
{
	struct loop_signal first, second;

	loop_signal_init(&first, *state, SIGUSR1, caught, NULL);
	loop_signal_init(&second, *state, SIGUSR2, caught, NULL);
	raise(SIGUSR1);
	assert_string_equal(trace, "");
	loop_run(*state);
	assert_string_equal(trace, "12");
	loop_signal_finish(&first);
	loop_signal_finish(&second);
}

static void test_scratch_is_shared_and_grows(void **state)
{
	char *small = loop_scratch(*state, LOOP_SCRATCH_INPUT, 100), *large;

	assert_ptr_equal(loop_scratch(*state, LOOP_SCRATCH_INPUT, 50), small);
	assert_ptr_not_equal(loop_scratch(*state, LOOP_SCRATCH_OUTPUT, 100), small);
	large = loop_scratch(*state, LOOP_SCRATCH_INPUT, 100000);
	memset(large, 1, 100000);
	assert_ptr_equal(loop_scratch(*state, LOOP_SCRATCH_INPUT, 100), large);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_later_keeps_order_and_runs_once),
		TEST(test_later_cancelled_by_an_earlier_one),
		TEST(test_later_added_in_a_run_waits_for_the_descriptors),
		TEST(test_last_runs_in_the_turn_that_added_it),
		TEST(test_slow_ones_run_behind_the_others),
		TEST(test_an_urgent_one_is_looked_at_first),
		TEST(test_watch_fires_for_what_is_wanted),
		TEST(test_watch_of_a_file_is_refused),
		TEST(test_hangup_behind_unread_octets),
		TEST(test_timers_fire_in_order),
		TEST(test_deadlines_expire_in_order_of_renewal),
		TEST(test_deadline_renewed_when_it_expires),
		TEST(test_signals_arrive_in_the_loop),
		TEST(test_scratch_is_shared_and_grows),
	};

	alarm(60); /* an event that never comes is a failure, not a hang */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
