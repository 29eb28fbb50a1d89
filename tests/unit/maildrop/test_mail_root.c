/* What is known of the mail root, and which maildrops are made in it because of that. */
#include "maildrop_test.h"

#include "maildrop/mail_root.h"

static const struct maildrop_quota no_quota;

static unsigned flushes;
static bool flush_fails;

/* The linker's --wrap: of what is remembered, which is no part of the maildrops. */
int __wrap_fsync(int fd);
int __wrap_fsync(int fd)
{
	(void)fd;
	flushes++;
	errno = EIO;
	return flush_fails ? -1 : 0;
}

/* The state folder is a file's place in the root: what is in it does not count. */
static int begin(void **state)
{
	int result = scratch_begin(state);
	struct scratch *s = *state;

	setenv("STATE_DIRECTORY", s->path, 1);
	return result;
}

static void look(struct scratch *s, struct mail_root *root)
{
	mail_root_look(s->root, s->path, root);
	s->settings.root = root;
}

static void make_folder(struct scratch *s, const char *name)
{
	assert_int_equal(mkdirat(s->root, name, 0700), 0);
}

static bool in_use(struct scratch *s)
{
	return mail_root_in_use(&maildrop_kernel, s->root);
}

/* Login and delivery are refused alike, with words that name the file, and make nothing. */
static void assert_refused(struct scratch *s, const char *why)
{
	struct err err = {0};
	struct maildrop *m;

	assert_int_equal(maildrop_open(&s->settings, s->root, HOME, &m, &err), MAILDROP_TEMP);
	assert_non_null(strstr(err.text, "maildrop " HOME));
	assert_non_null(strstr(err.text, why));
	assert_int_equal(deliver_text(s, "A: b\r\n\r\n", no_quota, &err), MAILDROP_TEMP);
	assert_non_null(strstr(err.text, why));
	assert_false(has_file(s, "new"));
}

static void only_folders_of_maildrops_count(void **state)
{
	struct scratch *s = *state;
	int fd = openat(s->root, "a-file", O_WRONLY | O_CREAT, 0600);

	assert_false(in_use(s));
	close(fd);
	make_folder(s, "lost+found");
	make_folder(s, ".snapshots");
	assert_int_equal(symlinkat("..", s->root, "a-link"), 0);
	assert_false(in_use(s));
	make_folder(s, "a");
	assert_true(in_use(s));
}

/* Found behind any number of others that do not count. */
static void a_folder_is_found_among_many_files(void **state)
{
	struct scratch *s = *state;

	for (int i = 0; i < 500; i++) {
		char name[64];

		snprintf(name, sizeof(name), "a-file-with-a-name-of-some-length-%d", i);
		close(openat(s->root, name, O_WRONLY | O_CREAT, 0600));
	}
	assert_false(in_use(s));
	make_folder(s, "folder");
	assert_true(in_use(s));
}

/* No memory, nothing there: maildrops are made, and from the first one on it is known. */
static void a_new_root_is_known_after_its_first_maildrop(void **state)
{
	struct scratch *s = *state;
	struct mail_root root;

	look(s, &root);
	assert_int_equal(root.state, MAIL_ROOT_NEW);
	assert_int_equal(mail_root_remember(&root, s->root, s->path, NULL), 0);
	assert_int_not_equal(access(root.memory, F_OK), 0);
	maildrop_close(open_session(s));
	assert_int_equal(root.state, MAIL_ROOT_KNOWN);
	assert_int_equal(renameat(s->root, HOME, s->root, ".away"), 0);
	assert_refused(s, "is empty, but it had maildrops before");
	/* another one makes the difference: this may be a new user */
	make_folder(s, "other");
	assert_int_equal(deliver_text(s, "A: b\r\n\r\n", no_quota, NULL), MAILDROP_OK);
}

static void what_is_remembered_outlives_the_process(void **state)
{
	struct scratch *s = *state;
	struct mail_root root;
	struct stat before, after;

	make_maildir(s);
	look(s, &root);
	assert_int_equal(root.state, MAIL_ROOT_KNOWN);
	assert_int_equal(mail_root_remember(&root, s->root, s->path, NULL), 0);
	assert_int_equal(stat(root.memory, &before), 0);
	assert_int_equal(before.st_mode & 0777, 0644);
	assert_int_equal(mail_root_remember(&root, s->root, s->path, NULL), 0);
	assert_int_equal(stat(root.memory, &after), 0);
	assert_int_equal(before.st_ino, after.st_ino); /* not written again */
	assert_int_equal(renameat(s->root, HOME, s->root, ".away"), 0);
	look(s, &root);
	assert_int_equal(root.state, MAIL_ROOT_KNOWN);
	assert_refused(s, root.memory);
}

