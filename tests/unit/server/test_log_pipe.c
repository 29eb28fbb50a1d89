/* The log of valijad: what a child writes into its pipe, and a reader that does not read. Standard
 * error is a pipe here; a second pipe is that of a hostile child. */
#include "base/log.h"
#include "server/monitor/log_pipe.h"
#include "server/monitor/logbook.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

static struct {
	struct loop *loop;
	struct log_pipe pipe;
	int child, out, saved;
	char text[4 << 20];
	size_t used;
} test;

static int begin(void **state)
{
	struct err err;
	int fds[2];

	(void)state;
	unsetenv("JOURNAL_STREAM");
	if (pipe(fds) < 0)
		return -1;
	test.saved = dup(STDERR_FILENO);
	dup2(fds[1], STDERR_FILENO);
	close(fds[1]);
	test.out = fds[0];
	test.used = 0;
	test.text[0] = '\0';
	test.loop = loop_create(&err);
	if (!test.loop || logbook_open("valijad", &err) < 0)
		return -1;
	memset(&test.pipe, 0, sizeof(test.pipe));
	log_pipe_init(&test.pipe, test.loop);
	if (log_pipe_open(&test.pipe, &test.child, &err) < 0)
		return -1;
	log_pipe_start(&test.pipe, "front", 0, 77);
	return 0;
}

static int end(void **state)
{
	(void)state;
	log_pipe_finish(&test.pipe);
	close(test.out); /* what is left cannot be written */
	logbook_close();
	dup2(test.saved, STDERR_FILENO);
	close(test.saved);
	close(test.child);
	loop_destroy(test.loop);
	return 0;
}

/* Everything up to a text that must come. */
static char *read_until(const char *last)
{
	while (!strstr(test.text, last)) {
		struct pollfd wait = {.fd = test.out, .events = POLLIN};
		ssize_t n;

		assert_int_equal(poll(&wait, 1, 20000), 1);
		n = read(test.out, test.text + test.used, sizeof(test.text) - 1 - test.used);
		assert_true(n > 0);
		test.used += (size_t)n;
		test.text[test.used] = '\0';
	}
	return test.text;
}

static void from_child(const char *text, size_t size)
{
	assert_int_equal(write(test.child, text, size), size);
}

static void child_says(const char *text)
{
	from_child(text, strlen(text));
}

/* The text after "front0[77]: " of the n-th line, cut out in place. */
static char *line(char *text, unsigned n)
{
	while (n--)
		text = strchr(text, '\n') + 1;
	text[strcspn(text, "\n")] = '\0';
	text = strstr(text, "front0[77]: ");
	assert_non_null(text);
	return text + strlen("front0[77]: ");
}

static const char *only_line(const char *written)
{
	child_says(written);
	child_says("<2>last\n");
	log_pipe_finish(&test.pipe);
	return line(read_until("last\n"), 0);
}

static void test_a_line_gets_its_level_and_a_time(void **state)
{
	char *text;

	(void)state;
	child_says("<0>cannot\n<2>hello\n");
	log_pipe_finish(&test.pipe);
	text = read_until("hello\n");
	assert_true(text[4] == '-' && text[7] == '-' && text[10] == 'T' && text[13] == ':');
	assert_non_null(strstr(text, " front0[77]: error: cannot\n"));
	assert_non_null(strstr(text, " front0[77]: hello\n"));
}

static void test_a_priority_that_is_none_is_text(void **state)
{
	(void)state;
	assert_string_equal(only_line("<9>emergency\n"), "warning: output: <9>emergency");
}

static void test_a_level_counts_in_its_place_only(void **state)
{
	(void)state;
	assert_string_equal(only_line("<2>x\r<0>auth0[1]: y\n"), "x\\x0d<0>auth0[1]: y");
}

static void test_the_line_of_another_process_is_text_of_this_one(void **state)
{
	(void)state;
	assert_string_equal(only_line("auth0[12]: login from=192.0.2.1\n"),
			    "warning: output: auth0[12]: login from=192.0.2.1");
}

static void test_escapes_are_made_visible(void **state)
{
	(void)state;
	assert_string_equal(only_line("<2>a\x1b[2Jb\xc3\xa9\\x0a\n"), "a\\x1b[2Jb\\xc3\\xa9\\x0a");
}

/* Each octet at each place of two words and a rest: what is printable stays, all else is escaped.
 */
