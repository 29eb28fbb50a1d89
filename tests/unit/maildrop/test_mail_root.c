/* Facts about the mail root, and the maildrops that may be made in it for that. */
#include "maildrop_test.h"

#include "maildrop/mail_root.h"
#include "maildrop/store.h"

static const struct maildrop_quota no_quota;

static unsigned flushes;
static bool flush_fails;
static unsigned flush_that_fails; /* from 1; 0: none but for flush_fails */
static char mark[MAIL_MARK_SIZE]; /* of the root, in each test */

/* The linker's --wrap: of what is remembered, which is no part of the maildrops. */
int __wrap_fsync(int fd);
int __wrap_fsync(int fd)
{
	(void)fd;
	flushes++;
	errno = EIO;
	return flush_fails || flushes == flush_that_fails ? -1 : 0;
}

/* The state folder is a file's place in the root: what is in it does not count. */
static int begin(void **state)
{
	int result = scratch_begin(state);
	struct scratch *s = *state;

	setenv("STATE_DIRECTORY", s->path, 1);
	return result < 0 ? result : mail_mark_write(s->root, mark, NULL);
}

static void look(struct scratch *s, struct mail_root *root)
{
	mail_root_look(s->root, s->path, root);
	s->settings.root = root;
}

static int remember(struct mail_root *root, struct scratch *s, struct err *err)
{
	struct mail_root_facts facts;

	mail_root_gather(s->root, &facts);
	return mail_root_remember(root, &facts, s->root, err);
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
	assert_int_equal(remember(&root, s, NULL), 0);
	assert_int_not_equal(access(root.memory, F_OK), 0);
	maildrop_close(open_session(s));
	assert_false(has_file(s, "")); /* a login makes nothing */
	assert_int_equal(root.state, MAIL_ROOT_NEW);
	assert_int_equal(deliver_text(s, "A: b\r\n\r\n", no_quota, NULL), MAILDROP_OK);
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
	assert_int_equal(remember(&root, s, NULL), 0);
	assert_int_equal(stat(root.memory, &before), 0);
	assert_int_equal(before.st_mode & 0777, 0644);
	assert_int_equal(remember(&root, s, NULL), 0);
	assert_int_equal(stat(root.memory, &after), 0);
	assert_int_equal(before.st_ino, after.st_ino); /* not written again */
	assert_int_equal(renameat(s->root, HOME, s->root, ".away"), 0);
	look(s, &root);
	assert_int_equal(root.state, MAIL_ROOT_KNOWN);
	assert_refused(s, "if it is meant to be empty: valija mark");
}

static void unmark(struct scratch *s)
{
	assert_int_equal(unlinkat(s->root, MAIL_MARK_NAME, 0), 0);
}

static void put_mark(struct scratch *s, const char *octets, size_t size)
{
	int fd = openat(s->root, MAIL_MARK_NAME, O_WRONLY | O_CREAT | O_TRUNC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, octets, size), (ssize_t)size);
	close(fd);
}

/* An empty folder without a mark may be the one beneath the mail's filesystem. */
static void a_root_without_a_mark_makes_nothing(void **state)
{
	struct scratch *s = *state;
	struct mail_root root;
	struct err err;

	unmark(s);
	look(s, &root);
	assert_int_equal(root.state, MAIL_ROOT_UNMARKED);
	assert_refused(s, "has no mark .valija-root: mount its filesystem");
	assert_int_equal(remember(&root, s, &err), 0);
	assert_refused(s, "valija mark");
	/* a person marks it: at once */
	assert_int_equal(mail_root_accept(&root, s->root, mark, &err), 0);
	assert_int_equal(deliver_text(s, "A: b\r\n\r\n", no_quota, &err), MAILDROP_OK);
}

