/* The PAM server with a PAM of ours: what children do, and what the lookup process may send. */
#include "lookup/system/server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { LANES = 8, LONG_MS = 60000 };

static char user[256]; /* of the system, with a uid other than 0 */
static int lanes[LANES];
static char left_behind[64]; /* file with the pid of a program that a module started */

/* Every descriptor that the child has: none must reach the lookup process. */
static enum verdict try_to_answer(void)
{
	char packet[FRAME_VERDICT_SIZE];

	for (uint64_t id = 1; id < 4; id++)
		for (int fd = 0; fd < 256; fd++) {
			frame_put_verdict(&(struct frame_verdict){id, VERDICT_RIGHT, 0}, packet);
			(void)!write(fd, packet, sizeof(packet));
		}
	return VERDICT_WRONG;
}

static void leave_program_behind(void)
{
	char part[sizeof(left_behind) + 8];
	pid_t pid = fork();
	FILE *file;

	if (pid == 0) {
		setsid();
		/* whole when it is there: this process may be killed at once then */
		snprintf(part, sizeof(part), "%s.part", left_behind);
		file = fopen(part, "w");
		fprintf(file, "%d\n", (int)getpid());
		fclose(file);
		rename(part, left_behind);
		for (;;)
			pause();
	}
	while (access(left_behind, R_OK) < 0)
		usleep(1000);
}

/* Stands for PAM: the password says what happens. */
static enum verdict fake(const char *service, const char *name, const char *address, char *secret,
			 uint32_t *ret_detail)
{
	*ret_detail = 9;
	if (strcmp(service, "a-service") != 0 || strcmp(name, user) != 0 ||
	    strcmp(address, "192.0.2.1") != 0)
		return VERDICT_LOCKED;
	if (strcmp(secret, "right") == 0)
		return VERDICT_RIGHT;
	if (strcmp(secret, "expired") == 0)
		return VERDICT_EXPIRED;
	if (strcmp(secret, "down") == 0)
		return VERDICT_DOWN;
	if (strcmp(secret, "exit 0") == 0)
		_exit(0);
	if (strcmp(secret, "exit 1") == 0)
		_exit(1);
	if (strcmp(secret, "garbage") == 0)
		_exit(0x50); /* a verdict's number that is none */
	if (strcmp(secret, "crash") == 0)
		raise(SIGKILL);
	if (strcmp(secret, "answer") == 0)
		return try_to_answer();
	if (strcmp(secret, "leave") == 0)
		leave_program_behind();
	while (strcmp(secret, "hang") == 0)
		pause();
	return VERDICT_WRONG;
}

static uint64_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * 1000 + (uint64_t)time.tv_nsec / 1000000;
}

static int set_up(void **state)
{
	struct server_settings settings = {.service = "a-service",
					   .range = {1, 4294967294},
					   .lanes = LANES,
					   .longest = LONG_MS,
					   .ask = fake};
	struct err err;

	(void)state;
	snprintf(left_behind, sizeof(left_behind), "/tmp/test-pam-server-%d", (int)getpid());
	return server_start(&settings, lanes, &err);
}

/* The server ends with its last lane. */
static int tear_down(void **state)
{
	int status;

	(void)state;
	for (unsigned i = 0; i < LANES; i++)
		close(lanes[i]);
	unlink(left_behind);
	return waitpid(-1, &status, 0) > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0
											    : -1;
}

static void ask_as(unsigned lane, uint64_t id, const char *name, const char *secret,
		   uint64_t deadline)
{
	struct frame_question question = {.head = {id, deadline}, .address = "192.0.2.1"};
	char packet[FRAME_QUESTION_MAX];
	size_t size;

	snprintf(question.user, sizeof(question.user), "%s", name);
	snprintf(question.secret, sizeof(question.secret), "%s", secret);
	size = frame_put_question(&question, packet);
	assert_int_equal(send(lanes[lane], packet, size, MSG_NOSIGNAL), size);
}

static void ask_from(unsigned lane, uint64_t id, const char *address)
{
	struct frame_question question = {.head = {id, now() + LONG_MS}, .secret = "right"};
	char packet[FRAME_QUESTION_MAX];
	size_t size;

	strcpy(question.user, user);
	strcpy(question.address, address);
	size = frame_put_question(&question, packet);
	assert_int_equal(send(lanes[lane], packet, size, MSG_NOSIGNAL), size);
}

static void ask(unsigned lane, uint64_t id, const char *secret)
{
	ask_as(lane, id, user, secret, now() + LONG_MS);
}

static struct frame_verdict answer(unsigned lane)
{
	struct pollfd polled = {.fd = lanes[lane], .events = POLLIN};
	struct frame_verdict got = {0};
	char packet[64];
	ssize_t n;

	assert_int_equal(poll(&polled, 1, LONG_MS), 1);
	n = recv(lanes[lane], packet, sizeof(packet), 0);
	assert_true(n > 0);
	assert_int_equal(frame_take_verdict((pop3_span){packet, (size_t)n}, &got), 0);
	return got;
}

static void expect(unsigned lane, uint64_t id, enum verdict verdict, uint32_t detail)
{
	struct frame_verdict got = answer(lane);

	assert_int_equal(got.id, id);
	assert_int_equal(got.verdict, verdict);
	assert_int_equal(got.detail, detail);
}

static bool is_closed(unsigned lane)
{
	struct pollfd polled = {.fd = lanes[lane], .events = POLLIN};
	char octet;

	return poll(&polled, 1, LONG_MS) == 1 && recv(lanes[lane], &octet, 1, 0) <= 0;
}