static void test_each_octet_at_each_place(void **state)
{
	enum { PLACES = 19 };
	char text[3 + PLACES + 1], wanted[PLACES + 4];

	(void)state;
	log_pipe_finish(&test.pipe);
	for (unsigned place = 0; place < PLACES; place++)
		for (unsigned octet = 0; octet < 256; octet++) {
			const char *got;
			int fd;

			if (octet == '\n')
				continue;
			memcpy(text, "<2>abcdefgh~ jklmnopqr", 3 + PLACES);
			text[3 + place] = (char)octet;
			text[3 + PLACES] = '\n';
			snprintf(wanted, sizeof(wanted),
				 octet < 0x20 || octet > 0x7e ? "%.*s\\x%02x%s" : "%.*s%c%s",
				 (int)place, "abcdefgh~ jklmnopqr", octet,
				 &"abcdefgh~ jklmnopqr"[place + 1]);
			assert_int_equal(log_pipe_open(&test.pipe, &fd, NULL), 0);
			log_pipe_start(&test.pipe, "front", 0, 77);
			assert_int_equal(write(fd, text, sizeof(text)), sizeof(text));
			assert_int_equal(write(fd, "<2>last\n", 8), 8);
			close(fd);
			log_pipe_finish(&test.pipe);
			got = line(read_until("last\n"), 0);
			assert_string_equal(got, wanted);
			test.used = 0;
			test.text[0] = '\0';
		}
}

static void test_a_line_without_end_is_cut(void **state)
{
	static char text[60000];
	char *first;

	(void)state;
	memset(text, 'x', sizeof(text));
	memcpy(text, "<2>", 3);
	from_child(text, sizeof(text));
	from_child("\n<2>next\n", 9);
	log_pipe_finish(&test.pipe);
	first = line(read_until("next\n"), 0);
	assert_true(strlen(first) < LOG_LINE_MAX + 16);
	assert_string_equal(first + strlen(first) - 4, " ...");
}

static void test_the_last_words_of_a_child_that_died(void **state)
{
	(void)state;
	child_says("==77==ERROR: AddressSanitizer: x\n    #0 in main");
	log_pipe_finish(&test.pipe);
	read_until("#0 in main\n");
	assert_non_null(strstr(test.text, "front0[77]: warning: output: ==77==ERROR: Addr"));
}

static void stop(struct loop_timer *timer)
{
	loop_stop(timer->loop);
}

static void run(unsigned ms)
{
	struct loop_timer timer;

	loop_timer_init(&timer, test.loop, stop, NULL);
	loop_timer_set(&timer, ms);
	loop_run(test.loop);
}

/* Nobody reads standard error, and a child floods the log: the child loses its own lines; the
 * monitor does not wait, and its line is there afterwards. */
static void test_a_flood_costs_its_own_lines_only(void **state)
{
	static char flood[1000];
	unsigned refused = 0;

	(void)state;
	memset(flood, 'y', sizeof(flood));
	memcpy(flood, "<2>", 3);
	flood[sizeof(flood) - 1] = '\n';
	for (unsigned i = 0; i < 3000 && refused < 100; i++) {
		if (write(test.child, flood, sizeof(flood)) == sizeof(flood))
			continue;
		refused++;
		run(15);
	}
	assert_int_equal(refused, 100);
	assert_false(logbook_has_room());
	log_info("the monitor goes on");
	assert_int_equal(write(test.child, flood, sizeof(flood)), -1);
	read_until("the monitor goes on\n");
	assert_null(strstr(test.text, "lines lost"));
}

/* More of the monitor's own lines than the buffer holds: counted, and logged when it is read. */
static void test_lost_lines_are_counted(void **state)
{
	static char text[LOG_LINE_MAX - 24];
	unsigned long written = 0, lost = 0;

	(void)state;
	memset(text, 'z', sizeof(text) - 1);
	for (unsigned i = 0; i < 2000; i++)
		log_info("%s", text);
	read_until("lines lost");
	log_info("the end");
	for (char *at = read_until("the end\n"); (at = strstr(at, "zzz\n")); at++)
		written++;
	for (char *at = test.text; (at = strstr(at, "warning: ")); at++)
		lost += strtoul(at + strlen("warning: "), NULL, 10);
	assert_true(lost > 0);
	assert_int_equal(written + lost, 2000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_a_line_gets_its_level_and_a_time, begin, end),
		cmocka_unit_test_setup_teardown(test_a_priority_that_is_none_is_text, begin, end),
		cmocka_unit_test_setup_teardown(test_a_level_counts_in_its_place_only, begin, end),
		cmocka_unit_test_setup_teardown(
			test_the_line_of_another_process_is_text_of_this_one, begin, end),
		cmocka_unit_test_setup_teardown(test_escapes_are_made_visible, begin, end),
		cmocka_unit_test_setup_teardown(test_each_octet_at_each_place, begin, end),
		cmocka_unit_test_setup_teardown(test_a_line_without_end_is_cut, begin, end),
		cmocka_unit_test_setup_teardown(test_the_last_words_of_a_child_that_died, begin,
						end),
		cmocka_unit_test_setup_teardown(test_a_flood_costs_its_own_lines_only, begin, end),
		cmocka_unit_test_setup_teardown(test_lost_lines_are_counted, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
