/*
 * The file of last logins: its lines, what a cut-off line and foreign octets do, appending beside a
 * compaction, and what each step of a compaction leaves behind when it is the last one. fsync and
 * renameat are the linker's --wrap.
 */
#include "users/last_logins.h"

#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

int __real_fsync(int fd);
int __wrap_fsync(int fd);
int __real_renameat(int from_fd, const char *from, int to_fd, const char *to);
int __wrap_renameat(int from_fd, const char *from, int to_fd, const char *to);

static char folder[] = "/tmp/test-last-XXXXXX";
static int folder_fd;
static int steps, last_step; /* 0: none ends it */
static ino_t flushed;

/* The process ends before its step number last_step, as in a power cut. */
static void step(void)
{
	if (last_step && ++steps == last_step)
		_exit(42);
}

int __wrap_fsync(int fd)
{
	struct stat st;

	step();
	assert_int_equal(fstat(fd, &st), 0);
	if (S_ISREG(st.st_mode))
		flushed = st.st_ino;
	return __real_fsync(fd);
}

int __wrap_renameat(int from_fd, const char *from, int to_fd, const char *to)
{
	struct stat st;

	step();
	assert_int_equal(fstatat(from_fd, from, &st, 0), 0);
	assert_int_equal(st.st_ino, flushed); /* it is on the disk before it gets the name */
	return __real_renameat(from_fd, from, to_fd, to);
}

static int set_up(void **state)
{
	(void)state;
	memcpy(folder, "/tmp/test-last-XXXXXX", sizeof(folder));
	assert_non_null(mkdtemp(folder));
	folder_fd = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
	assert_true(folder_fd >= 0);
	steps = last_step = 0;
	return 0;
}

static int tear_down(void **state)
{
	char command[80];

	(void)state;
	close(folder_fd);
	snprintf(command, sizeof(command), "rm -rf '%s'", folder);
	return system(command) == 0 ? 0 : -1;
}

static void append_octets(const char *octets, size_t size)
{
	struct last_logins_append append = {.lines = {octets, size}, .make = true};
	struct err err = {0};

	assert_int_equal(last_logins_append(folder_fd, &append, NULL, &err), 0);
}

static void add(enum last_login_kind kind, uint32_t day, const char *name, const char *label)
{
	char line[LAST_LOGINS_LINE_MAX];
	struct last_login login;

	assert_int_equal(last_login_set(&login, kind, day, span_of(name), span_of(label)), 0);
	append_octets(line, last_login_print(&login, line));
}

static void collect(void *context, const struct last_login *login)
{
	static const char kinds[] = "psxr";
	char *text = context;

	if (login->kind == LAST_LOGIN_SINCE)
		return;
	snprintf(text + strlen(text), 2000 - strlen(text), "%c%u %s %s;", kinds[login->kind],
		 login->day, login->label, login->name);
}

/* Everything in the file, as text. */
static const char *all(void)
{
	static char text[2000];
	struct err err = {0};

	text[0] = '\0';
	assert_int_equal(last_logins_each(folder_fd, collect, text, &err), 0);
	return text;
}

static void compact(void)
{
	struct err err = {0};

	assert_int_equal(last_logins_compact(folder_fd, NULL, &err), 0);
}

static int open_file(int flags)
{
	return openat(folder_fd, LAST_LOGINS_FILE, flags | O_CLOEXEC, 0600);
}

/* ---- lines ---- */

static void days_come_back(void **state)
{
	static const struct {
		uint32_t day;
		const char *date;
	} rows[] = {{0, "1970-01-01"},     {59, "1970-03-01"},     {789, "1972-02-29"},
		    {11016, "2000-02-29"}, {20785, "2026-11-28"},  {47540, "2100-02-28"},
		    {47541, "2100-03-01"}, {2932896, "9999-12-31"}};
	char date[LAST_LOGINS_DATE_SIZE], line[LAST_LOGINS_LINE_MAX];
	struct last_login login, again;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		last_login_date(rows[i].day, date);
		assert_string_equal(date, rows[i].date);
	}
	for (uint32_t day = 0; day <= LAST_LOGINS_DAY_MAX; day += 97) {
		assert_int_equal(
			last_login_set(&login, LAST_LOGIN_POP3, day, span_of("anna"), span_of("")),
			0);
		assert_int_equal(
			last_login_parse((pop3_span){line, last_login_print(&login, line) - 1},
					 &again),
			0);
		assert_int_equal(again.day, day);
	}
}

