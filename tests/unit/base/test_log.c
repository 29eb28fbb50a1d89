/* The log, seen from outside: standard error is a pipe here and each line is read back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"

static int pipe_fds[2], saved_stderr;

static int setup(void **state)
{
	unsetenv("JOURNAL_STREAM");
	if (pipe(pipe_fds) != 0 || fcntl(pipe_fds[0], F_SETFL, O_NONBLOCK) != 0)
		return -1;
	saved_stderr = dup(STDERR_FILENO);
	return dup2(pipe_fds[1], STDERR_FILENO) < 0 ? -1 : 0;
}

static int teardown(void **state)
{
	dup2(saved_stderr, STDERR_FILENO);
	close(saved_stderr);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
	return 0;
}

/* What was written since the last call; "" if nothing. */
static const char *written(void)
{
	static char buf[8192];
	ssize_t n = read(pipe_fds[0], buf, sizeof(buf) - 1);

	buf[n > 0 ? n : 0] = '\0';
	return buf;
}

static const char *expected(const char *text)
{
	static char buf[256];

	snprintf(buf, sizeof(buf), "tester[%d]: %s\n", (int)getpid(), text);
	return buf;
}

static void test_levels(void **state)
{
	log_open("tester", LOG_LEVEL_WARNING);
	log_info("not this");
	assert_string_equal(written(), "");
	log_warning("number %d", 7);
	assert_string_equal(written(), expected("warning: number 7"));
	log_set_level(LOG_LEVEL_INFO);
	log_info("now this");
	assert_string_equal(written(), expected("now this"));
	log_debug("not this");
	assert_string_equal(written(), "");
	log_error("and this");
	assert_string_equal(written(), expected("error: and this"));
}

static void test_threat_28_log_injection(void **state)
{
	log_open("tester", LOG_LEVEL_INFO);
	log_info("user %s", "bob\r\ntester[1]: error: forged\x1b[2K\xe2\x80\xae");
	assert_string_equal(
		written(),
		expected("user bob\\x0d\\x0atester[1]: error: forged\\x1b[2K\\xe2\\x80\\xae"));
}

static void test_long_lines_are_cut(void **state)
{
	static char text[5000];

	memset(text, '\1', sizeof(text) - 1);
	log_open("tester", LOG_LEVEL_INFO);
	log_info("%s", text);
	const char *line = written();
	size_t n = strlen(line);

	assert_true(n > 1000 && n <= LOG_LINE_MAX + 80);
	assert_string_equal(line + n - 4, "...\n");
	assert_null(memchr(line, '\n', n - 1));
}

static void test_journal_priority(void **state)
{
	setenv("JOURNAL_STREAM", "1:2", 1);
	log_open("tester", LOG_LEVEL_INFO);
	unsetenv("JOURNAL_STREAM");
	log_error("x");
	assert_int_equal(strncmp(written(), "<3>tester[", 10), 0);
	log_open("tester", LOG_LEVEL_INFO);
}

/* The pipe is full: nothing waits, and the line that fits next comes behind the count. */
static void test_lines_that_do_not_fit_are_counted(void **state)
{
	static char text[LOG_LINE_MAX];
	unsigned long lost = 0, written_lines = 0;
	const unsigned total = 300;
	const char *got;

	memset(text, 'x', sizeof(text) - 1);
	assert_int_equal(fcntl(pipe_fds[1], F_SETFL, O_NONBLOCK), 0);
	log_open_pipe(LOG_LEVEL_INFO);
	for (unsigned i = 0; i < total; i++)
		log_info("%s", text);
	while (*(got = written()))
		for (const char *at = got; (at = strchr(at, '\n')); at++)
			written_lines++;
	log_error("next");
	assert_int_equal(sscanf(got = written(), "<1>%lu lines of this process lost", &lost), 1);
	assert_true(lost > 100);
	assert_int_equal(lost + written_lines, total);
	assert_non_null(strstr(got, "\n<0>next\n"));
	log_info("and no count again");
	assert_string_equal(written(), "<2>and no count again\n");
}

static void test_errno_stays(void **state)
{
	log_open("tester", LOG_LEVEL_INFO);
	errno = ENOENT;
	log_info("x");
	assert_int_equal(errno, ENOENT);
	written();
}

static void test_err(void **state)
{
	struct err err = {0};

	assert_int_equal(err_set(&err, 65, "line %d: bad", 3), -1);
	assert_int_equal(err.code, 65);
	assert_string_equal(err.text, "line 3: bad");
	assert_int_equal(err_prefix(&err, "file %s", "x.conf"), -1);
	assert_string_equal(err.text, "file x.conf: line 3: bad");
	assert_int_equal(err_sys(&err, 66, ENOENT, "x.conf"), -1);
	assert_int_equal(err.errnum, ENOENT);
	assert_string_equal(err.text, "x.conf: No such file or directory");
	assert_int_equal(err_set(NULL, 65, "x"), -1);
	assert_int_equal(err_prefix(NULL, "x"), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_levels, setup, teardown),
		cmocka_unit_test_setup_teardown(test_threat_28_log_injection, setup, teardown),
		cmocka_unit_test_setup_teardown(test_long_lines_are_cut, setup, teardown),
		cmocka_unit_test_setup_teardown(test_journal_priority, setup, teardown),
		cmocka_unit_test_setup_teardown(test_errno_stays, setup, teardown),
		cmocka_unit_test(test_err),
		cmocka_unit_test_setup_teardown(
			test_lines_that_do_not_fit_are_counted, setup,
			teardown), /* the last one: from then on it is a pipe */
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
