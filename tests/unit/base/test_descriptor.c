/* Descriptors are closed once, and errno survives; reads and writes are whole. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/descriptor.h"

static void test_closed_and_forgotten(void **state)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC), number = fd;

	assert_true(fd >= 0);
	close_fd(&fd);
	assert_int_equal(fd, -1);
	assert_int_equal(fcntl(number, F_GETFD), -1);
	assert_int_equal(errno, EBADF);
}

static void test_none_is_left_alone(void **state)
{
	int fd = -1;

	errno = ENOSPC;
	close_fd(&fd);
	assert_int_equal(fd, -1);
	assert_int_equal(errno, ENOSPC);
}

static void test_errno_is_kept(void **state)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC), number = fd;

	close(number); /* closing it again fails with EBADF */
	errno = ENOSPC;
	close_fd(&fd);
	assert_int_equal(fd, -1);
	assert_int_equal(errno, ENOSPC);
}

static void ignore(int number)
{
	(void)number;
}

/* More than a pipe holds, written and read in many pieces, under a hail of signals. */
static void test_whole_reads_and_writes(void **state)
{
	enum { SIZE = 1 << 20 };
	struct sigaction action = {.sa_handler = ignore}; /* no SA_RESTART */
	char *sent = malloc(SIZE), *got = malloc(SIZE + 1);
	pid_t parent = getpid(), reader, hail;
	int fds[2], status;

	for (size_t i = 0; i < SIZE; i++)
		sent[i] = (char)(i * 7 >> 3);
	sigaction(SIGUSR1, &action, NULL);
	assert_int_equal(pipe(fds), 0);
	reader = fork();
	if (reader == 0) {
		close(fds[1]);
		usleep(20000); /* the pipe fills up */
		_exit(read_all(fds[0], got, SIZE + 1) != SIZE || memcmp(got, sent, SIZE) != 0);
	}
	hail = fork();
	for (int i = 0; hail == 0; i++) {
		kill(parent, SIGUSR1);
		kill(reader, SIGUSR1);
		usleep(100);
		if (i == 20000 || getppid() != parent)
			_exit(0);
	}
	close(fds[0]);
	assert_int_equal(write_all(fds[1], sent, SIZE), 0);
	close(fds[1]);
	while (waitpid(reader, &status, 0) < 0)
		assert_int_equal(errno, EINTR);
	assert_int_equal(status, 0);
	kill(hail, SIGKILL);
	waitpid(hail, NULL, 0);
	signal(SIGUSR1, SIG_DFL);
	free(sent);
	free(got);
}

/* Signals without a pause, until it is killed. */
static pid_t hail_of(int number)
{
	pid_t parent = getpid(), hail = fork();

	while (hail == 0)
		if (kill(parent, number) < 0 || getppid() != parent)
			_exit(0);
	return hail;
}

/* poll(2) itself fails with EINTR then, also when it is not to wait. */
static void test_events_under_a_hail_of_signals(void **state)
{
	struct sigaction action = {.sa_handler = ignore}; /* no SA_RESTART */
	struct timespec before, after;
	int full[2], empty[2];
	pid_t hail;

	assert_int_equal(pipe(full), 0);
	assert_int_equal(pipe(empty), 0);
	assert_int_equal(write_all(full[1], "x", 1), 0);
	sigaction(SIGUSR1, &action, NULL);
	hail = hail_of(SIGUSR1);
	for (int i = 0; i < 2000; i++) {
		assert_int_equal(wait_fd(full[0], POLLIN, 0), POLLIN);
		assert_int_equal(wait_fd(empty[0], POLLIN, 0), 0);
	}
	clock_gettime(CLOCK_MONOTONIC, &before);
	assert_int_equal(wait_fd(empty[0], POLLIN, 50), 0);
	clock_gettime(CLOCK_MONOTONIC, &after);
	assert_true((after.tv_sec - before.tv_sec) * 1000 +
			    (after.tv_nsec - before.tv_nsec) / 1000000 >=
		    49);
	kill(hail, SIGKILL);
	waitpid(hail, NULL, 0);
	signal(SIGUSR1, SIG_DFL);
	close(full[1]);
	assert_true(wait_fd(full[0], 0, 0) & POLLHUP);
	close(full[0]);
	assert_int_equal(wait_fd(full[0], 0, 0), POLLNVAL);
	close(empty[0]);
	close(empty[1]);
}

static void test_as_many_octets_as_asked_for(void **state)
{
	char got[8] = "";
	int fds[2];

	assert_int_equal(pipe(fds), 0);
	assert_int_equal(write_all(fds[1], "abcdef", 6), 0);
	assert_int_equal(read_all(fds[0], got, 4), 4);
	assert_string_equal(got, "abcd");
	close(fds[1]);
	assert_int_equal(read_all(fds[0], got, 4), 2);
	assert_int_equal(read_all(fds[0], got, 4), 0);
	close(fds[0]);
	errno = 0;
	assert_int_equal(read_all(fds[0], got, 4), -1);
	assert_int_equal(errno, EBADF);
	assert_int_equal(write_all(fds[1], got, 1), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_closed_and_forgotten),
		cmocka_unit_test(test_none_is_left_alone),
		cmocka_unit_test(test_errno_is_kept),
		cmocka_unit_test(test_whole_reads_and_writes),
		cmocka_unit_test(test_events_under_a_hail_of_signals),
		cmocka_unit_test(test_as_many_octets_as_asked_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
