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

static void count_start(void *context)
{
	++*(unsigned *)context;
}

/* They come in their order, in one write, before what is urgent; all others of the process at
 * once. */
static void test_gathered_lines(void **state)
{
	static char text[LOG_LINE_MAX];
	unsigned started = 0, lines = 0;
	const char *got;

	log_open_pipe(LOG_LEVEL_INFO);
	log_gather(count_start, &started);
	log_info("one");
	log_info("two");
	log_debug("not this");
	assert_string_equal(written(), "");
	assert_int_equal(started, 1);
	log_flush();
	assert_string_equal(written(), "<2>one\n<2>two\n");
	log_flush();
	assert_string_equal(written(), "");
	log_info("three");
	errno = ENOENT;
	log_warning("four");
	assert_int_equal(errno, ENOENT);
	assert_string_equal(written(), "<2>three\n<1>four\n");
	/* more than fits together */
	memset(text, 'x', sizeof(text) - 1);
	started = 0;
	for (unsigned i = 0; i < 7; i++)
		log_info("%s", text);
	log_gather(NULL, NULL);
	while (*(got = written()))
		for (const char *at = got; (at = strchr(at, '\n')); at++)
			lines++;
	assert_int_equal(lines, 7);
	assert_true(started >= 2);
	log_info("at once");
	assert_string_equal(written(), "<2>at once\n");
}

/* Counts whole lines of what is in the pipe, and adds up what reports say of lost ones. */
static void count_lines(unsigned *ret_lines, unsigned long *ret_lost)
{
	static char all[512 * 1024];
	size_t used = 0;
	const char *got;

	for (; *(got = written()); used += strlen(got))
		memcpy(all + used, got, strlen(got) + 1);
	for (char *at = all, *end; used && (end = strchr(at, '\n')); at = end + 1) {
		unsigned long n;

		if (sscanf(at, "<1>%lu lines of this process lost", &n) == 1)
			*ret_lost += n;
		else
			++*ret_lines;
	}
}

/* Reports are short, so one may fit where the next lines do not. */
static void test_gathered_lines_that_do_not_fit_are_counted(void **state)
{
	static char text[LOG_LINE_MAX];
	unsigned long lost = 0;
	unsigned started = 0, lines = 0;
	const unsigned total = 300;

	memset(text, 'x', sizeof(text) - 1);
	assert_int_equal(fcntl(pipe_fds[1], F_SETFL, O_NONBLOCK), 0);
	log_open_pipe(LOG_LEVEL_INFO);
	log_gather(count_start, &started);
	for (unsigned i = 0; i < total; i++)
		log_info("%s", text);
	log_flush();
	count_lines(&lines, &lost);
	assert_true(lines > 10 && lines < total);
	log_info("next");
	log_flush();
	count_lines(&lines, &lost);
	assert_int_equal(lost + lines, total + 1);
	log_gather(NULL, NULL);
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
		cmocka_unit_test_setup_teardown(test_lines_that_do_not_fit_are_counted, setup,
						teardown), /* from then on it is a pipe */
		cmocka_unit_test_setup_teardown(test_gathered_lines, setup, teardown),
		cmocka_unit_test_setup_teardown(test_gathered_lines_that_do_not_fit_are_counted,
						setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
