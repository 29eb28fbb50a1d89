/* Destinations of the log: a file on a disk that is full, a file that was renamed, and a syslog
 * that reads, does not read, is gone and comes back. Each lost line is counted. */
#include "server/monitor/log_sink.h"

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
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

static struct {
	char folder[64], file[96];
	struct config config;
	struct log_sink sink;
	struct err err;
	char text[1 << 20];
} test;

static unsigned asked;

static bool never(void)
{
	return false;
}

static bool at_once(void)
{
	asked++;
	return true;
}

static void log_to(const char *to)
{
	snprintf(test.config.log_to, sizeof(test.config.log_to), "%s", to);
}

static int begin(void **state)
{
	(void)state;
	unsetenv("JOURNAL_STREAM");
	memset(&test, 0, sizeof(test));
	strcpy(test.folder, "/tmp/valija-log-XXXXXX");
	if (!mkdtemp(test.folder))
		return -1;
	snprintf(test.config.directory, sizeof(test.config.directory), "%s", test.folder);
	snprintf(test.file, sizeof(test.file), "%s/log", test.folder);
	log_to("./log");
	log_sink_init(&test.sink);
	return 0;
}

static int end(void **state)
{
	char path[96];

	(void)state;
	log_sink_close(&test.sink);
	unlink(test.file);
	snprintf(path, sizeof(path), "%s/old", test.folder);
	unlink(path);
	rmdir(path);
	return rmdir(test.folder);
}

static const char *text_of(const char *path)
{
	int fd = open(path, O_RDONLY);
	ssize_t n = read(fd, test.text, sizeof(test.text) - 1);

	close(fd);
	assert_true(n >= 0);
	test.text[n] = '\0';
	return test.text;
}

/* Behind the lines there is another one in memory, which is not of them. */
static unsigned long put(const char *lines)
{
	char copy[1024];
	size_t size = strlen(lines);

	assert_true(size + 2 < sizeof(copy));
	snprintf(copy, sizeof(copy), "%s\n", lines);
	return log_sink_write(&test.sink, copy, size, never);
}

static void open_sink(void)
{
	assert_int_equal(log_sink_open(&test.sink, &test.config, &test.err), 0);
}

/* ---- files ---- */

