/* The log's lines as they come to a destination: the head that each form of it has, levels as
 * priorities, and events beside them. */
#include "server/monitor/logbook.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <ctype.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static struct {
	char folder[64], log[96], events[96];
	struct config config;
	struct err err;
} test;

static int begin(void **state)
{
	(void)state;
	unsetenv("JOURNAL_STREAM");
	memset(&test, 0, sizeof(test));
	strcpy(test.folder, "/tmp/valija-logbook-XXXXXX");
	if (!mkdtemp(test.folder))
		return -1;
	snprintf(test.config.directory, sizeof(test.config.directory), "%s", test.folder);
	snprintf(test.log, sizeof(test.log), "%s/log", test.folder);
	snprintf(test.events, sizeof(test.events), "%s/events", test.folder);
	return logbook_open("valijad", &test.err);
}

static int end(void **state)
{
	(void)state;
	unlink(test.log);
	unlink(test.events);
	return rmdir(test.folder);
}

static void use(const char *to)
{
	struct log_sink sink;

	snprintf(test.config.log_to, sizeof(test.config.log_to), "%s", to);
	assert_int_equal(log_sink_open(&sink, &test.config, &test.err), 0);
	logbook_use(&sink);
}

static void add(enum log_level level, const char *text)
{
	logbook_add(level, "front0[123]", text, strlen(text));
}

static const char *text_of(const char *path)
{
	static char text[2000];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = read(fd, text, sizeof(text) - 1);

	close(fd);
	text[n > 0 ? n : 0] = '\0';
	return text;
}

/* RFC 5424 section 6.2.1: the facility mail, times eight, and the severity. */
static void test_priorities_of_syslog(void **state)
{
	static const struct {
		enum log_level level;
		const char *head;
	} cases[] = {{LOG_LEVEL_ERROR, "<19>front0[123]: error: text"},
		     {LOG_LEVEL_WARNING, "<20>front0[123]: warning: text"},
		     {LOG_LEVEL_INFO, "<22>front0[123]: text"},
		     {LOG_LEVEL_DEBUG, "<23>front0[123]: debug: text"}};
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	char to[128], text[200];

	(void)state;
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", test.log);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	snprintf(to, sizeof(to), "syslog:%s", test.log);
	use(to);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		add(cases[i].level, "text");
	logbook_close(); /* all of it is written */
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		ssize_t n = recv(fd, text, sizeof(text) - 1, MSG_DONTWAIT);

		assert_true(n > 0);
		text[n] = '\0';
		assert_string_equal(text, cases[i].head);
	}
	close(fd);
}

static void test_lines_of_a_file_have_a_time(void **state)
{
	const char *text;

	(void)state;
	use("./log");
	add(LOG_LEVEL_INFO, "one");
	add(LOG_LEVEL_ERROR, "two");
	logbook_close();
	text = text_of(test.log);
	assert_true(isdigit((unsigned char)text[0]));
	assert_non_null(strstr(text, " front0[123]: one\n"));
	assert_non_null(strstr(text, " front0[123]: error: two\n"));
	assert_null(strchr(text, '<'));
}

/* An object a line; where nobody wants them they go nowhere. */
static void test_events(void **state)
{
	static const char members[] = "\"event\":\"login\"}";
	struct log_sink sink;
	const char *text;

	(void)state;
	use("./log");
	logbook_add_event("front0[123]", members, sizeof(members) - 1);
	strcpy(test.config.log_events, "./events");
	assert_int_equal(log_sink_open_events(&sink, &test.config, &test.err), 0);
	logbook_use_events(&sink);
	logbook_add_event("front0[124]", members, sizeof(members) - 1);
	add(LOG_LEVEL_INFO, "a line");
	logbook_close();
	text = text_of(test.events);
	assert_int_equal(text[0], '{');
	assert_non_null(strstr(text, "front0[124]"));
	assert_null(strstr(text, "front0[123]"));
	assert_non_null(strstr(text, members));
	assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
	text = text_of(test.log);
	assert_null(strstr(text, "login"));
	assert_non_null(strstr(text, "a line"));
}

/* A file that logrotate has renamed: what comes behind is in a new one. */
static void test_a_file_that_was_renamed(void **state)
{
	(void)state;
	use("./log");
	add(LOG_LEVEL_INFO, "before");
	assert_true(logbook_has_room());
	logbook_close();
	assert_int_equal(rename(test.log, test.events), 0);
	assert_int_equal(logbook_open("valijad", &test.err), 0);
	use("./log");
	add(LOG_LEVEL_INFO, "behind");
	logbook_close();
	assert_non_null(strstr(text_of(test.events), "before"));
	assert_null(strstr(text_of(test.events), "behind"));
	assert_non_null(strstr(text_of(test.log), "behind"));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_priorities_of_syslog),
		TEST(test_lines_of_a_file_have_a_time),
		TEST(test_events),
		TEST(test_a_file_that_was_renamed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