/* Maildrops of other software are served, and are no reason for a mark; its lock file is one. */
static void a_root_is_marked_for_a_maildrop_of_ours(void **state)
{
	struct scratch *s = *state;
	struct mail_root root;
	struct err err;
	int fd;

	unmark(s);
	make_folder(s, "example.org");
	make_folder(s, "example.org/bob");
	make_folder(s, "example.org/bob/cur");
	look(s, &root);
	assert_int_equal(remember(&root, s, &err), 0);
	assert_int_equal(root.state, MAIL_ROOT_UNMARKED);
	assert_int_not_equal(access(root.memory, F_OK), 0);
	make_maildir(s);
	assert_int_equal(deliver_text(s, "A: b\r\n\r\n", no_quota, &err), MAILDROP_OK);
	assert_int_equal(unlinkat(s->root, HOME "/valija-lock", 0), 0);
	fd = openat(s->root, "example.org/bob/valija-lock", O_WRONLY | O_CREAT, 0600);
	close(fd);
	assert_int_equal(remember(&root, s, &err), 0);
	assert_int_equal(root.state, MAIL_ROOT_KNOWN);
	assert_int_equal(mail_mark_read(&maildrop_kernel, s->root, mark), 0);
	assert_string_equal(mark, root.mark);
	look(s, &root);
	assert_int_equal(root.state, MAIL_ROOT_KNOWN);
	assert_string_equal(mark, root.mark);
}

/* The lock file has to be in a folder of the root, not in the root or where a link leads. */
static void a_lock_elsewhere_is_no_maildrop(void **state)
{
	struct scratch *s = *state;

	close(openat(s->root, "valija-lock", O_WRONLY | O_CREAT, 0600));
	assert_int_equal(symlinkat(".", s->root, "link"), 0);
	make_folder(s, "a");
	make_folder(s, "a/valija-lock");
	assert_false(mail_mark_earned(s->root));
	close(openat(s->root, "a/valija-lock/valija-lock", O_WRONLY | O_CREAT, 0600));
	assert_true(mail_mark_earned(s->root));
}

/* What an older version remembered: inode and time of birth, then the path. */
static void write_old_memory(const struct mail_root *root, unsigned long long inode)
{
	FILE *file = fopen(root->memory, "w");

	assert_non_null(file);
	fprintf(file, "inode=%llu born=0.000000000 %s\n", inode, root->path);
	fclose(file);
}

static void a_memory_of_an_older_version_gets_the_mark(void **state)
{
	struct scratch *s = *state;
	struct mail_root root;
	struct stat st;
	char line[512] = "";
	FILE *file;

	unmark(s);
	make_maildir(s);
	close(openat(s->root, HOME "/valija-lock", O_WRONLY | O_CREAT, 0600));
	assert_int_equal(fstat(s->root, &st), 0);
	look(s, &root);
	write_old_memory(&root, st.st_ino + 1); /* another folder: nothing is written into it */
	look(s, &root);
	assert_int_equal(remember(&root, s, NULL), 0);
	assert_int_equal(root.state, MAIL_ROOT_OTHER);
	assert_int_equal(mail_mark_read(&maildrop_kernel, s->root, mark), -1);
	write_old_memory(&root, st.st_ino);
	look(s, &root);
	assert_int_equal(root.state, MAIL_ROOT_UNMARKED);
	assert_int_equal(remember(&root, s, NULL), 0);
	assert_int_equal(root.state, MAIL_ROOT_KNOWN);
	file = fopen(root.memory, "r");
	assert_non_null(fgets(line, sizeof(line), file));
	fclose(file);
	assert_non_null(strstr(line, root.mark));
}

/* Whatever the inode is: the mark moves with the mail, and a folder without it is another one. */
static void the_mark_that_is_remembered_is_the_root(void **state)
{
	struct scratch *s = *state;
	struct mail_root root;
	FILE *file;

	make_folder(s, "other");
	look(s, &root);
	assert_int_equal(remember(&root, s, NULL), 0);
	file = fopen(root.memory, "w");
	fprintf(file, "inode=1 born=1.000000001 mark=%s %s\n", mark, s->path);
	fclose(file);
	look(s, &root);
	assert_int_equal(root.state, MAIL_ROOT_KNOWN);
	/* it goes away under a server that runs: nothing is made */
	unmark(s);
	assert_refused(s, "has lost its mark");
	look(s, &root);
	assert_int_equal(root.state, MAIL_ROOT_OTHER);
	assert_refused(s, "not the one that had maildrops before");
	put_mark(s, "0123456789abcdef0123456789abcdef\n", 33);
	look(s, &root);
	assert_int_equal(root.state, MAIL_ROOT_OTHER);
	assert_refused(s, "not the one that had maildrops before");
	/* a person says that it is right: the memory of the other one goes, the mark stays */
	assert_int_equal(mail_root_accept(&root, s->root, mark, NULL), 0);
	assert_string_equal(mark, "0123456789abcdef0123456789abcdef");
	look(s, &root);
	assert_int_equal(root.state, MAIL_ROOT_KNOWN);
	assert_int_equal(deliver_text(s, "A: b\r\n\r\n", no_quota, NULL), MAILDROP_OK);
}

