/* The folder of last logins: made beside what is remembered of the mail, and given to its user. */
#include "server/monitor/logins_folder.h"

#include "users/last_logins.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

enum { OLD = 4711, NEW, OTHER };

static char state_folder[64], path[MAIL_ROOT_MEMORY_MAX], file[MAIL_ROOT_MEMORY_MAX + 64];
static struct mail_root mail;
static struct err err;

static int begin(void **state)
{
	(void)state;
	strcpy(state_folder, "/tmp/valija-logins-XXXXXX");
	assert_non_null(mkdtemp(state_folder));
	memset(&mail, 0, sizeof(mail));
	snprintf(mail.memory, sizeof(mail.memory), "%s/mail-root-x", state_folder);
	assert_int_equal(mail_root_last_logins(&mail, false, path), 0);
	snprintf(file, sizeof(file), "%s/%s", path, LAST_LOGINS_FILE);
	return 0;
}

static int end(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf '%s'", state_folder);
	return system(command);
}

static int open_as(bool root, uid_t uid)
{
	int fd = -1, rc = logins_folder_open(&mail, root, uid, uid, &fd, &err);

	assert_int_equal(rc == 0, fd >= 0);
	if (fd >= 0) {
		assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
		close(fd);
	}
	return rc;
}

static struct stat look(const char *name)
{
	struct stat st;

	assert_int_equal(lstat(name, &st), 0);
	return st;
}

static void test_made_once(void **state)
{
	(void)state;
	assert_int_equal(open_as(false, OLD), 0);
	assert_true(S_ISDIR(look(path).st_mode));
	assert_int_equal(look(path).st_mode & 07777, 0700);
	assert_int_equal(look(path).st_uid, geteuid()); /* nobody else can give it away */
	assert_int_equal(open_as(false, OLD), 0);
}

static void test_no_place_for_it(void **state)
{
	(void)state;
	mail.memory[0] = '\0';
	assert_int_equal(open_as(false, OLD), -1);
	assert_string_equal(err.text, "there is no state folder: set STATE_DIRECTORY");
	snprintf(mail.memory, sizeof(mail.memory), "/proc/self/mail-root-x");
	assert_int_equal(open_as(false, OLD), -1);
	assert_int_equal(err.code, EX_CANTCREAT);
	assert_non_null(strstr(err.text, " cannot be made: "));
}

static void test_something_else_is_there(void **state)
{
	(void)state;
	assert_int_equal(symlink(state_folder, path), 0);
	assert_int_equal(open_as(false, OLD), -1);
	assert_int_equal(err.code, EX_NOINPUT);
	assert_int_equal(unlink(path), 0);
	close(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	assert_int_equal(open_as(false, OLD), -1);
	assert_int_equal(err.code, EX_NOINPUT);
}

static bool is_root(void)
{
	if (geteuid() != 0)
		print_message("not root: nothing can be given away\n");
	return geteuid() == 0;
}

/* A folder of OLD with a file of that user. */
static void make_old(void)
{
	assert_int_equal(open_as(true, OLD), 0);
	close(open(file, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	assert_int_equal(chown(file, OLD, OLD), 0);
}

static void test_given_to_its_user(void **state)
{
	(void)state;
	if (!is_root())
		skip();
	make_old();
	assert_int_equal(look(path).st_uid, OLD);
	assert_int_equal(look(path).st_gid, OLD);
	assert_int_equal(open_as(true, NEW), 0); /* another user, with what the last one wrote */
	assert_int_equal(look(path).st_uid, NEW);
	assert_int_equal(look(file).st_uid, NEW);
	assert_int_equal(look(file).st_gid, NEW);
	assert_int_equal(chown(file, OTHER, OTHER), 0);
	assert_int_equal(open_as(true, NEW), 0); /* it is that one's already */
	assert_int_equal(look(file).st_uid, OTHER);
}

static void test_files_that_are_not_given_away(void **state)
{
	char other[128];

	(void)state;
	if (!is_root())
		skip();
	make_old();
	assert_int_equal(chown(file, OTHER, OTHER), 0); /* of somebody else */
	assert_int_equal(open_as(true, NEW), 0);
	assert_int_equal(look(file).st_uid, OTHER);
	assert_int_equal(chown(file, NEW, NEW), 0); /* one with a second name */
	snprintf(other, sizeof(other), "%s/other", state_folder);
	assert_int_equal(link(file, other), 0);
	assert_int_equal(open_as(true, OLD), 0);
	assert_int_equal(look(path).st_uid, OLD);
	assert_int_equal(look(file).st_uid, NEW);
	assert_int_equal(unlink(file), 0); /* one that is none */
	assert_int_equal(symlink(other, file), 0);
	assert_int_equal(lchown(file, OLD, OLD), 0);
	assert_int_equal(open_as(true, NEW), 0);
	assert_int_equal(look(file).st_uid, OLD);
	assert_int_equal(look(other).st_uid, NEW);
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_FOLDER(test_made_once),
		IN_FOLDER(test_no_place_for_it),
		IN_FOLDER(test_something_else_is_there),
		IN_FOLDER(test_given_to_its_user),
		IN_FOLDER(test_files_that_are_not_given_away),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
