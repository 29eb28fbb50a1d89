/*
 * App passwords: their form, their lines, the file as it is read and read again, and its changes,
 * which are on the disk before they take the old file's place. fsync and rename are the linker's
 * --wrap.
 */
#include "users/app_edit.h"
#include "users/app_passwords.h"

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
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

int __real_fsync(int fd);
int __real_rename(const char *from, const char *to);
int __wrap_fsync(int fd);
int __wrap_rename(const char *from, const char *to);

static char folder[] = "/tmp/test-app-XXXXXX", users[64], file[64];
static int dir_fd, flushes, fatal;
static ino_t flushed[64];

int __wrap_fsync(int fd)
{
	struct stat st;

	if (fatal && flushes + 1 == fatal) {
		errno = EIO;
		return -1;
	}
	assert_int_equal(fstat(fd, &st), 0);
	flushed[flushes++ % 64] = st.st_ino;
	return 0;
}

int __wrap_rename(const char *from, const char *to)
{
	struct stat st;
	bool whole = false;

	assert_int_equal(stat(from, &st), 0);
	for (int i = 0; i < flushes && i < 64; i++)
		whole = whole || flushed[i] == st.st_ino;
	assert_true(whole);
	return __real_rename(from, to);
}

/* Old enough to be read once. */
static void write_file(const char *path, const char *text)
{
	static long age = 1000000;
	struct timespec times[2] = {{.tv_sec = 1600000000 + --age}, {.tv_sec = 1600000000 + age}};
	FILE *out = fopen(path, "w");

	assert_non_null(out);
	fputs(text, out);
	fclose(out);
	assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

static void read_file(char *buf, size_t size)
{
	FILE *in = fopen(file, "r");

	assert_non_null(in);
	buf[fread(buf, 1, size - 1, in)] = '\0';
	fclose(in);
}

static int make_place(void **state)
{
	(void)state;
	strcpy(folder, "/tmp/test-app-XXXXXX");
	assert_non_null(mkdtemp(folder));
	snprintf(users, sizeof(users), "%s/users", folder);
	snprintf(file, sizeof(file), "%s/%s", folder, APP_PASSWORDS_FILE);
	write_file(users, "anna:{PLAIN}one\n");
	dir_fd = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
	flushes = fatal = 0;
	return 0;
}

static int remove_place(void **state)
{
	(void)state;
	unlink(users);
	unlink(file);
	close(dir_fd);
	assert_int_equal(rmdir(folder), 0); /* nothing else was left in it */
	return 0;
}

static int add(const char *name, const char *label, char shown[APP_SHOWN_MAX], struct err *err)
{
	struct app_password app = {0};

	assert_int_equal(span_copy(span_of(name), app.name, sizeof(app.name)), 0);
	assert_int_equal(span_copy(span_of(label), app.label, sizeof(app.label)), 0);
	return app_edit_add(users, &app, shown, err);
}

static void count_one(void *argument, const struct app_password *app)
{
	assert_non_null(app);
	++*(unsigned *)argument;
}

static unsigned count(const char *name)
{
	unsigned n = 0;

	assert_int_equal(app_edit_list(users, name, count_one, &n, NULL), 0);
	return n;
}

/* ---- form and lines ---- */

static void test_form(void **state)
{
	static const char good[] = "abcdefghijklmnopqrstuvwxyz23";
	static const char *const bad[] = {
		"",
		"abcdefghijklmnopqrstuvwxyz2",
		"abcdefghijklmnopqrstuvwxyz234",
		"abcdefghijklmnopqrstuvwxyz21",
		"abcdefghijklmnopqrstuvwxyz2\xe9",
		"abcdefghijklmnopqrstuvwxyz2_",
		"----------------------------",
	};
	char letters[APP_LETTERS], shown[APP_SHOWN_MAX], other[APP_SHOWN_MAX];

	(void)state;
	assert_true(app_password_form(span_of(good), letters));
	assert_memory_equal(letters, good, APP_LETTERS);
	assert_true(
		app_password_form(SPAN_LITERAL(" ABCD-efgh IJKL-mnop-qrst-uvwx--yz23 "), letters));
	assert_memory_equal(letters, good, APP_LETTERS);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(app_password_form(span_of(bad[i]), letters));
	assert_false(app_password_form((pop3_span){"abcdefghijklmnopqrstuvwxyz2\0", 28}, letters));
	assert_int_equal(app_password_make(shown), 0);
	assert_int_equal(app_password_make(other), 0);
	assert_string_not_equal(shown, other);
	assert_int_equal(strlen(shown), APP_LETTERS + 6);
	assert_true(app_password_form(span_of(shown), letters));
}

static void test_digests_are_of_key_name_and_letters(void **state)
{
	unsigned char key[APP_KEY] = {1}, other_key[APP_KEY] = {2}, a[APP_DIGEST], b[APP_DIGEST];
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz23";

	(void)state;
	app_password_digest(key, SPAN_LITERAL("anna"), letters, a);
	app_password_digest(key, SPAN_LITERAL("ANNA"), letters, b);
	assert_memory_equal(a, b, APP_DIGEST);
	app_password_digest(other_key, SPAN_LITERAL("anna"), letters, b);
	assert_memory_not_equal(a, b, APP_DIGEST);
	app_password_digest(key, SPAN_LITERAL("annaa"), letters, b);
	assert_memory_not_equal(a, b, APP_DIGEST);
	app_password_digest(key, SPAN_LITERAL("anna"), "bbcdefghijklmnopqrstuvwxyz23", b);
	assert_memory_not_equal(a, b, APP_DIGEST);
}

#define HEX64 "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

static void test_lines(void **state)
{
	static const char *const bad[] = {
		"anna",
		"anna:phone",
		"anna:phone:" HEX64 "0",
		"anna:phone:0" HEX64,
		"anna::" HEX64,
		"anna:-x:" HEX64,
		"anna:a b:" HEX64,
		"an na:phone:" HEX64,
		":phone:" HEX64,
		"anna:phone:" HEX64 ":expires=",
		"anna:phone:" HEX64 ":expires=0",
		"anna:phone:" HEX64 ":expires=-1",
		"anna:phone:" HEX64 ":networks=",
		"anna:phone:" HEX64 ":networks=home",
		"anna:phone:" HEX64 ":only_on_sundays",
		"anna:phone:" HEX64 ":no_delete=no",
		"key ",
		"key " HEX64 "00",
		"key 0X112233445566778899aabbccddeeff00112233445566778899aabbccddeeff",
	};
	struct app_password app, again;
	unsigned char key[APP_KEY];
	char buf[APP_LINE_MAX];
	struct err err = {0};
	size_t n;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		err = (struct err){0};
		assert_int_equal(app_line_parse(span_of(bad[i]), key, &app, &err), APP_LINE_BAD);
		assert_true(err.text[0] != '\0');
	}
	assert_int_equal(app_line_parse(SPAN_LITERAL("Anna@Example.org:my.phone-2:" HEX64
						     ":created=5 expires=7 no_delete "
						     "networks=2001:db8::/32,192.0.2.7"),
					key, &app, &err),
			 APP_LINE_ENTRY);
	assert_string_equal(app.name, "anna@example.org");
	assert_string_equal(app.networks, "2001:db8::/32,192.0.2.7");
	assert_true(app.created == 5 && app.expires == 7 && app.no_delete);
	n = app_line_print(&app, buf);
	assert_int_equal(buf[n - 1], '\n');
	assert_int_equal(app_line_parse((pop3_span){buf, n - 1}, key, &again, &err),
			 APP_LINE_ENTRY);
	assert_memory_equal(&app, &again, sizeof(app));
	assert_int_equal(app_line_parse(SPAN_LITERAL(""), key, &app, &err), APP_LINE_EMPTY);
	assert_int_equal(app_line_parse(SPAN_LITERAL("# :"), key, &app, &err), APP_LINE_EMPTY);
	n = app_key_print(app.digest, buf);
	assert_int_equal(app_line_parse((pop3_span){buf, n - 1}, key, &again, &err), APP_LINE_KEY);
	assert_memory_equal(key, app.digest, APP_KEY);
}