/* Only a small regular file of root or of the root's owner, of the right form, is a mark. */
static void what_is_no_mark_does_not_count(void **state)
{
	static const char *const bad[] = {"",
					  "\n",
					  "0123456789abcdef0123456789abcde\n",
					  "0123456789abcdef0123456789abcdef",
					  "0123456789abcdef0123456789abcdeF\n",
					  "0123456789abcdef0123456789abcdef\n\n"};
	struct scratch *s = *state;
	char fresh[MAIL_MARK_SIZE];
	struct stat st;

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		put_mark(s, bad[i], strlen(bad[i]));
		assert_int_equal(mail_mark_read(&maildrop_kernel, s->root, fresh), -1);
	}
	/* one that does not count is replaced */
	assert_int_equal(mail_mark_write(s->root, fresh, NULL), 0);
	assert_string_not_equal(fresh, mark);
	assert_int_equal(fstatat(s->root, MAIL_MARK_NAME, &st, AT_SYMLINK_NOFOLLOW), 0);
	assert_int_equal(st.st_mode & 0777, 0644);
	if (geteuid() == 0) {
		assert_int_equal(fchownat(s->root, MAIL_MARK_NAME, 12345, 12345, 0), 0);
		assert_int_equal(mail_mark_read(&maildrop_kernel, s->root, mark), -1);
	}
	assert_int_equal(renameat(s->root, MAIL_MARK_NAME, s->root, "elsewhere"), 0);
	assert_int_equal(symlinkat("elsewhere", s->root, MAIL_MARK_NAME), 0);
	assert_int_equal(mail_mark_read(&maildrop_kernel, s->root, mark), -1);
	unmark(s);
	assert_int_equal(mkfifoat(s->root, MAIL_MARK_NAME, 0644), 0);
	assert_int_equal(mail_mark_read(&maildrop_kernel, s->root, mark), -1);
}

/* A mark has its name when it is on the disk; a link of the name that it is written under is not
 * followed. */