static void names_come_back(void **state)
{
	static const char *const names[] = {"anna",        "ANNA@Example.ORG",
					    "a%b",         "\xc3\xa4nne",
					    "a+b=c_d-e.f", "x!\"#$&'()*,;<>?[\\]^`{|}~"};
	char line[LAST_LOGINS_LINE_MAX], longest[USER_NAME_MAX + 1];
	struct last_login login, again;

	(void)state;
	memset(longest, '\xff', sizeof(longest) - 1);
	longest[USER_NAME_MAX] = '\0';
	for (size_t i = 0; i <= sizeof(names) / sizeof(*names); i++) {
		const char *name = i < sizeof(names) / sizeof(*names) ? names[i] : longest;
		size_t n;

		assert_int_equal(last_login_set(&login, LAST_LOGIN_SASL, 20785, span_of(name),
						span_of("phone")),
				 0);
		n = last_login_print(&login, line);
		assert_int_equal(line[n - 1], '\n');
		for (size_t j = 0; j + 1 < n; j++)
			assert_true(line[j] >= ' ' && line[j] <= '~');
		assert_int_equal(last_login_parse((pop3_span){line, n - 1}, &again), 0);
		assert_string_equal(again.name, login.name);
		assert_string_equal(again.label, "phone");
		assert_int_equal(again.kind, LAST_LOGIN_SASL);
	}
	assert_string_equal((last_login_set(&login, LAST_LOGIN_POP3, 0, span_of("ANNA@Example.ORG"),
					    span_of("")),
			     login.name),
			    "anna@example.org");
	assert_int_equal(last_login_set(&login, LAST_LOGIN_POP3, 0, span_of("a/b"), span_of("")),
			 -1);
	assert_int_equal(last_login_set(&login, LAST_LOGIN_POP3, 0, span_of("a"), span_of("-")),
			 -1);
}

/* The octets of docs/maildrop-format.md. */
static void the_form_of_a_line(void **state)
{
	char line[LAST_LOGINS_LINE_MAX];
	struct last_login login;

	(void)state;
	(void)last_login_set(&login, LAST_LOGIN_POP3, 20785, span_of("Anna@example.org"),
			     span_of(""));
	(void)last_login_print(&login, line);
	assert_string_equal(line, "e26638a1 2026-11-28 pop3 - anna@example.org\n");
	(void)last_login_set(&login, LAST_LOGIN_SASL, 20785, span_of("\xc3\xa4nne"),
			     span_of("phone"));
	(void)last_login_print(&login, line);
	assert_string_equal(line, "ffb50868 2026-11-28 sasl phone %c3%a4nne\n");
}

/* A line with any octet changed is none; so is one that was cut. */
static void a_changed_line_is_none(void **state)
{
	char line[LAST_LOGINS_LINE_MAX];
	struct last_login login, again;
	size_t n;

	(void)state;
	(void)last_login_set(&login, LAST_LOGIN_POP3, 20785, span_of("anna"), span_of("phone"));
	n = last_login_print(&login, line) - 1;
	for (size_t i = 0; i < n; i++) {
		line[i] ^= 1;
		assert_int_equal(last_login_parse((pop3_span){line, i}, &again), -1);
		assert_int_equal(last_login_parse((pop3_span){line, n}, &again), -1);
		line[i] ^= 1;
	}
	assert_int_equal(last_login_parse((pop3_span){line, n}, &again), 0);
}

/* ---- the file ---- */

static void no_file_has_no_lines(void **state)
{
	struct last_logins_append append = {.lines = SPAN_LITERAL("x\n")};
	struct err err = {0};

	(void)state;
	assert_string_equal(all(), "");
	compact();
	assert_int_equal(last_logins_append(folder_fd, &append, NULL, &err), 0);
	assert_int_equal(open_file(O_RDONLY), -1); /* nothing was made */
}

static void test_threat_110_a_torn_line_joins_no_other(void **state)
{
	char line[LAST_LOGINS_LINE_MAX];
	struct last_login login;
	size_t n;

	(void)state;
	add(LAST_LOGIN_POP3, 1, "anna", "");
	(void)last_login_set(&login, LAST_LOGIN_POP3, 2, span_of("bert"), span_of(""));
	n = last_login_print(&login, line);
	for (size_t cut = 1; cut < n; cut++) {
		append_octets(line, cut);
		assert_null(strstr(all(), "bert")); /* not even when only its end is missing */
		add(LAST_LOGIN_POP3, 3, "carla", "");
	}
	assert_non_null(strstr(all(), "p1  anna;"));
	assert_non_null(strstr(all(), "p3  carla;"));
	compact();
	assert_string_equal(all(), "p1  anna;p2  bert;p3  carla;");
}