/* ---- the file as it is read ---- */

static bool matches(struct app_passwords *apps, const char *name, const char *password)
{
	struct app_password app;

	return app_passwords_match(apps, span_of(name), span_of(password), &app);
}

static void test_every_one_is_found_and_no_other(void **state)
{
	enum { USERS = 300 };
	static char shown[USERS][APP_SHOWN_MAX];
	struct app_passwords *apps;
	char name[16];

	(void)state;
	for (int i = 0; i < USERS; i++) {
		snprintf(name, sizeof(name), "user%d", i);
		assert_int_equal(add(name, "phone", shown[i], NULL), 0);
	}
	assert_int_equal(app_passwords_open(dir_fd, &apps, NULL), 0);
	assert_true(app_passwords_any(apps));
	for (int i = 0; i < USERS; i++) {
		snprintf(name, sizeof(name), "USER%d", i);
		assert_true(matches(apps, name, shown[i]));
		assert_false(matches(apps, name, shown[(i + 1) % USERS]));
		assert_false(matches(apps, "nobody", shown[i]));
	}
	app_passwords_close(apps);
}

static void test_a_changed_file(void **state)
{
	char shown[APP_SHOWN_MAX], good[2000], bad[4000];
	struct app_passwords *apps;

	(void)state;
	assert_int_equal(app_passwords_open(dir_fd, &apps, NULL), 0); /* there is none */
	assert_false(app_passwords_any(apps));
	assert_int_equal(add("anna", "phone", shown, NULL), 0);
	assert_true(matches(apps, "anna", shown));
	read_file(good, sizeof(good));
	for (int i = 0; i < 5; i++) {
		size_t end = strlen(good);

		strcpy(bad, good);
		if (i == 0)
			strcat(bad, "anna:line:without\n");
		else if (i == 1)
			strcat(bad, "key " HEX64 "\n"); /* a second one */
		else if (i == 2)
			bad[end - 1] = '\0'; /* half-written */
		else if (i == 3)
			bad[0] = '\0';
		else
			strcpy(bad, strstr(good, "anna:")); /* without its key */
		write_file(file, bad);
		assert_true(matches(apps, "anna", shown));
	}
	write_file(file, "# none\n");
	assert_false(matches(apps, "anna", shown));
	write_file(file, good);
	assert_true(matches(apps, "anna", shown));
	unlink(file);
	assert_false(matches(apps, "anna", shown));
	app_passwords_close(apps);
}