static void test_a_file_is_made_and_added_to(void **state)
{
	mode_t mask = umask(077);
	struct stat st;

	(void)state;
	open_sink();
	umask(mask);
	assert_int_equal(test.sink.form, LOG_FORM_TIME);
	assert_int_equal(put("a\nb\n"), 0);
	open_sink();
	assert_int_equal(put("c\n"), 0);
	assert_string_equal(text_of(test.file), "a\nb\nc\n");
	assert_int_equal(stat(test.file, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
}

/* A path from the root is taken as it is, another one begins at the configuration's folder. */
static void test_where_a_file_is(void **state)
{
	(void)state;
	log_to(test.file);
	open_sink();
	assert_int_equal(put("a\n"), 0);
	assert_string_equal(text_of(test.file), "a\n");
	log_to("log");
	open_sink();
	assert_int_equal(put("b\n"), 0);
	assert_string_equal(text_of(test.file), "a\nb\n");
}

/* Events have a destination of their own: none, a file, or a socket that is written to as a syslog.
 */
static void test_where_events_go(void **state)
{
	struct log_sink sink;

	(void)state;
	assert_int_equal(log_sink_open_events(&sink, &test.config, &test.err), 0);
	assert_int_equal(sink.kind, LOG_SINK_NONE);
	assert_int_equal(sink.fd, -1);
	strcpy(test.config.log_events, "./log");
	assert_int_equal(log_sink_open_events(&sink, &test.config, &test.err), 0);
	assert_int_equal(sink.kind, LOG_SINK_FILE);
	assert_string_equal(sink.path, test.file);
	assert_int_equal(log_sink_write(&sink, "{}\n", 3, never), 0);
	assert_string_equal(text_of(test.file), "{}\n");
	log_sink_close(&sink);
	strcpy(test.config.log_events, "./missing/log");
	assert_int_equal(log_sink_open_events(&sink, &test.config, &test.err), -1);
	assert_non_null(strstr(test.err.text, "missing/log"));
	snprintf(test.config.log_events, sizeof(test.config.log_events), "unix:%s/socket",
		 test.folder);
	(void)log_sink_open_events(&sink, &test.config, &test.err);
	assert_int_equal(sink.kind, LOG_SINK_SYSLOG);
	assert_string_equal(sink.path, test.config.log_events + 5);
	log_sink_close(&sink);
}

/* The words of systemd's journal are for its pipe alone. */
static void test_lines_to_standard_error(void **state)
{
	(void)state;
	log_to("stderr");
	open_sink();
	assert_int_equal(test.sink.kind, LOG_SINK_STDERR);
	assert_int_equal(test.sink.fd, STDERR_FILENO);
	assert_int_not_equal(test.sink.form, LOG_FORM_JOURNAL);
	setenv("JOURNAL_STREAM", "1:2", 1);
	open_sink();
	assert_int_equal(test.sink.form, LOG_FORM_JOURNAL);
	log_to("./log");
	open_sink();
	assert_int_equal(test.sink.form, LOG_FORM_TIME);
	unsetenv("JOURNAL_STREAM");
}

static void test_what_is_no_file_is_refused(void **state)
{
	(void)state;
	assert_int_equal(mkfifo(test.file, 0600), 0);
	assert_int_equal(log_sink_open(&test.sink, &test.config, &test.err), -1);
	assert_non_null(strstr(test.err.text, test.file));
	log_to("./");
	assert_int_equal(log_sink_open(&test.sink, &test.config, &test.err), -1);
	log_to("./missing/log");
	assert_int_equal(log_sink_open(&test.sink, &test.config, &test.err), -1);
	assert_non_null(strstr(test.err.text, "missing/log"));
}

static void test_a_renamed_file_is_opened_by_its_name(void **state)
{
	char old[96];

	(void)state;
	snprintf(old, sizeof(old), "%s/old", test.folder);
	open_sink();
	put("one\n");
	assert_int_equal(rename(test.file, old), 0);
	put("two\n");
	assert_int_equal(log_sink_reopen(&test.sink, &test.err), 0);
	put("three\n");
	assert_string_equal(text_of(old), "one\ntwo\n");
	assert_string_equal(text_of(test.file), "three\n");
}

static void test_a_reopen_that_fails_keeps_the_old_file(void **state)
{
	char old[96];

	(void)state;
	snprintf(old, sizeof(old), "%s/old", test.folder);
	open_sink();
	assert_int_equal(rename(test.file, old), 0);
	assert_int_equal(mkdir(test.file, 0700), 0);
	assert_int_equal(log_sink_reopen(&test.sink, &test.err), -1);
	assert_int_equal(put("one\n"), 0);
	assert_string_equal(text_of(old), "one\n");
	rmdir(test.file);
}

/* The kernel takes no more octets than the limit, as a disk that is full. */
static void full_after(rlim_t octets)
{
	struct rlimit limit;

	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
	limit.rlim_cur = octets == RLIM_INFINITY ? limit.rlim_max : octets;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void test_a_full_disk_loses_counted_lines(void **state)
{
	(void)state;
	open_sink();
	full_after(7);
	assert_int_equal(put("first\nsecond\nthird\n"), 2); /* "s" of the second is there */
	assert_int_equal(put("fourth\n"), 1);
	full_after(RLIM_INFINITY);
	assert_int_equal(put("fifth\n"), 0);
	assert_string_equal(text_of(test.file), "first\ns\nfifth\n");
	full_after(14);
	assert_int_equal(put("sixth\n"), 1);
	assert_int_equal(put("seventh\n"), 1);
	full_after(RLIM_INFINITY);
	assert_int_equal(put("eighth\n"), 0);
	assert_string_equal(text_of(test.file), "first\ns\nfifth\neighth\n");
}

static void test_a_line_that_lacks_its_end_only_is_not_lost(void **state)
{
	(void)state;
	open_sink();
	full_after(5);
	assert_int_equal(put("first\nsecond\n"), 1);
	full_after(RLIM_INFINITY);
	assert_int_equal(put("third\n"), 0);
	assert_string_equal(text_of(test.file), "first\nthird\n");
}

static void ignore(const char *text)
{
	fail_msg("%s", text);
}

static void test_a_check_leaves_no_file(void **state)
{
	(void)state;
	assert_int_equal(log_sink_check(&test.config, ignore, &test.err), 0);
	assert_int_equal(access(test.file, F_OK), -1);
	open_sink();
	put("kept\n");
	assert_int_equal(log_sink_check(&test.config, ignore, &test.err), 0);
	assert_string_equal(text_of(test.file), "kept\n");
	log_to("./missing/log");
	assert_int_equal(log_sink_check(&test.config, ignore, &test.err), -1);
}

/* ---- syslog ---- */

static int listen_at(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

static void to_syslog(void)
{
	char to[128];

	snprintf(to, sizeof(to), "syslog:%s", test.file);
	log_to(to);
	open_sink();
	assert_int_equal(test.sink.form, LOG_FORM_SYSLOG);
}

static const char *got(int fd)
{
	ssize_t n = recv(fd, test.text, sizeof(test.text) - 1, MSG_DONTWAIT);

	test.text[n > 0 ? n : 0] = '\0';
	return test.text;
}

static void test_each_line_is_a_datagram(void **state)
{
	int fd = listen_at(test.file);

	(void)state;
	to_syslog();
	assert_int_equal(put("one\ntwo\n"), 0);
	assert_string_equal(got(fd), "one");
	assert_string_equal(got(fd), "two");
	assert_string_equal(got(fd), "");
	close(fd);
}

static void test_a_syslog_that_comes_back(void **state)
{
	int fd = listen_at(test.file);

	(void)state;
	to_syslog();
	close(fd);
	unlink(test.file);
	assert_int_equal(log_sink_write(&test.sink, "one\ntwo\n", 8, at_once), 2);
	fd = listen_at(test.file);
	assert_int_equal(put("three\n"), 0);
	assert_string_equal(got(fd), "three");
	close(fd);
}

static void *start_later(void *ret_fd)
{
	struct timespec pause = {.tv_nsec = 300000000};

	nanosleep(&pause, NULL);
	*(int *)ret_fd = listen_at(test.file);
	return NULL;
}

static void test_a_restart_of_syslog_loses_nothing(void **state)
{
	int fd = listen_at(test.file), after = -1;
	pthread_t thread;

	(void)state;
	to_syslog();
	close(fd);
	unlink(test.file);
	assert_int_equal(pthread_create(&thread, NULL, start_later, &after), 0);
	assert_int_equal(put("one\ntwo\n"), 0);
	pthread_join(thread, NULL);
	assert_string_equal(got(after), "one");
	assert_string_equal(got(after), "two");
	close(after);
}

static void test_a_syslog_that_does_not_read_is_given_up_on_demand(void **state)
{
	int fd = listen_at(test.file);
	unsigned long sent = 0, lost = 0;

	(void)state;
	to_syslog();
	asked = 0;
	while (!lost && sent < 100000) {
		lost = log_sink_write(&test.sink, "line\n", 5, at_once);
		sent += !lost;
	}
	assert_int_equal(lost, 1);
	assert_int_equal(asked, 1);
	while (*got(fd))
		sent--;
	assert_int_equal(sent, 0);
	assert_int_equal(put("line\n"), 0);
	close(fd);
}

/* ---- the whole log ---- */

static unsigned long lost_of(const char *text)
{
	unsigned long lost = 0;

	for (const char *at = text; (at = strstr(at, "warning: ")); at++)
		lost += strtoul(at + strlen("warning: "), NULL, 10);
	return lost;
}

/* Whole lines of log_info("number…" or "later"). */
static unsigned long written_of(const char *text)
{
	unsigned long n = 0;
	const char *end;

	for (; (end = strchr(text, '\n')); text = end + 1)
		n += end - text > 3 && memcmp(end - 3, "###", 3) == 0;
	return n;
}

/* What the disk did not take is said when it takes more, and adds up. */
static void test_lines_that_a_full_disk_lost_add_up(void **state)
{
	struct timespec pause = {.tv_nsec = 10000000};
	unsigned lines = 0;

	(void)state;
	assert_int_equal(logbook_open("valijad", &test.err), 0);
	open_sink();
	full_after(5000);
	logbook_use(&test.sink);
	for (; lines < 200; lines++) {
		log_info("number %u ###", lines);
		if (lines % 20 == 0)
			nanosleep(&pause, NULL);
	}
	while (strlen(text_of(test.file)) < 5000)
		nanosleep(&pause, NULL);
	full_after(RLIM_INFINITY);
	for (unsigned i = 0; !strstr(text_of(test.file), "lines lost") && i < 1000; i++) {
		log_info("later ###");
		lines++;
		nanosleep(&pause, NULL);
	}
	logbook_close();
	text_of(test.file);
	assert_true(lost_of(test.text) > 0);
	assert_int_equal(written_of(test.text) + lost_of(test.text), lines);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
		TEST(test_a_file_is_made_and_added_to),
		TEST(test_where_a_file_is),
		TEST(test_where_events_go),
		TEST(test_lines_to_standard_error),
		TEST(test_what_is_no_file_is_refused),
		TEST(test_a_renamed_file_is_opened_by_its_name),
		TEST(test_a_reopen_that_fails_keeps_the_old_file),
		TEST(test_a_full_disk_loses_counted_lines),
		TEST(test_a_line_that_lacks_its_end_only_is_not_lost),
		TEST(test_a_check_leaves_no_file),
		TEST(test_each_line_is_a_datagram),
		TEST(test_a_syslog_that_comes_back),
		TEST(test_a_restart_of_syslog_loses_nothing),
		TEST(test_a_syslog_that_does_not_read_is_given_up_on_demand),
		TEST(test_lines_that_a_full_disk_lost_add_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
