/* The state folder and the names in it, and the first configuration file. */
#include "sink_test.h"

#include "fetch/account/config_file.h"
#include "fetch/journal/state.h"

#include <limits.h>

static bool is_same(int fd, const char *path)
{
	struct stat one, other;

	return fstat(fd, &one) == 0 && stat(path, &other) == 0 && one.st_ino == other.st_ino &&
	       one.st_dev == other.st_dev;
}

static void expect_folder(const char *dir, const char *wanted)
{
	char path[200];
	struct stat status;
	int fd;

	place.err = (struct err){0};
	errno = ENOENT; /* of an earlier call */
	fd = state_open(&fetch_files_real, dir, &place.err);
	if (fd < 0)
		fail_msg("%s", place.err.text);
	snprintf(path, sizeof(path), "%s/%s", place.path, wanted);
	assert_true(is_same(fd, path));
	assert_int_equal(fstat(fd, &status), 0);
	assert_int_equal(status.st_mode & 07777, 0700);
	close(fd);
}

static void expect_none(const char *dir, int code, const char *text)
{
	place.err = (struct err){0};
	assert_int_equal(state_open(&fetch_files_real, dir, &place.err), -1);
	assert_string_equal(place.err.text, text);
	assert_int_equal(place.err.code, code);
}

static int lowest_free(void)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	close(fd);
	return fd;
}

static void where_the_folder_is(void **state)
{
	char path[200], text[300];
	int before = lowest_free();

	(void)state;
	snprintf(path, sizeof(path), "%s/xdg", place.path);
	setenv("XDG_STATE_HOME", path, 1);
	setenv("HOME", place.path, 1);
	expect_folder(NULL, "xdg/valija");
	expect_folder(NULL, "xdg/valija"); /* it is there by now */
	setenv("XDG_STATE_HOME", "relative", 1);
	expect_folder(NULL, ".local/state/valija");
	unsetenv("XDG_STATE_HOME");
	expect_folder(NULL, ".local/state/valija");
	/* whatever went wrong before, nothing stays open */
	errno = ENOENT;
	expect_folder(NULL, ".local/state/valija");
	assert_int_equal(lowest_free(), before);
	setenv("HOME", "relative", 1);
	expect_none(NULL, EX_CONFIG, "neither $HOME nor --state names the state folder");
	unsetenv("HOME");
	expect_none(NULL, EX_CONFIG, "neither $HOME nor --state names the state folder");
	snprintf(path, sizeof(path), "%s/named/one", place.path);
	expect_folder(path, "named/one");
	place_write("file", "");
	snprintf(path, sizeof(path), "%s/file", place.path);
	snprintf(text, sizeof(text), "cannot open the state folder %s: Not a directory", path);
	expect_none(path, EX_CANTCREAT, text);
	snprintf(path, sizeof(path), "%s/dangling", place.path);
	assert_int_equal(symlink("nowhere", path), 0);
	snprintf(text, sizeof(text), "cannot open the state folder %s: No such file or directory",
		 path);
	expect_none(path, EX_CANTCREAT, text);
}

/* errno is of no call that succeeds. */
static int mkdirat_with_errno(int dir, const char *path, mode_t mode)
{
	int rc = mkdirat(dir, path, mode);

	if (rc == 0)
		errno = EIO;
	return rc;
}

static void each_folder_on_the_way_is_made(void **state)
{
	struct fetch_files files = fetch_files_real;
	char path[200];
	int fd;

	(void)state;
	files.mkdirat = mkdirat_with_errno;
	snprintf(path, sizeof(path), "%s/a/b/c", place.path);
	place.err = (struct err){0};
	fd = state_open(&files, path, &place.err);
	if (fd < 0)
		fail_msg("%s", place.err.text);
	assert_true(is_same(fd, path));
	close(fd);
}