/* Of more than a mebibyte: those known before stay in force until it is read. */
static void test_a_large_file_is_read_beside_the_tries(void **state)
{
	enum { LINES = 12000, TRIES = 3000 };
	char shown[APP_SHOWN_MAX], good[2000];
	struct app_passwords *apps;
	struct timespec wait = {0, 10000000};
	int tries = 0;
	FILE *out;

	(void)state;
	assert_int_equal(add("anna", "phone", shown, NULL), 0);
	read_file(good, sizeof(good));
	write_file(file, "# none yet\n");
	assert_int_equal(app_passwords_open(dir_fd, &apps, NULL), 0);
	out = fopen(file, "w");
	assert_non_null(out);
	fputs(good, out);
	for (int i = 0; i < LINES; i++)
		fprintf(out, "user%d:phone:" HEX64 ":created=1\n", i);
	fclose(out);
	while (!matches(apps, "anna", shown) && ++tries < TRIES)
		nanosleep(&wait, NULL);
	assert_in_range(tries, 0, TRIES - 1);
	app_passwords_close(apps); /* waits for one that still reads */
}

static void test_a_bad_file_is_an_error_at_open(void **state)
{
	struct app_passwords *apps;
	struct err err = {0};

	(void)state;
	write_file(file, "key " HEX64 "\nanna:line:without\n");
	assert_int_equal(app_passwords_open(dir_fd, &apps, &err), -1);
	assert_non_null(strstr(err.text, "app-passwords:2: "));
	assert_int_equal(err.code, EX_CONFIG);
	unlink(file);
	assert_int_equal(mkdir(file, 0700), 0);
	assert_int_equal(app_passwords_open(dir_fd, &apps, &err), -1);
	rmdir(file);
}

/* ---- its changes ---- */

static void test_revoking(void **state)
{
	char shown[APP_SHOWN_MAX], text[2000];
	unsigned n = 9;

	(void)state;
	assert_int_equal(add("anna", "phone", shown, NULL), 0);
	assert_int_equal(add("ANNA", "tablet", shown, NULL), 0);
	assert_int_equal(add("bert", "phone", shown, NULL), 0);
	assert_int_equal(app_edit_revoke(users, "anna", "no", &n, NULL), 0);
	assert_int_equal(n, 0);
	assert_int_equal(app_edit_revoke(users, "Anna", "phone", &n, NULL), 0);
	assert_int_equal(n, 1);
	assert_int_equal(count("anna"), 1);
	assert_int_equal(app_edit_revoke(users, "bert", NULL, &n, NULL), 0);
	assert_int_equal(n, 1);
	assert_int_equal(count(NULL), 1);
	read_file(text, sizeof(text));
	assert_non_null(strstr(text, "\nkey ")); /* the key stays */
	assert_null(strstr(strstr(text, "\nkey ") + 1, "\nkey "));
	assert_non_null(strstr(text, "\nanna:tablet:"));
}

