/*
 * What a session lends of its index where reads of its files may have to be waited for: copies in
 * sealed memory. Each system call of copying fails once, and does only a part of its work.
 */
#include "mbox_test.h"

enum { MANY = 700 }; /* an index that is copied in several pieces */

/* What maildrop_lending says of files, but for those of memory files. */
static enum maildrop_lending lending[2]; /* of the first file that is asked for, and of others */
static unsigned asked;

enum maildrop_lending __wrap_maildrop_lending(int fd);

enum maildrop_lending __wrap_maildrop_lending(int fd)
{
	(void)fd;
	return lending[asked++ > 0];
}

static struct {
	int copy;        /* the memory file that was made; -1: none yet */
	unsigned copies; /* so many were made */
	int parts;       /* reads that are interrupted or cut short, as writes are then */
	int written;     /* writes so far, if they are cut short */
	int errnum;
	unsigned made_left, reads_left, writes_left; /* calls before one fails; 0: none does */
	bool ended; /* the file is shorter when it is read for the copy */
} plan;

static bool fails(unsigned *left)
{
	if (*left == 0 || --*left > 0)
		return false;
	errno = plan.errnum;
	return true;
}

static int p_memory_file(const char *name)
{
	if (fails(&plan.made_left))
		return -1;
	plan.copies++;
	plan.copy = maildrop_kernel.memory_file(name);
	return plan.copy;
}

/* Reads behind the making of a copy are those that fill it. */
static ssize_t p_pread(int fd, void *buf, size_t n, off_t offset)
{
	if (plan.copy < 0)
		return pread(fd, buf, n, offset);
	if (fails(&plan.reads_left))
		return -1;
	if (plan.ended)
		return 0;
	if (plan.parts && plan.parts++ % 3 == 0) {
		errno = EINTR;
		return -1;
	}
	return pread(fd, buf, plan.parts && n > 100 ? 100 : n, offset);
}

static ssize_t p_pwrite(int fd, const void *buf, size_t n, off_t offset)
{
	if (fd != plan.copy || plan.copy < 0)
		return pwrite(fd, buf, n, offset);
	if (fails(&plan.writes_left))
		return -1;
	if (plan.parts && plan.written++ % 3 == 0) {
		errno = EINTR;
		return -1;
	}
	return pwrite(fd, buf, plan.parts && n > 10 ? n / 2 : n, offset);
}

static struct maildrop_syscalls planned;

static void clear_plan(void)
{
	memset(&plan, 0, sizeof(plan));
	plan.copy = -1;
	asked = 0;
}

static void start(struct scratch *s)
{
	if (!planned.pread) {
		planned = maildrop_kernel;
		planned.memory_file = p_memory_file;
		planned.pread = p_pread;
		planned.pwrite = p_pwrite;
	}
	clear_plan();
	lending[0] = lending[1] = MAILDROP_LEND_VALUE;
	s->settings.syscalls = &planned;
}

static void many_files(struct scratch *s)
{
	char where[40];

	make_maildir(s);
	for (unsigned i = 0; i < MANY; i++) {
		snprintf(where, sizeof(where), "cur/%u.m:2,", 1000 + i);
		put_file(s, where, "text\n");
	}
	maildrop_close(open_session(s));
}

static void many_of_a_mailbox(struct scratch *s)
{
	s->settings.driver = &mbox_driver;
	s->settings.lock_ms = 1;
	assert_int_equal(mkdirat(s->root, HOME, 0700), 0);
	for (unsigned i = 0; i < MANY; i++)
		put(s, FROM "A: b\n\ntext\n\n", O_APPEND);
	maildrop_close(opened(s));
}

static const struct kind {
	void (*fill)(struct scratch *s);
	const char *home;
} kinds[] = {{many_files, HOME}, {many_of_a_mailbox, BOX}};

static enum maildrop_status open_kind(struct scratch *s, const struct kind *kind,
				      struct maildrop **ret, struct err *err)
{
	return maildrop_open(&s->settings, s->root, kind->home, ret, err);
}

static int seals_of(int fd)
{
	return fcntl(fd, F_GET_SEALS);
}

/* The list that a front makes of what it was lent is whole. */
static void assert_whole(struct maildrop *m)
{
	static struct listed entries[MANY];
	struct maildrop_snapshot snapshot;
	struct index_view *view = NULL;

	maildrop_snapshot(m, &snapshot);
	assert_int_equal(snapshot.count, MANY);
	assert_int_equal(index_view_create(snapshot.base_fd, snapshot.delta_fd, snapshot.delta_size,
					   snapshot.count, snapshot.octets, &view, NULL),
			 0);
	assert_int_equal(listed_read(view, 1, entries, MANY, NULL), MANY);
	index_view_destroy(view);
}