static void names_that_are_too_long(void **state)
{
	static char longest[PATH_MAX + 1];

	(void)state;
	memset(longest, 'x', sizeof(longest));
	longest[0] = '/';
	longest[PATH_MAX] = '\0';
	expect_none(longest, EX_USAGE, "the state folder's name is too long");
	longest[PATH_MAX - 7] = '\0';
	setenv("XDG_STATE_HOME", longest, 1);
	expect_none(NULL, EX_CONFIG, "the state folder's name is too long");
	unsetenv("XDG_STATE_HOME");
}

static void names_of_journals(void **state)
{
	static const struct {
		const char *name, *key, *wanted;
	} cases[] = {
		{"anna", "key", "anna-"},
		{"a@b.example-1_x", "key", "a@b.example-1_x-"},
		{".a/../b c", "key", "_a_.._b_c-"},
		{"\xc3\xa4", "key", "__-"},
		{"AZaz09[`{:", "key", "AZaz09____-"},
		{"", "key", "-"},
	};
	char name[STATE_NAME_MAX], other[STATE_NAME_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		size_t n = strlen(cases[i].wanted);

		snprintf(place.account.name, sizeof(place.account.name), "%s", cases[i].name);
		state_journal_name(&place.account, cases[i].key, name);
		assert_memory_equal(name, cases[i].wanted, n);
		/* the same between versions, or all mail is collected again */
		assert_string_equal(name + n, "506638603087.journal");
	}
	state_journal_name(&place.account, "kez", other);
	assert_string_not_equal(name, other);
	memset(place.account.name, 'x', 200);
	place.account.name[200] = '\0';
	state_journal_name(&place.account, "key", name);
	assert_int_equal(strlen(name), 90 + strlen("-506638603087.journal"));
}

static const char *key_of(void)
{
	static char key[STATE_KEY_MAX];

	assert_int_equal(state_key(&place.account, place.state, key, &place.err), 0);
	return key;
}

/* Its journal was made when the port was part of each key. */
static void a_journal_of_an_older_version(void **state)
{
	char name[STATE_NAME_MAX], path[300];

	(void)state;
	snprintf(place.account.user, sizeof(place.account.user), "u");
	snprintf(place.account.host, sizeof(place.account.host), "h");
	place.account.port = 1110;
	assert_string_equal(key_of(), "anna\nu@h\n");
	state_journal_name(&place.account, "anna\nu@h:1110\n", name);
	snprintf(path, sizeof(path), "state/%s", name);
	place_write(path, "");
	assert_string_equal(key_of(), "anna\nu@h:1110\n");
	state_journal_name(&place.account, "anna\nu@h\n", name);
	snprintf(path, sizeof(path), "state/%s", name);
	place_write(path, "");
	assert_string_equal(key_of(), "anna\nu@h\n");
}

/* A place is named by where it is, not by how it was written. */
static void places_of_urls(void **state)
{
	char wanted[STATE_KEY_MAX], real[PATH_MAX];

	(void)state;
	assert_non_null(realpath(place.path, real));
	place.account.from_url = true;
	snprintf(place.account.user, sizeof(place.account.user), "u");
	snprintf(place.account.host, sizeof(place.account.host), "h");
	place_target(FETCH_MAILDIR, "%s/state/../new", place.path);
	snprintf(wanted, sizeof(wanted), "\nu@h\n%.200s/new", real);
	assert_string_equal(key_of(), wanted);
	place_target(FETCH_MBOX, "%s/state/.", place.path);
	snprintf(wanted, sizeof(wanted), "\nu@h\n%.200s/state", real);
	assert_string_equal(key_of(), wanted);
	place_target(FETCH_MBOX, "/no-such-mbox");
	assert_string_equal(key_of(), "\nu@h\n/no-such-mbox");
	place_target(FETCH_MBOX, "/no-such-folder/mbox");
	assert_int_equal(state_key(&place.account, place.state, wanted, &place.err), -1);
	assert_string_equal(place.err.text,
			    "cannot find the folder of /no-such-folder/mbox: No such "
			    "file or directory");
	assert_int_equal(place.err.code, EX_CANTCREAT);
}

