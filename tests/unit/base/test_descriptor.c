/* Descriptors are closed once, and errno survives. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_closed_and_forgotten),
		cmocka_unit_test(test_none_is_left_alone),
		cmocka_unit_test(test_errno_is_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