static void test_the_same_label_twice(void **state)
{
	char shown[APP_SHOWN_MAX];
	struct err err = {0};

	(void)state;
	assert_int_equal(add("anna", "phone", shown, NULL), 0);
	assert_int_equal(add("Anna", "phone", shown, &err), -1);
	assert_int_equal(err.code, EX_CANTCREAT);
	assert_int_equal(count("anna"), 1);
}

static void test_rights_are_those_of_the_users_file(void **state)
{
	char shown[APP_SHOWN_MAX];
	struct stat st;

	(void)state;
	assert_int_equal(chmod(users, 0644), 0);
	assert_int_equal(add("anna", "phone", shown, NULL), 0);
	assert_int_equal(stat(file, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
	assert_int_equal(chmod(file, 0600), 0); /* and then its own */
	assert_int_equal(add("anna", "tablet", shown, NULL), 0);
	assert_int_equal(stat(file, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
}

static void test_a_flush_that_fails_leaves_the_old_file(void **state)
{
	char shown[APP_SHOWN_MAX], before[2000], after[2000];
	struct err err = {0};
	unsigned n;

	(void)state;
	assert_int_equal(add("anna", "phone", shown, NULL), 0);
	read_file(before, sizeof(before));
	for (int at = 1; at <= 2; at++) {
		flushes = 0;
		fatal = at;
		assert_int_equal(add("anna", "tablet", shown, &err), -1);
		assert_int_equal(err.code, EX_IOERR);
		assert_int_equal(shown[0], '\0'); /* what may not be there is not shown */
		fatal = 0;
		read_file(after, sizeof(after));
		assert_int_equal(strcmp(before, after) == 0, at == 1);
	}
	flushes = 0;
	fatal = 1;
	read_file(before, sizeof(before));
	assert_int_equal(app_edit_revoke(users, "anna", NULL, &n, &err), -1);
	fatal = 0;
	read_file(after, sizeof(after));
	assert_string_equal(before, after);
}

static void test_a_bad_file_is_not_changed(void **state)
{
	static const char *const bad[] = {"key " HEX64 "\nanna:line:without\n",
					  "key " HEX64 "\nanna:phone:" HEX64 ":created=1"};
	char shown[APP_SHOWN_MAX], after[2000];
	struct err err = {0};
	unsigned n;

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		write_file(file, bad[i]);
		assert_int_equal(add("anna", "tablet", shown, &err), -1);
		assert_int_equal(app_edit_revoke(users, "anna", NULL, &n, &err), -1);
		read_file(after, sizeof(after));
		assert_string_equal(after, bad[i]);
	}
}

static void test_writers_at_the_same_time_lose_nothing(void **state)
{
	enum { WRITERS = 4, EACH = 8 };
	char shown[APP_SHOWN_MAX], label[16];
	struct app_passwords *apps;
	pid_t pids[WRITERS];
	int status;

	(void)state;
	for (int i = 0; i < WRITERS; i++) {
		pids[i] = fork();
		if (pids[i] > 0)
			continue;
		for (int j = 0; j < EACH; j++) {
			snprintf(label, sizeof(label), "l%d.%d", i, j);
			if (add("anna", label, shown, NULL) < 0)
				_exit(1);
		}
		_exit(0);
	}
	for (int i = 0; i < WRITERS; i++) {
		assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
		assert_int_equal(status, 0);
	}
	assert_int_equal(count("anna"), WRITERS * EACH);
	assert_int_equal(app_passwords_open(dir_fd, &apps, NULL), 0); /* one key */
	app_passwords_close(apps);
}

#define PLACED(test) cmocka_unit_test_setup_teardown(test, make_place, remove_place)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_form),
		cmocka_unit_test(test_digests_are_of_key_name_and_letters),
		cmocka_unit_test(test_lines),
		PLACED(test_every_one_is_found_and_no_other),
		PLACED(test_a_changed_file),
		PLACED(test_a_large_file_is_read_beside_the_tries),
		PLACED(test_a_bad_file_is_an_error_at_open),
		PLACED(test_revoking),
		PLACED(test_the_same_label_twice),
		PLACED(test_rights_are_those_of_the_users_file),
		PLACED(test_a_flush_that_fails_leaves_the_old_file),
		PLACED(test_a_bad_file_is_not_changed),
		PLACED(test_writers_at_the_same_time_lose_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
