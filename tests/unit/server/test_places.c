/* valijad -t: users whose mail could be in two places, by the settings as they are and as they may
 * have been. */
#include "server/monitor/places.h"

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

static struct {
	char folder[64];
	int dir;
	struct config config;
	struct generation_files files;
	struct err err;
} test;

static void put_users(const char *text)
{
	int fd = openat(test.dir, "users", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static int begin(void **state)
{
	(void)state;
	memset(&test, 0, sizeof(test));
	strcpy(test.folder, "/tmp/valija-places-XXXXXX");
	if (!mkdtemp(test.folder))
		return -1;
	test.dir = open(test.folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	config_defaults(&test.config);
	test.config.root_count = 1;
	snprintf(test.config.roots[0].path, sizeof(test.config.roots[0].path), "%s", test.folder);
	snprintf(test.config.users, sizeof(test.config.users), "%s/users", test.folder);
	strcpy(test.config.maildir, "Maildir");
	test.files.config = &test.config;
	test.files.roots[0].fd = test.files.users_fd = test.dir;
	put_users("anna:{PLAIN}x\nberta:{PLAIN}y\n");
	return 0;
}

static int end(void **state)
{
	char command[100];

	(void)state;
	close(test.dir);
	snprintf(command, sizeof(command), "rm -rf '%s'", test.folder);
	return system(command);
}

static void make(const char *folder)
{
	assert_int_equal(mkdirat(test.dir, folder, 0700), 0);
}

static void test_one_place(void **state)
{
	(void)state;
	assert_int_equal(places_check(&test.files, &test.err), 0);
	make("anna");
	make("anna/Maildir");
	make("anna/Maildir/new");
	assert_int_equal(places_check(&test.files, &test.err), 0);
}

static void test_two_places(void **state)
{
	(void)state;
	make("anna");
	make("anna/cur");
	assert_int_equal(places_check(&test.files, &test.err), -1);
	assert_non_null(strstr(test.err.text, "the mail of anna is in "));
	assert_non_null(strstr(test.err.text, "/anna is a Maildir, too"));
	assert_null(strstr(test.err.text, "users have two places"));
	make("berta");
	make("berta/new");
	assert_int_equal(places_check(&test.files, &test.err), -1);
	assert_non_null(strstr(test.err.text, "2 users have two places for mail; the first"));
	/* files of such a name are no folders */
	assert_int_equal(unlinkat(test.dir, "anna/cur", AT_REMOVEDIR), 0);
	assert_int_equal(unlinkat(test.dir, "berta/new", AT_REMOVEDIR), 0);
	close(openat(test.dir, "anna/cur", O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	assert_int_equal(places_check(&test.files, &test.err), 0);
	/* without the setting there is no other place */
	make("berta/new");
	test.config.maildir[0] = '\0';
	assert_int_equal(places_check(&test.files, &test.err), 0);
}

static void test_users_that_cannot_be_read(void **state)
{
	(void)state;
	test.files.users_fd = -1; /* the folder of the file */
	test.err.text[0] = '\0';
	assert_int_equal(places_check(&test.files, &test.err), -1);
	assert_true(test.err.text[0] != '\0');
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_one_place),
		TEST(test_two_places),
		TEST(test_users_that_cannot_be_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
