/* A message as its octets come: in memory, on the disk, and from one to the other, with a real
 * worker. No descriptor stays open behind it. */
#include "server/lmtp/message.h"

#include "base/text.h"
#include "sys/conn.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PIECES = 40 };

static struct {
	struct loop *loop;
	struct workers *workers;
	struct lmtp_message *message;
	char text[CONN_SCRATCH];
	unsigned settled;
	unsigned descriptors;
} test;

static unsigned open_descriptors(void)
{
	DIR *folder = opendir("/proc/self/fd");
	unsigned count = 0;

	assert_non_null(folder);
	while (readdir(folder))
		count++;
	closedir(folder);
	return count;
}

static void settled(void *context)
{
	assert_ptr_equal(context, &test);
	test.settled++;
	loop_stop(test.loop);
}

static int begin(void **state)
{
	struct err err;

	(void)state;
	memset(&test, 0, sizeof(test));
	test.loop = loop_create(&err);
	test.workers = workers_create(test.loop, 1, 0, 8, &err);
	assert_non_null(test.workers);
	for (size_t i = 0; i < sizeof(test.text); i++)
		test.text[i] = (char)('a' + i % 25);
	test.descriptors = open_descriptors();
	test.message = message_create(test.workers, settled, &test);
	assert_non_null(test.message);
	return 0;
}

static int end(void **state)
{
	(void)state;
	message_release(&test.message);
	workers_destroy(test.workers);
	loop_destroy(test.loop);
	return 0;
}

static void wait_settled(void)
{
	unsigned before = test.settled;

	assert_true(message_busy(test.message));
	loop_run(test.loop);
	assert_int_equal(test.settled, before + 1);
	assert_false(message_busy(test.message));
}

static int add(void)
{
	int rc = message_add(test.message, (pop3_span){test.text, sizeof(test.text)});

	if (rc == 0 && message_busy(test.message))
		wait_settled();
	return rc;
}

static void to_disk(int how)
{
	char path[40];
	int fds[2];

	fds[0] = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	assert_true(fds[0] >= 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fds[0]);
	fds[1] = open(path, O_RDONLY | O_CLOEXEC);
	if (how == O_RDONLY) { /* a disk that takes nothing */
		int one = open(path, O_RDONLY | O_CLOEXEC);

		close(fds[0]);
		fds[0] = one;
	}
	message_to_disk(test.message, fds);
	assert_int_equal(fds[0], -1);
	assert_int_equal(fds[1], -1);
	assert_true(message_on_disk(test.message));
}

static void expect_whole(unsigned pieces)
{
	static char got[CONN_SCRATCH];
	int fd = message_fd(test.message);

	assert_int_equal(message_size(test.message), pieces * sizeof(test.text));
	assert_int_equal(lseek(fd, 0, SEEK_END), pieces * sizeof(test.text));
	for (unsigned i = 0; i < pieces; i++) {
		assert_int_equal(pread(fd, got, sizeof(got), (off_t)(i * sizeof(got))),
				 sizeof(got));
		assert_memory_equal(got, test.text, sizeof(got));
	}
	assert_int_equal(write(fd, "x", 1), -1); /* nobody can write by it */
}

static void test_in_memory(void **state)
{
	(void)state;
	for (int i = 0; i < PIECES; i++)
		assert_int_equal(add(), 0);
	assert_int_equal(test.settled, 0);
	assert_false(message_on_disk(test.message));
	assert_int_equal(message_complete(test.message), 1);
	expect_whole(PIECES);
	message_release(&test.message);
	assert_null(test.message);
	message_release(&test.message);
	assert_int_equal(open_descriptors(), test.descriptors);
}

/* Complete: 0 as long as octets are on their way to the disk. */
static void complete(void)
{
	int rc = message_complete(test.message);

	if (rc == 0) {
		wait_settled();
		rc = message_complete(test.message);
	}
	assert_int_equal(rc, 1);
}

static void test_on_the_disk(void **state)
{
	(void)state;
	to_disk(O_RDWR);
	for (int i = 0; i < PIECES; i++)
		assert_int_equal(add(), 0);
	assert_true(test.settled > 0);
	assert_true(test.settled < PIECES); /* not one job for each piece */
	complete();
	expect_whole(PIECES);
	assert_int_equal(open_descriptors(), test.descriptors + 1); /* to read by alone */
	message_release(&test.message);
	assert_int_equal(open_descriptors(), test.descriptors);
}

/* All that was in memory goes with the next octets, and the memory is free. */
static void test_from_memory_to_the_disk(void **state)
{
	(void)state;
	for (int i = 0; i < PIECES; i++)
		assert_int_equal(add(), 0);
	to_disk(O_RDWR);
	assert_int_equal(add(), 0);
	assert_int_equal(test.settled, 1);
	assert_int_equal(open_descriptors(), test.descriptors + 2);
	complete();
	expect_whole(PIECES + 1);
}

/* Also where none come any more. */
static void test_to_the_disk_at_its_end(void **state)
{
	(void)state;
	assert_int_equal(add(), 0);
	to_disk(O_RDWR);
	assert_int_equal(message_complete(test.message), 0);
	assert_int_equal(message_complete(test.message), 0); /* it is busy */
	wait_settled();
	assert_int_equal(message_complete(test.message), 1);
	assert_int_equal(message_complete(test.message), 1);
	expect_whole(1);
}

static void test_a_disk_that_takes_nothing(void **state)
{
	(void)state;
	assert_int_equal(add(), 0);
	assert_false(message_failed(test.message));
	to_disk(O_RDONLY);
	assert_int_equal(message_add(test.message, SPAN_LITERAL("more")), 0);
	assert_false(message_failed(test.message)); /* not known yet */
	wait_settled();
	assert_true(message_failed(test.message));
	assert_int_equal(message_complete(test.message), -1);
}

/* More than its buffer has room for is refused, and the message with it. */
static void test_more_than_fits(void **state)
{
	static char large[512 * 1024];

	(void)state;
	to_disk(O_RDWR);
	memset(large, 'x', sizeof(large));
	assert_int_equal(message_add(test.message, (pop3_span){large, sizeof(large)}), -1);
	assert_true(message_failed(test.message));
	assert_int_equal(message_size(test.message), 0);
	assert_int_equal(message_complete(test.message), -1);
}

/* It is released while a worker writes: it goes with the worker, and nobody is called. */
static void test_released_while_it_is_busy(void **state)
{
	(void)state;
	assert_int_equal(message_add(test.message, SPAN_LITERAL("x")), 0);
	to_disk(O_RDWR);
	assert_int_equal(message_complete(test.message), 0);
	message_release(&test.message);
	assert_null(test.message);
	/* a second one behind it */
	test.message = message_create(test.workers, settled, &test);
	assert_int_equal(message_add(test.message, SPAN_LITERAL("y")), 0);
	to_disk(O_RDWR);
	assert_int_equal(message_complete(test.message), 0);
	wait_settled();
	assert_int_equal(test.settled, 1);
	assert_int_equal(message_complete(test.message), 1);
	message_release(&test.message);
	assert_int_equal(open_descriptors(), test.descriptors);
}

#define WITH_MESSAGE(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_MESSAGE(test_in_memory),
		WITH_MESSAGE(test_on_the_disk),
		WITH_MESSAGE(test_from_memory_to_the_disk),
		WITH_MESSAGE(test_to_the_disk_at_its_end),
		WITH_MESSAGE(test_a_disk_that_takes_nothing),
		WITH_MESSAGE(test_more_than_fits),
		WITH_MESSAGE(test_released_while_it_is_busy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
