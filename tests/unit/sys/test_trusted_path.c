/* A program's path is trusted only if nobody but root and this user can change where it leads. */
#include "sys/trusted_path.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[64];

static const char *path_of(const char *name)
{
	static char path[4][256];
	static unsigned turn;

	turn = (turn + 1) % 4;
	snprintf(path[turn], sizeof(path[turn]), "%s/%s", folder, name);
	return path[turn];
}

static int begin(void **state)
{
	int fd;

	(void)state;
	strcpy(folder, "/tmp/valija-trusted-XXXXXX");
	assert_non_null(mkdtemp(folder));
	assert_int_equal(mkdir(path_of("bin"), 0755), 0);
	fd = open(path_of("bin/program"), O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
	assert_true(fd >= 0);
	close(fd);
	return 0;
}

static int end(void **state)
{
	char command[100];

	(void)state;
	snprintf(command, sizeof(command), "rm -r %s", folder);
	return system(command);
}

static void accepts(const char *name)
{
	struct stat opened, named;
	struct err err = {0};
	int fd = trusted_path_open(path_of(name), &err);

	if (fd < 0)
		fail_msg("%s: %s", name, err.text);
	assert_int_equal(fstat(fd, &opened), 0);
	assert_int_equal(stat(path_of(name), &named), 0);
	assert_true(opened.st_ino == named.st_ino && opened.st_dev == named.st_dev);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	close(fd);
}

static void refuses(const char *name, const char *why)
{
	struct err err = {0};

	assert_int_equal(trusted_path_open(path_of(name), &err), -1);
	if (!strstr(err.text, why))
		fail_msg("no \"%s\" in \"%s\"", why, err.text);
}

static void test_a_file_of_our_own(void **state)
{
	(void)state;
	accepts("bin/program");
	accepts("bin/../bin/./program");
	accepts("/bin//program");
	refuses("bin/none", "No such file");
	refuses("bin", "no file");
	refuses("bin/program/more", "no folder");
	assert_int_equal(chmod(path_of("bin/program"), 0644), 0);
	refuses("bin/program", "cannot be executed");
}

static void test_relative_and_too_long_paths(void **state)
{
	static char path[5000] = "/";
	struct err err = {0};

	(void)state;
	assert_int_equal(trusted_path_open("bin/program", &err), -1);
	assert_int_equal(trusted_path_open("", &err), -1);
	memset(path + 1, 'a', sizeof(path) - 2);
	assert_int_equal(trusted_path_open(path, &err), -1);
}

/* The modes of the file and of each folder on its way. */
static void test_what_others_may_write(void **state)
{
	static const char *const places[] = {"bin/program", "bin", ""};

	(void)state;
	for (size_t i = 0; i < sizeof(places) / sizeof(*places); i++) {
		assert_int_equal(chmod(path_of(places[i]), 0777), 0);
		refuses("bin/program", "written by everybody");
		assert_int_equal(chmod(path_of(places[i]), 0755), 0);
		accepts("bin/program");
	}
	/* /tmp is such a one: others cannot take away what is ours there */
	assert_int_equal(chmod(path_of("bin"), 01777), 0);
	accepts("bin/program");
}

static void test_what_a_group_may_write(void **state)
{
	(void)state;
	assert_int_equal(chmod(path_of("bin"), 0775), 0);
	assert_int_equal(chown(path_of("bin"), (uid_t)-1, getegid()), 0);
	accepts("bin/program"); /* our own group */
	if (geteuid() != 0)
		return;
	assert_int_equal(chown(path_of("bin"), (uid_t)-1, 65534), 0);
	refuses("bin/program", "written by its group");
}

static void test_what_belongs_to_others(void **state)
{
	static const char *const places[] = {"bin/program", "bin", "", "link"};

	(void)state;
	assert_int_equal(symlink("bin", path_of("link")), 0);
	if (geteuid() != 0)
		skip(); /* takes root to give a file away */
	for (size_t i = 0; i < sizeof(places) / sizeof(*places); i++) {
		assert_int_equal(lchown(path_of(places[i]), 65534, 65534), 0);
		refuses("link/program", "belongs to neither root nor");
		assert_int_equal(lchown(path_of(places[i]), 0, 0), 0);
		accepts("link/program");
	}
}

static void test_links(void **state)
{
	(void)state;
	assert_int_equal(symlink("bin", path_of("relative")), 0);
	assert_int_equal(symlink(path_of("relative"), path_of("absolute")), 0);
	assert_int_equal(symlink("../absolute/program", path_of("bin/again")), 0);
	assert_int_equal(symlink("loop", path_of("loop")), 0);
	assert_int_equal(symlink("nowhere", path_of("dangling")), 0);
	accepts("relative/program");
	accepts("absolute/program");
	accepts("bin/again");
	refuses("loop", "cannot be followed");
	refuses("dangling", "No such file");
	/* what a link leads through is judged as well */
	assert_int_equal(chmod(path_of("bin"), 0777), 0);
	refuses("absolute/program", "written by everybody");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_a_file_of_our_own, begin, end),
		cmocka_unit_test_setup_teardown(test_relative_and_too_long_paths, begin, end),
		cmocka_unit_test_setup_teardown(test_what_others_may_write, begin, end),
		cmocka_unit_test_setup_teardown(test_what_a_group_may_write, begin, end),
		cmocka_unit_test_setup_teardown(test_what_belongs_to_others, begin, end),
		cmocka_unit_test_setup_teardown(test_links, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