static void verdicts_arrive(void **state)
{
	(void)state;
	ask(0, 1, "right");
	expect(0, 1, VERDICT_RIGHT, 0);
	ask(0, 2, "wrong");
	expect(0, 2, VERDICT_WRONG, 0);
	ask(0, 3, "expired");
	expect(0, 3, VERDICT_EXPIRED, 0);
	ask(0, 4, "down");
	expect(0, 4, VERDICT_DOWN, 9);
}

static void many_at_once(void **state)
{
	(void)state;
	for (uint64_t id = 1; id <= 50; id++)
		for (unsigned lane = 0; lane < LANES; lane++)
			ask(lane, id, (id + lane) % 2 ? "right" : "wrong");
	for (uint64_t id = 1; id <= 50; id++)
		for (unsigned lane = 0; lane < LANES; lane++)
			expect(lane, id, (id + lane) % 2 ? VERDICT_RIGHT : VERDICT_WRONG, 0);
}

static void threat_64_a_module_that_hangs_is_ended(void **state)
{
	(void)state;
	ask(1, 1, "hang"); /* holds its own lane only */
	ask_as(0, 1, user, "hang", now() + 50);
	for (uint64_t id = 1; id <= 5; id++) {
		ask(2, id, "right");
		expect(2, id, VERDICT_RIGHT, 0);
	}
	expect(0, 1, VERDICT_DOWN, DETAIL_HUNG);
	ask(0, 2, "right");
	expect(0, 2, VERDICT_RIGHT, 0);
	ask_as(0, 3, user, "right", 0); /* over before it came: one or the other, and no more */
	assert_int_equal(answer(0).id, 3);
	ask(0, 4, "wrong");
	expect(0, 4, VERDICT_WRONG, 0);
}

static void threat_61_a_child_says_nothing_else(void **state)
{
	static const char *const ways[] = {"exit 0", "exit 1", "garbage", "crash"};

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		ask(0, i + 1, ways[i]);
		expect(0, i + 1, VERDICT_DOWN, DETAIL_DIED);
	}
	ask(0, 9, "answer");
	expect(0, 9, VERDICT_WRONG, 0);
}

static void programs_that_outlive_a_child_are_ended(void **state)
{
	FILE *file;
	int pid = 0;

	(void)state;
	ask(0, 1, "leave");
	expect(0, 1, VERDICT_WRONG, 0);
	file = fopen(left_behind, "r");
	assert_non_null(file);
	assert_int_equal(fscanf(file, "%d", &pid), 1);
	fclose(file);
	assert_true(pid > 0);
	for (unsigned i = 0; kill(pid, 0) == 0; i++) { /* until the server has reaped it */
		assert_true(i < LONG_MS);
		usleep(1000);
	}
	assert_int_equal(errno, ESRCH);
}

static void threat_29_the_lookup_process_asks_for_no_others(void **state)
{
	(void)state;
	ask_as(0, 1, "root", "right", now() + LONG_MS);
	expect(0, 1, VERDICT_DOWN, DETAIL_QUESTION);
	ask_as(0, 2, "no-such-user-here", "right", now() + LONG_MS);
	expect(0, 2, VERDICT_DOWN, DETAIL_QUESTION);
	ask_as(0, 3, "../../etc/passwd", "right", now() + LONG_MS);
	expect(0, 3, VERDICT_DOWN, DETAIL_QUESTION);
	ask_from(0, 4, "-:ALL:ALL\n");
	expect(0, 4, VERDICT_DOWN, DETAIL_QUESTION);
	ask_from(0, 5, "localhost");
	expect(0, 5, VERDICT_DOWN, DETAIL_QUESTION);
	ask_from(0, 6, "");
	expect(0, 6, VERDICT_LOCKED, 0);
	ask_from(0, 7, "2001:db8::7");
	expect(0, 7, VERDICT_LOCKED, 0);
	ask(0, 8, "right");
	expect(0, 8, VERDICT_RIGHT, 0);
}

static void threat_29_garbage_closes_a_lane_alone(void **state)
{
	char garbage[70000];

	(void)state;
	memset(garbage, 0x80, sizeof(garbage));
	assert_int_equal(send(lanes[0], garbage, 3, MSG_NOSIGNAL), 3);
	assert_true(is_closed(0));
	memset(garbage, 0, 16); /* the front of a question, then nonsense, of any length */
	for (size_t size = 16; size < sizeof(garbage); size = size * 2 + 1) {
		assert_int_equal(send(lanes[1], garbage, size, MSG_NOSIGNAL), size);
		assert_int_equal(answer(1).verdict, VERDICT_DOWN);
	}
	ask(1, 2, "right");
	expect(1, 2, VERDICT_RIGHT, 0);
}

static void the_server_ends_with_a_child_at_work(void **state)
{
	(void)state;
	ask(0, 1, "hang"); /* tear_down waits for the server */
	ask(1, 1, "right");
	expect(1, 1, VERDICT_RIGHT, 0);
}

static int find_user(void **state)
{
	const struct passwd *entry;

	(void)state;
	while ((entry = getpwent()))
		if (entry->pw_uid != 0 && strlen(entry->pw_name) < sizeof(user)) {
			strcpy(user, entry->pw_name);
			break;
		}
	endpwent();
	return user[0] ? 0 : -1;
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		CASE(verdicts_arrive),
		CASE(many_at_once),
		CASE(threat_64_a_module_that_hangs_is_ended),
		CASE(threat_61_a_child_says_nothing_else),
		CASE(programs_that_outlive_a_child_are_ended),
		CASE(threat_29_the_lookup_process_asks_for_no_others),
		CASE(threat_29_garbage_closes_a_lane_alone),
		CASE(the_server_ends_with_a_child_at_work),
	};

	return cmocka_run_group_tests(tests, find_user, NULL);
}