/* What a filesystem may show after a power cut: zeros, garbage, a line without end. */
static void test_threat_110_foreign_octets_are_passed_over(void **state)
{
	static const char zeros[5000];
	char garbage[3000];

	(void)state;
	add(LAST_LOGIN_POP3, 1, "anna", "");
	append_octets(zeros, sizeof(zeros));
	for (size_t i = 0; i < sizeof(garbage); i++)
		garbage[i] = (char)(i * 7 + i / 256);
	append_octets(garbage, sizeof(garbage));
	add(LAST_LOGIN_SASL, 2, "anna", "");
	assert_string_equal(all(), "p1  anna;s2  anna;");
	compact();
	assert_string_equal(all(), "p1  anna;s2  anna;");
}

static void compaction_leaves_what_counts(void **state)
{
	(void)state;
	add(LAST_LOGIN_POP3, 1, "anna", "");
	add(LAST_LOGIN_POP3, 1, "bert", "");
	add(LAST_LOGIN_POP3, 2, "anna", "");
	add(LAST_LOGIN_POP3, 2, "anna", "phone");
	add(LAST_LOGIN_SASL, 3, "anna", "phone");
	add(LAST_LOGIN_POP3, 4, "anna", "desk");
	add(LAST_LOGIN_POP3, 5, "ANNA", "desk");
	compact();
	assert_string_equal(all(), "p1  bert;p2  anna;p2 phone anna;s3 phone anna;p5 desk anna;");
	compact();
	assert_string_equal(all(), "p1  bert;p2  anna;p2 phone anna;s3 phone anna;p5 desk anna;");
}

static void count_since(void *context, const struct last_login *login)
{
	unsigned *days = context;

	if (login->kind == LAST_LOGIN_SINCE) {
		days[0]++;
		days[1] = login->day;
	}
}

/* A new file says since when it is one; that outlives compactions, and a second one changes
 * nothing. */
static void a_file_knows_its_first_day(void **state)
{
	uint32_t today = last_login_today();
	unsigned days[2] = {0, 0};
	struct err err = {0};

	(void)state;
	add(LAST_LOGIN_POP3, 1, "anna", "");
	add(LAST_LOGIN_SINCE, today + 50, "all", "");
	add(LAST_LOGIN_POP3, 2, "anna", "");
	compact();
	compact();
	assert_string_equal(all(), "p2  anna;");
	assert_int_equal(last_logins_each(folder_fd, count_since, days, &err), 0);
	assert_int_equal(days[0], 1);
	assert_in_range(days[1], today, today + 1); /* midnight may have come meanwhile */
}

static void removed_lines_count_no_more(void **state)
{
	(void)state;
	add(LAST_LOGIN_POP3, 1, "anna", "");
	add(LAST_LOGIN_SASL, 1, "anna", "phone");
	add(LAST_LOGIN_POP3, 1, "annabel", "");
	add(LAST_LOGIN_REMOVED, 2, "anna", "");
	add(LAST_LOGIN_POP3, 3, "bert", "phone");
	add(LAST_LOGIN_POP3, 3, "bert", "desk");
	add(LAST_LOGIN_POP3, 3, "bert", "");
	add(LAST_LOGIN_REVOKED, 3, "bert", "desk");
	add(LAST_LOGIN_POP3, 4, "carla", "phone");
	add(LAST_LOGIN_SASL, 4, "carla", "desk");
	add(LAST_LOGIN_REVOKED, 4, "carla", "");
	add(LAST_LOGIN_POP3, 5, "carla", "desk");
	compact();
	assert_string_equal(all(), "p1  annabel;p3 phone bert;p3  bert;p5 desk carla;");
	add(LAST_LOGIN_POP3, 6, "anna", ""); /* another one of that name */
	compact();
	assert_string_equal(all(), "p1  annabel;p3 phone bert;p3  bert;p5 desk carla;p6  anna;");
}

/* ---- steps of a compaction ---- */

static void ends_at(int which)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		last_step = which;
		compact();
		_exit(0);
	}
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 42);
}

