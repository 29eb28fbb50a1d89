/* Files whose names have changed, by unique part and inode: what is found, and that a folder which
 * cannot be read is no folder without the file. */
#include "maildrop_test.h"

#include "base/text.h"
#include "maildrop/maildir/session/locate.h"

static bool no_listing;

static ssize_t f_getdents64(int fd, void *buf, size_t n)
{
	if (!no_listing)
		return maildrop_kernel.getdents64(fd, buf, n);
	errno = EIO;
	return -1;
}

static void test_found_and_not_found(void **state)
{
	struct maildrop_syscalls calls = maildrop_kernel;
	struct scratch *s = *state;
	struct maildir_place place = {
		.sys = &calls, .home = (char[]){HOME}, .lock = -1, .directories = {-1, -1}};
	struct maildir_locator *locator = NULL;
	struct maildir_found found;
	struct stat st;

	calls.getdents64 = f_getdents64;
	make_maildir(s);
	put_file(s, "cur/1.m:2,RS", "text\n");
	assert_int_equal(fstatat(s->root, HOME "/cur/1.m:2,RS", &st, 0), 0);
	place.dir = openat(s->root, HOME, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	no_listing = true;
	errno = 0;
	assert_int_equal(maildir_locator_find(&locator, &place, span_of("1.m"), st.st_ino, &found),
			 -1);
	assert_int_equal(errno, EIO);
	no_listing = false;
	assert_int_equal(maildir_locator_find(&locator, &place, span_of("1.m"), st.st_ino, &found),
			 0);
	assert_int_equal(found.directory, INDEX_CUR);
	assert_string_equal(found.name, "1.m:2,RS");
	assert_int_equal(
		maildir_locator_find(&locator, &place, span_of("1.m"), st.st_ino + 1, &found), -1);
	assert_int_equal(errno, ENOENT);
	assert_int_equal(maildir_locator_find(&locator, &place, span_of("2.m"), st.st_ino, &found),
			 -1);
	assert_int_equal(errno, ENOENT);
	maildir_locator_destroy(locator);
	for (int d = 0; d < INDEX_DIRECTORIES; d++)
		if (place.directories[d] >= 0)
			close(place.directories[d]);
	close(place.dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_found_and_not_found, scratch_begin,
						scratch_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