/* ---- the first configuration file ---- */

static int flushes; /* until one fails; 0: none does */

int __real_fsync(int fd);
int __wrap_fsync(int fd);
int __wrap_fsync(int fd)
{
	if (flushes && --flushes == 0) {
		errno = EIO;
		return -1;
	}
	return __real_fsync(fd);
}

/* A file that could not be flushed is none: the next try writes it. */
static void a_configuration_on_a_broken_disk(void **state)
{
	char path[200], text[300];

	(void)state;
	snprintf(path, sizeof(path), "%s/fetch.conf", place.path);
	snprintf(text, sizeof(text), "cannot write %s: Input/output error", path);
	for (int at = 1; at < 3; at++) {
		flushes = at;
		assert_int_equal(fetch_config_init(path, &place.err), -1);
		assert_int_equal(flushes, 0);
		assert_string_equal(place.err.text, text);
		assert_int_equal(place.err.code, EX_IOERR);
		assert_false(place_has("fetch.conf"));
	}
	flushes = 3;
	assert_int_equal(fetch_config_init(path, &place.err), 0);
	assert_int_equal(flushes, 1); /* the file and its folder */
	flushes = 0;
}

static void a_first_configuration(void **state)
{
	char path[200], text[300];
	struct stat status;

	(void)state;
	snprintf(path, sizeof(path), "%s/one/two/fetch.conf", place.path);
	assert_int_equal(fetch_config_init(path, &place.err), 0);
	assert_non_null(strstr(place_read("one/two/fetch.conf"), "\naccount \"home\" {\n"));
	assert_int_equal(stat(path, &status), 0);
	assert_int_equal(status.st_mode & 07777, 0600);
	snprintf(text, sizeof(text), "%s/one", place.path);
	assert_int_equal(stat(text, &status), 0);
	assert_int_equal(status.st_mode & 07777, 0700);
	/* never in place of one that is there */
	place_write("one/two/fetch.conf", "mine");
	assert_int_equal(fetch_config_init(path, &place.err), -1);
	snprintf(text, sizeof(text), "cannot make %s: File exists", path);
	assert_string_equal(place.err.text, text);
	assert_int_equal(place.err.code, EX_CANTCREAT);
	assert_string_equal(place_read("one/two/fetch.conf"), "mine");
}

static void no_folder_for_a_configuration(void **state)
{
	static char longest[FETCH_PATH_MAX + 1];
	char path[200], text[300];

	(void)state;
	place_write("file", "");
	snprintf(path, sizeof(path), "%s/file/two/fetch.conf", place.path);
	assert_int_equal(fetch_config_init(path, &place.err), -1);
	snprintf(text, sizeof(text), "cannot make %s/file/two: Not a directory", place.path);
	assert_string_equal(place.err.text, text);
	assert_int_equal(place.err.code, EX_CANTCREAT);
	memset(longest, 'x', FETCH_PATH_MAX);
	assert_int_equal(fetch_config_folder(longest, &place.err), -1);
	assert_string_equal(place.err.text, "the file's name is too long");
	assert_int_equal(place.err.code, EX_USAGE);
	longest[FETCH_PATH_MAX - 1] = '\0';
	assert_int_equal(fetch_config_folder(longest, &place.err), 0);
}

#define IN_PLACE(test) cmocka_unit_test_setup_teardown(test, place_begin, place_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_PLACE(where_the_folder_is),           IN_PLACE(each_folder_on_the_way_is_made),
		IN_PLACE(names_that_are_too_long),       IN_PLACE(names_of_journals),
		IN_PLACE(a_journal_of_an_older_version), IN_PLACE(places_of_urls),
		IN_PLACE(a_first_configuration),         IN_PLACE(a_configuration_on_a_broken_disk),
		IN_PLACE(no_folder_for_a_configuration),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