static void assert_copies(struct maildrop *m)
{
	const int all = F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL;
	struct maildrop_snapshot snapshot;

	maildrop_snapshot(m, &snapshot);
	assert_int_equal(plan.copies, 2);
	assert_int_equal(seals_of(snapshot.base_fd), all);
	assert_int_equal(seals_of(snapshot.delta_fd), all);
	clear_plan();
	assert_whole(m);
}

static void copies(struct scratch *s, const struct kind *kind)
{
	struct maildrop *m = NULL;
	struct err err = {0};

	start(s);
	assert_int_equal(open_kind(s, kind, &m, &err), MAILDROP_OK);
	assert_copies(m);
	maildrop_close(m);
	/* interrupted, and in parts */
	start(s);
	plan.parts = 1;
	assert_int_equal(open_kind(s, kind, &m, &err), MAILDROP_OK);
	assert_true(plan.parts > MANY / 10);
	assert_copies(m);
	maildrop_close(m);
}

/* Both files are lent as they are, or none is. */
static void files(struct scratch *s, const struct kind *kind)
{
	static const enum maildrop_lending as_files[][2] = {
		{MAILDROP_LEND_FILE, MAILDROP_LEND_FILE},
		{MAILDROP_LEND_MEMORY, MAILDROP_LEND_MEMORY},
		{MAILDROP_LEND_FILE, MAILDROP_LEND_VALUE},
		{MAILDROP_LEND_VALUE, MAILDROP_LEND_FILE},
	};
	struct maildrop *m = NULL;
	struct err err = {0};

	for (unsigned i = 0; i < 4; i++) {
		start(s);
		memcpy(lending, as_files[i], sizeof(lending));
		assert_int_equal(open_kind(s, kind, &m, &err), MAILDROP_OK);
		assert_int_equal(plan.copies, i < 2 ? 0 : 2);
		clear_plan();
		assert_whole(m);
		maildrop_close(m);
	}
}

static void assert_refused(struct scratch *s, const struct kind *kind, int errnum)
{
	struct maildrop *m = NULL;
	struct err err = {0};

	plan.errnum = errnum;
	assert_int_equal(open_kind(s, kind, &m, &err),
			 errnum == ENOSPC ? MAILDROP_FULL : MAILDROP_TEMP);
	assert_null(m);
	assert_non_null(strstr(err.text, "cannot be copied"));
	if (!strstr(err.text, strerror(errnum)))
		fail_msg("not %s: %s", strerror(errnum), err.text);
}

static void failures(struct scratch *s, const struct kind *kind)
{
	struct maildrop *m = NULL;
	struct err err = {0};

	for (unsigned at = 1; at <= 2; at++) {
		start(s);
		plan.made_left = at;
		assert_refused(s, kind, EMFILE);
		start(s);
		plan.reads_left = at;
		assert_refused(s, kind, EIO);
		start(s);
		plan.writes_left = at;
		assert_refused(s, kind, ENOSPC);
	}
	/* it became shorter meanwhile */
	start(s);
	plan.ended = true;
	assert_refused(s, kind, EIO);
	/* the lock is free again, and the session is as good as any */
	start(s);
	assert_int_equal(open_kind(s, kind, &m, &err), MAILDROP_OK);
	assert_copies(m);
	maildrop_close(m);
}

static void each(struct scratch *s, unsigned which,
		 void (*call)(struct scratch *, const struct kind *))
{
	kinds[which].fill(s);
	call(s, &kinds[which]);
}

static void test_a_maildir_copies(void **state)
{
	each(*state, 0, copies);
}

static void test_a_maildir_files(void **state)
{
	each(*state, 0, files);
}

static void test_a_maildir_failures(void **state)
{
	each(*state, 0, failures);
}

static void test_an_mbox_copies(void **state)
{
	each(*state, 1, copies);
}

static void test_an_mbox_files(void **state)
{
	each(*state, 1, files);
}

static void test_an_mbox_failures(void **state)
{
	each(*state, 1, failures);
}

static int quick_begin(void **state)
{
	if (access("/dev/shm", W_OK) == 0)
		setenv("TMPDIR", "/dev/shm", 0);
	lending[0] = lending[1] = MAILDROP_LEND_FILE;
	return scratch_begin(state);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, quick_begin, scratch_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_a_maildir_copies),   TEST(test_a_maildir_files),
		TEST(test_a_maildir_failures), TEST(test_an_mbox_copies),
		TEST(test_an_mbox_files),      TEST(test_an_mbox_failures),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