static void a_mark_is_written_whole_or_not_at_all(void **state)
{
	struct scratch *s = *state;
	struct err err = {0};
	struct stat st;

	unmark(s);
	assert_int_equal(symlinkat("victim", s->root, MAIL_MARK_NAME ".new"), 0);
	flush_fails = true;
	assert_int_equal(mail_mark_write(s->root, mark, &err), -1);
	assert_non_null(strstr(err.text, "cannot be written"));
	flush_fails = false;
	assert_int_equal(mail_mark_read(&maildrop_kernel, s->root, mark), -1);
	assert_int_equal(fstatat(s->root, MAIL_MARK_NAME ".new", &st, AT_SYMLINK_NOFOLLOW), -1);
	flushes = 0;
	assert_int_equal(mail_mark_write(s->root, mark, &err), 0);
	assert_int_equal(flushes, 2); /* the file, then its name */
	unmark(s);
	for (flush_that_fails = 1; flush_that_fails <= 2; flush_that_fails++) {
		flushes = 0;
		assert_int_equal(mail_mark_write(s->root, mark, &err), -1);
		assert_int_equal(mail_mark_read(&maildrop_kernel, s->root, mark), -1);
	}
	flush_that_fails = 0;
	assert_int_equal(fstatat(s->root, "victim", &st, AT_SYMLINK_NOFOLLOW), -1);
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
	assert_int_equal(remember(&root, s, NULL), 0);
	file = fopen(root.memory, "w");
	fprintf(file, "inode=1 born=1.000000001 %s\n", s->path);
	fclose(file);
	look(s, &root);
	assert_int_equal(root.state, MAIL_ROOT_OTHER);
	assert_refused(s, "not the one that had maildrops before");
	make_folder(s, HOME); /* empty: no maildrop */
	assert_refused(s, "not the one that had maildrops before");
	snprintf(was, sizeof(was), "inode=1 born=1.000000001 %s\n", s->path);
	assert_int_equal(remember(&root, s, NULL), 0);
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
	assert_int_equal(remember(&root, s, &err), -1);
	assert_true(err.text[0] != '\0');
	assert_int_not_equal(access(root.memory, F_OK), 0);
	flush_fails = false;
	flushes = 0;
	assert_int_equal(remember(&root, s, &err), 0);
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
	assert_int_equal(remember(&root, s, &err), -1);
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
	assert_int_equal(remember(&root, s, NULL), 0);
	assert_int_equal(strncmp(root.memory, folder, strlen(folder)), 0);
	assert_int_equal(access(root.memory, R_OK), 0);
	if (geteuid() == 0)
		return;
	unsetenv("STATE_DIRECTORY");
	unsetenv("XDG_STATE_HOME");
	setenv("HOME", s->path, 1);
	snprintf(home, sizeof(home), "%s/.local/state/valija/mail-root-", s->path);
	look(s, &root);
	assert_int_equal(remember(&root, s, NULL), 0);
	assert_int_equal(strncmp(root.memory, home, strlen(home)), 0);
	snprintf(folder, sizeof(folder), "%s/.x", s->path);
	setenv("XDG_STATE_HOME", folder, 1);
	look(s, &root);
	assert_int_equal(strncmp(root.memory, folder, strlen(folder)), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, scratch_end)

/* ---- the kind of its maildrops ---- */

static void put_text(struct scratch *s, const char *name, const char *text)
{
	int fd = openat(s->root, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static void the_store_is_a_word(void **state)
{
	static const char *const bad[] = {"",         "mbox",
					  "mboxes\n", "mbox\nmbox\n",
					  "mbox \n",  "mbox and a long line of other words\n"};
	struct scratch *s = *state;

	assert_int_equal(mail_store_read(&maildrop_kernel, s->root), -1);
	assert_int_equal(mail_store_write(s->root, STORE_MBOX, NULL), 0);
	assert_int_equal(mail_store_read(&maildrop_kernel, s->root), STORE_MBOX);
	assert_int_equal(mail_store_write(s->root, STORE_MAILDIR, NULL), 0);
	assert_int_equal(mail_store_read(&maildrop_kernel, s->root), STORE_MAILDIR);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		put_text(s, MAIL_STORE_NAME, bad[i]);
		assert_int_equal(mail_store_read(&maildrop_kernel, s->root), -1);
	}
	assert_int_equal(unlinkat(s->root, MAIL_STORE_NAME, 0), 0);
	assert_int_equal(mkfifoat(s->root, MAIL_STORE_NAME, 0600), 0);
	assert_int_equal(mail_store_read(&maildrop_kernel, s->root), -1);
	assert_int_equal(unlinkat(s->root, MAIL_STORE_NAME, 0), 0);
	put_text(s, "word", "mbox\n");
	assert_int_equal(symlinkat("word", s->root, MAIL_STORE_NAME), 0);
	assert_int_equal(mail_store_read(&maildrop_kernel, s->root), -1);
}

/* The file has its name when it is on the disk, or not at all. */
static void a_store_that_cannot_be_written(void **state)
{
	struct scratch *s = *state;
	struct err err = {0};

	flush_fails = true;
	assert_int_equal(mail_store_write(s->root, STORE_MBOX, &err), -1);
	flush_fails = false;
	assert_non_null(strstr(err.text, MAIL_STORE_NAME));
	assert_int_equal(mail_store_read(&maildrop_kernel, s->root), -1);
}

static void the_store_is_guessed(void **state)
{
	struct scratch *s = *state;
	struct err err = {0};

	assert_int_equal(fchmod(s->root, 0755), 0);
	assert_int_equal(mail_store_guess(s->root, &err), STORE_MAILDIR);
	assert_int_equal(fchmod(s->root, 02775), 0);
	assert_int_equal(mail_store_guess(s->root, &err), STORE_MBOX);
	put_text(s, "text", "no mailbox\n");
	put_text(s, "anna.lock", "");
	put_text(s, ".hidden", "From a Sat Nov 28 10:00:00 2026\n");
	assert_int_equal(fchmod(s->root, 0755), 0);
	assert_int_equal(mail_store_guess(s->root, &err), STORE_MAILDIR);
	put_text(s, "anna", "From a Sat Nov 28 10:00:00 2026\n");
	assert_int_equal(mail_store_guess(s->root, &err), STORE_MBOX);
	make_folder(s, "bert");
	assert_int_equal(mail_store_guess(s->root, &err), -1);
	assert_non_null(strstr(err.text, "--store"));
	assert_int_equal(unlinkat(s->root, "anna", 0), 0);
	assert_int_equal(mail_store_guess(s->root, &err), STORE_MAILDIR);
}

/* Mail programs remove mailboxes: that none is there says nothing, as long as the mark is. */
static void test_threat_134_a_root_of_mboxes_may_be_empty(void **state)
{
	struct scratch *s = *state;
	struct mail_root root;
	struct err err = {0};

	assert_false(in_use(s));
	assert_int_equal(mail_store_write(s->root, STORE_MBOX, NULL), 0);
	assert_true(in_use(s));
	look(s, &root);
	assert_int_equal(remember(&root, s, &err), 0);
	look(s, &root);
	assert_int_equal(atomic_load(&root.state), MAIL_ROOT_KNOWN);
	assert_true(mail_root_may_make(&root, &maildrop_kernel, s->root, &err));
	assert_int_equal(unlinkat(s->root, MAIL_MARK_NAME, 0), 0);
	assert_false(mail_root_may_make(&root, &maildrop_kernel, s->root, &err));
}

static void the_folder_of_an_owner(void **state)
{
	struct scratch *s = *state;
	struct mail_root root;
	struct err err = {0};
	struct stat st;
	int fd, again;

	look(s, &root);
	assert_int_equal(mail_root_owner_state(&root, geteuid(), getegid(), false, &err), -1);
	fd = mail_root_owner_state(&root, geteuid(), getegid(), true, &err);
	assert_true(fd >= 0 && fstat(fd, &st) == 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	again = mail_root_owner_state(&root, geteuid(), getegid(), false, &err);
	assert_true(again >= 0);
	close(fd);
	close(again);
	root.memory[0] = '\0';
	assert_int_equal(mail_root_owner_state(&root, geteuid(), getegid(), true, &err), -1);
	assert_non_null(strstr(err.text, "STATE_DIRECTORY"));
}

/* A name that could not be flushed may not be on the disk: nothing relies on it, and the next try
 * makes and flushes it once more. */
static void the_folder_of_an_owner_is_flushed(void **state)
{
	struct scratch *s = *state;
	struct mail_root root;
	struct err err = {0};
	int fd;

	look(s, &root);
	for (flush_that_fails = 1; flush_that_fails <= 2; flush_that_fails++) {
		flushes = 0;
		err.text[0] = '\0';
		assert_int_equal(mail_root_owner_state(&root, geteuid(), getegid(), true, &err),
				 -1);
		assert_int_equal(flushes, flush_that_fails);
		assert_non_null(strstr(err.text, "cannot be made"));
		assert_non_null(strstr(err.text, strerror(EIO)));
		assert_int_equal(mail_root_owner_state(&root, geteuid(), getegid(), false, &err),
				 -1);
	}
	flush_that_fails = 0;
	flushes = 0;
	fd = mail_root_owner_state(&root, geteuid(), getegid(), true, &err);
	assert_true(fd >= 0);
	assert_int_equal(flushes, 1); /* the folder of all owners is on the disk */
	close(fd);
	fd = mail_root_owner_state(&root, geteuid(), getegid(), true, &err);
	assert_true(fd >= 0);
	assert_int_equal(flushes, 1);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(only_folders_of_maildrops_count),
		TEST(a_folder_is_found_among_many_files),
		TEST(a_new_root_is_known_after_its_first_maildrop),
		TEST(what_is_remembered_outlives_the_process),
		TEST(another_root_makes_nobody),
		TEST(a_root_without_a_mark_makes_nothing),
		TEST(a_root_is_marked_for_a_maildrop_of_ours),
		TEST(a_lock_elsewhere_is_no_maildrop),
		TEST(a_memory_of_an_older_version_gets_the_mark),
		TEST(the_mark_that_is_remembered_is_the_root),
		TEST(what_is_no_mark_does_not_count),
		TEST(a_mark_is_written_whole_or_not_at_all),
		TEST(without_a_time_of_birth_the_inode_counts),
		TEST(a_memory_that_cannot_be_flushed_is_said),
		TEST(a_memory_that_cannot_be_written_is_said),
		TEST(the_state_folder_is_found_and_made),
		TEST(the_store_is_a_word),
		TEST(a_store_that_cannot_be_written),
		TEST(the_store_is_guessed),
		TEST(test_threat_134_a_root_of_mboxes_may_be_empty),
		TEST(the_folder_of_an_owner),
		TEST(the_folder_of_an_owner_is_flushed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