/* Another folder at that path: who is there is served, nobody is made, and the memory stays. */
static void another_root_makes_nobody(void **state)
{
	struct scratch *s = *state;
	struct mail_root root;
	char was[256] = "", is[256] = "";
	FILE *file;

	make_folder(s, "other");
	look(s, &root);
	assert_int_equal(mail_root_remember(&root, s->root, s->path, NULL), 0);
	file = fopen(root.memory, "w");
	fprintf(file, "inode=1 born=1.000000001 %s\n", s->path);
	fclose(file);
	look(s, &root);
	assert_int_equal(root.state, MAIL_ROOT_OTHER);
	assert_refused(s, "not the one that had maildrops before");
	make_folder(s, HOME); /* empty: no maildrop */
	assert_refused(s, "not the one that had maildrops before");
	snprintf(was, sizeof(was), "inode=1 born=1.000000001 %s\n", s->path);
	assert_int_equal(mail_root_remember(&root, s->root, s->path, NULL), 0);
	file = fopen(root.memory, "r");
	assert_non_null(fgets(is, sizeof(is), file));
	fclose(file);
	assert_string_equal(is, was);
	make_folder(s, HOME "/new");
	make_folder(s, HOME "/cur");
	make_folder(s, HOME "/tmp");
	assert_int_equal(deliver_text(s, "A: b\r\n\r\n", no_quota, NULL), MAILDROP_OK);
	maildrop_close(open_session(s));
}

/* A filesystem that does not know when its folders were made: the inode alone counts. */
static void without_a_time_of_birth_the_inode_counts(void **state)
{
	struct scratch *s = *state;
	struct mail_root root;
	struct stat st;

	make_folder(s, "other");
	look(s, &root);
	assert_int_equal(fstat(s->root, &st), 0);
	for (int other = 0; other < 2; other++) {
		FILE *file = fopen(root.memory, "w");

		fprintf(file, "inode=%llu born=0.000000000 %s\n",
			(unsigned long long)st.st_ino + (unsigned)other, s->path);
		fclose(file);
		look(s, &root);
		assert_int_equal(root.state, other ? MAIL_ROOT_OTHER : MAIL_ROOT_KNOWN);
	}
}

/* Half of a memory would be another root's: the file is flushed before it has its name. */
static void a_memory_that_cannot_be_flushed_is_said(void **state)
{
	struct scratch *s = *state;
	struct mail_root root;
	struct err err = {0};

	look(s, &root);
	make_folder(s, "bob");
	flush_fails = true;
	assert_int_equal(mail_root_remember(&root, s->root, s->path, &err), -1);
	assert_true(err.text[0] != '\0');
	assert_int_not_equal(access(root.memory, F_OK), 0);
	flush_fails = false;
	flushes = 0;
	assert_int_equal(mail_root_remember(&root, s->root, s->path, &err), 0);
	assert_int_equal(access(root.memory, F_OK), 0);
	assert_int_equal(flushes, 1);
}

static void a_memory_that_cannot_be_written_is_said(void **state)
{
	struct scratch *s = *state;
	struct mail_root root;
	struct err err = {0};

	make_folder(s, "other");
	setenv("STATE_DIRECTORY", "/dev/null/nowhere", 1);
	look(s, &root);
	assert_int_equal(root.state, MAIL_ROOT_KNOWN);
	assert_int_equal(mail_root_remember(&root, s->root, s->path, &err), -1);
	assert_non_null(strstr(err.text, "/dev/null/nowhere/mail-root-"));
}

/* Folders that are not there are made; whoever is not root has one at home. */
static void the_state_folder_is_found_and_made(void **state)
{
	struct scratch *s = *state;
	struct mail_root root;
	char folder[200], home[200];

	make_folder(s, "other");
	snprintf(folder, sizeof(folder), "%s/.a/b", s->path);
	setenv("STATE_DIRECTORY", folder, 1);
	look(s, &root);
	assert_int_equal(mail_root_remember(&root, s->root, s->path, NULL), 0);
	assert_int_equal(strncmp(root.memory, folder, strlen(folder)), 0);
	assert_int_equal(access(root.memory, R_OK), 0);
	if (geteuid() == 0)
		return;
	unsetenv("STATE_DIRECTORY");
	unsetenv("XDG_STATE_HOME");
	setenv("HOME", s->path, 1);
	snprintf(home, sizeof(home), "%s/.local/state/valija/mail-root-", s->path);
	look(s, &root);
	assert_int_equal(mail_root_remember(&root, s->root, s->path, NULL), 0);
	assert_int_equal(strncmp(root.memory, home, strlen(home)), 0);
	snprintf(folder, sizeof(folder), "%s/.x", s->path);
	setenv("XDG_STATE_HOME", folder, 1);
	look(s, &root);
	assert_int_equal(strncmp(root.memory, folder, strlen(folder)), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, scratch_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(only_folders_of_maildrops_count),
		TEST(a_folder_is_found_among_many_files),
		TEST(a_new_root_is_known_after_its_first_maildrop),
		TEST(what_is_remembered_outlives_the_process),
		TEST(another_root_makes_nobody),
		TEST(without_a_time_of_birth_the_inode_counts),
		TEST(a_memory_that_cannot_be_flushed_is_said),
		TEST(a_memory_that_cannot_be_written_is_said),
		TEST(the_state_folder_is_found_and_made),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