/* Before the flush, before the new file gets the name, before the folder is flushed. */
static void a_cut_at_each_step_loses_nothing(void **state)
{
	(void)state;
	for (int which = 1; which <= 3; which++) {
		const char *now;

		add(LAST_LOGIN_POP3, 1, "anna", "");
		add(LAST_LOGIN_POP3, (uint32_t)which + 1, "anna", "");
		ends_at(which);
		now = all();
		assert_non_null(strstr(now, which == 1   ? "p2  anna;"
					    : which == 2 ? "p3  anna;"
							 : "p4  anna;"));
		add(LAST_LOGIN_POP3, 9, "bert", "");
		compact();
		assert_non_null(strstr(all(), "p9  bert;"));
		assert_null(strstr(all(), "p1  anna;"));
	}
	assert_int_equal(faccessat(folder_fd, LAST_LOGINS_FILE ".new", F_OK, 0), -1);
}

/* One process has the old file open, and waits for its lock, while another puts a new one there. */
static void a_line_goes_to_the_file_that_has_the_name(void **state)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	int fd, status;
	pid_t pid;

	(void)state;
	add(LAST_LOGIN_POP3, 1, "anna", "");
	fd = open_file(O_RDWR);
	assert_int_equal(fcntl(fd, F_OFD_SETLK, &lock), 0);
	pid = fork();
	if (pid == 0) {
		close(fd);
		add(LAST_LOGIN_POP3, 2, "bert", "");
		_exit(0);
	}
	usleep(50 * 1000); /* whether it waits already or not: the outcome is the same */
	assert_int_equal(__real_renameat(folder_fd, LAST_LOGINS_FILE, folder_fd, "old"), 0);
	close(open_file(O_RDWR | O_CREAT));
	close(fd);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_string_equal(all(), "p2  bert;");
}

/* ---- what another user could put there ---- */

static void expect_refused(void)
{
	struct last_logins_append append = {.lines = SPAN_LITERAL("x\n"), .make = true};
	struct err err = {0};
	char text[2000] = "";

	assert_int_equal(last_logins_append(folder_fd, &append, NULL, &err), -1);
	assert_int_equal(last_logins_each(folder_fd, collect, text, &err), -1);
	assert_int_equal(last_logins_compact(folder_fd, NULL, &err), -1);
	assert_string_equal(text, "");
}

static void test_threat_110_a_link_or_a_pipe_is_refused(void **state)
{
	int fd = openat(folder_fd, "victim", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	struct stat st;

	(void)state;
	assert_int_equal(write(fd, "victim\n", 7), 7);
	assert_int_equal(symlinkat("victim", folder_fd, LAST_LOGINS_FILE), 0);
	expect_refused();
	unlinkat(folder_fd, LAST_LOGINS_FILE, 0);
	assert_int_equal(linkat(folder_fd, "victim", folder_fd, LAST_LOGINS_FILE, 0), 0);
	expect_refused();
	unlinkat(folder_fd, LAST_LOGINS_FILE, 0);
	assert_int_equal(mkfifoat(folder_fd, LAST_LOGINS_FILE, 0600), 0);
	expect_refused();
	unlinkat(folder_fd, LAST_LOGINS_FILE, 0);
	assert_int_equal(mkdirat(folder_fd, LAST_LOGINS_FILE, 0700), 0);
	expect_refused();
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_size, 7);
	close(fd);
}

/* A line beyond the bound of the file is refused, and nothing of it is written. */
static void a_full_file_takes_no_line(void **state)
{
	struct last_logins_append append = {.lines = SPAN_LITERAL("x\n"), .make = true};
	int fd = open_file(O_RDWR | O_CREAT);
	struct err err = {0};
	struct stat st;

	(void)state;
	assert_int_equal(ftruncate(fd, LAST_LOGINS_MAX - 1), 0);
	assert_int_equal(last_logins_append(folder_fd, &append, NULL, &err), -1);
	assert_non_null(strstr(err.text, "full"));
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_size, LAST_LOGINS_MAX - 1);
	close(fd);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(days_come_back),
		TEST(names_come_back),
		TEST(the_form_of_a_line),
		TEST(a_changed_line_is_none),
		TEST(no_file_has_no_lines),
		TEST(test_threat_110_a_torn_line_joins_no_other),
		TEST(test_threat_110_foreign_octets_are_passed_over),
		TEST(compaction_leaves_what_counts),
		TEST(a_file_knows_its_first_day),
		TEST(removed_lines_count_no_more),
		TEST(a_cut_at_each_step_loses_nothing),
		TEST(a_line_goes_to_the_file_that_has_the_name),
		TEST(test_threat_110_a_link_or_a_pipe_is_refused),
		TEST(a_full_file_takes_no_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
