/*
 * Files and folders of `valija init` and `valija fetch --init`: each file and every folder is
 * flushed before success is reported, and a flush that fails is an error that takes away what was
 * made. fsync is the linker's --wrap.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cli/init.h"
#include "fetch/account/config_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

int __wrap_fsync(int fd);

static int flushes, fatal, error;
static ino_t flushed[32];

int __wrap_fsync(int fd)
{
	struct stat st;

	if (flushes + 1 == fatal) {
		errno = error;
		return -1;
	}
	assert_int_equal(fstat(fd, &st), 0);
	flushed[flushes++ % 32] = st.st_ino;
	return 0;
}

static void assert_flushed(const char *folder, const char *name)
{
	char path[200];
	struct stat st;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	assert_int_equal(stat(path, &st), 0);
	for (int i = 0; i < flushes; i++)
		if (flushed[i] == st.st_ino)
			return;
	fail_msg("%s was not flushed", path);
}

static int make_folder(void **state)
{
	char *folder = strdup("/tmp/valija-init-XXXXXX");

	assert_non_null(mkdtemp(folder));
	*state = folder;
	return 0;
}

static int remove_folder(void **state)
{
	char command[100];

	snprintf(command, sizeof(command), "rm -rf %s", (char *)*state);
	free(*state);
	return system(command);
}

static int entries(const char *folder)
{
	DIR *dir = opendir(folder);
	int n = 0;

	assert_non_null(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n - 2;
}

static int init(const char *folder, int at, int errnum)
{
	char office[100], program[] = "init", option[] = "--hostname", name[] = "mail.example.org";
	char *argv[] = {program, office, option, name, NULL};

	snprintf(office, sizeof(office), "%s/office", folder);
	flushes = 0;
	fatal = at;
	error = errnum;
	return init_main(4, argv);
}

static void the_office_is_flushed(void **state)
{
	static const char *const names[] = {"office/tls/key.pem",
					    "office/tls/cert.pem",
					    "office/users",
					    "office/valija.conf",
					    "office/mail/.valija-root",
					    "office/mail",
					    "office/tls",
					    "office",
					    "."};
	int total;

	assert_int_equal(init(*state, 0, 0), EX_OK);
	for (unsigned i = 0; i < sizeof(names) / sizeof(*names); i++)
		assert_flushed(*state, names[i]);
	total = flushes;
	for (int at = 1; at <= total; at++) {
		char command[100];

		snprintf(command, sizeof(command), "rm -rf %s/office", (char *)*state);
		assert_int_equal(system(command), 0);
		assert_int_equal(init(*state, at, at % 2 ? EIO : ENOSPC), EX_IOERR);
		assert_int_equal(entries(*state), 0);
	}
}

static void the_fetch_configuration_is_flushed(void **state)
{
	const char *folder = *state;
	char path[100];
	struct err err;

	snprintf(path, sizeof(path), "%s/fetch.conf", folder);
	for (int at = 1; at <= 2; at++) {
		flushes = 0;
		fatal = at;
		error = EIO;
		err = (struct err){0};
		assert_int_equal(fetch_config_init(path, &err), -1);
		assert_int_equal(err.code, EX_IOERR);
		assert_int_equal(entries(folder), 0);
	}
	flushes = fatal = 0;
	assert_int_equal(fetch_config_init(path, &err), 0);
	assert_flushed(folder, "fetch.conf");
	assert_flushed(folder, ".");
	assert_int_equal(fetch_config_init(path, &err), -1); /* it is not replaced */
	assert_int_equal(entries(folder), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_office_is_flushed, make_folder, remove_folder),
		cmocka_unit_test_setup_teardown(the_fetch_configuration_is_flushed, make_folder,
						remove_folder),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
