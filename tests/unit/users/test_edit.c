/*
 * Changes of the users file: it is on the disk before it takes the old one's place, and its new
 * name before success is reported; each flush that fails is an error. fsync and rename are the
 * linker's
 * --wrap.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/text.h"
#include "users/edit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

int __real_fsync(int fd);
int __real_rename(const char *from, const char *to);
int __wrap_fsync(int fd);
int __wrap_rename(const char *from, const char *to);

static int flushes, fatal, error;
static ino_t flushed[16];
static bool renamed;

static bool was_flushed(int dir, const char *path)
{
	struct stat st;

	assert_int_equal(fstatat(dir, path, &st, 0), 0);
	for (int i = 0; i < flushes && i < 16; i++)
		if (flushed[i] == st.st_ino)
			return true;
	return false;
}

int __wrap_fsync(int fd)
{
	struct stat st;

	if (flushes + 1 == fatal) {
		errno = error;
		return -1;
	}
	assert_int_equal(fstat(fd, &st), 0);
	flushed[flushes++ % 16] = st.st_ino;
	return 0;
}

int __wrap_rename(const char *from, const char *to)
{
	assert_true(was_flushed(AT_FDCWD, from));
	renamed = true;
	return __real_rename(from, to);
}

struct place {
	char folder[64], file[80];
};

static int make_place(void **state)
{
	struct place *p = calloc(1, sizeof(*p));
	FILE *file;

	strcpy(p->folder, "/tmp/valija-edit-XXXXXX");
	assert_non_null(mkdtemp(p->folder));
	snprintf(p->file, sizeof(p->file), "%s/users", p->folder);
	file = fopen(p->file, "w");
	assert_non_null(file);
	fputs("# users\nalice:{PLAIN}one\n", file);
	fclose(file);
	*state = p;
	return 0;
}

static int remove_place(void **state)
{
	struct place *p = *state;

	unlink(p->file);
	assert_int_equal(rmdir(p->folder), 0); /* nothing else was left in it */
	free(p);
	return 0;
}

static int edit(const struct place *p, int at, int errnum, struct err *err)
{
	flushes = 0;
	renamed = false;
	fatal = at;
	error = errnum;
	return edit_users(p->file, EDIT_CHANGE, SPAN_LITERAL("alice"), "{PLAIN}two", err);
}

static void read_file(const struct place *p, char buf[200])
{
	FILE *file = fopen(p->file, "r");

	assert_non_null(file);
	buf[fread(buf, 1, 199, file)] = '\0';
	fclose(file);
}

static void file_and_folder_are_flushed(void **state)
{
	const struct place *p = *state;
	char text[200];

	assert_int_equal(edit(p, 0, 0, NULL), 0);
	assert_true(renamed);
	assert_true(was_flushed(AT_FDCWD, p->file));
	assert_true(was_flushed(AT_FDCWD, p->folder));
	assert_int_equal(flushes, 2);
	assert_int_equal(flushed[1] == flushed[0], 0);
	read_file(p, text);
	assert_string_equal(text, "# users\nalice:{PLAIN}two\n");
}

static void a_flush_that_fails_is_an_error(void **state)
{
	static const int errors[] = {EIO, ENOSPC};
	const struct place *p = *state;
	char text[200];

	for (int e = 0; e < 2; e++) {
		for (int at = 1; at <= 2; at++) {
			struct err err = {0};

			assert_int_equal(edit(p, at, errors[e], &err), -1);
			assert_int_equal(err.code, EX_IOERR);
			assert_true(err.text[0] != '\0');
			/* before the rename the old file is left as it was */
			assert_int_equal(renamed, at == 2);
			read_file(p, text);
			if (at == 1 && e == 0)
				assert_string_equal(text, "# users\nalice:{PLAIN}one\n");
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(file_and_folder_are_flushed, make_place,
						remove_place),
		cmocka_unit_test_setup_teardown(a_flush_that_fails_is_an_error, make_place,
						remove_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
