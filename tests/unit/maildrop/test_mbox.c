/* The store of mboxes, through the interface that keepers use: what is listed and read, unique ids
 * that stay, deletions, journals, other programs that write to the same file. */
#include "mbox_test.h"

static void read_and_listed(void **state)
{
	struct scratch *s = *state;
	struct maildrop *m;
	struct seen seen;

	put(s, ONE "\n" TWO "\n" THREE "\n", 0);
	m = opened(s);
	list(m, &seen);
	assert_int_equal(seen.count, 3);
	assert_int_equal(seen.entries[0].octets, strlen("Subject: one\r\n\r\nbody one\r\n"));
	assert_int_equal(seen.entries[0].unique_id_size, 32);
	assert_body(m, 1, "Subject: one\n\nbody one\n");
	assert_body(m, 2, "Subject: two\n\nbody two\n");
	assert_body(m, 3, "Subject: three\n\n.body three\n");
	maildrop_close(m);
	assert_file(s, ONE "\n" TWO "\n" THREE "\n");
}

/* The empty line behind a message is the mailbox's, those before it are the message's. */
static void messages_that_end_in_empty_lines(void **state)
{
	struct scratch *s = *state;
	struct maildrop *m;

	put(s,
	    FROM "Subject: one\n\nx\n\n\n" FROM "Subject: two\n\n\n\n" FROM
		 "Subject: three\r\n\r\nx\r\n\r\n\r\n" FROM
		 "Subject: four\nContent-Length: 3\n\nx\n\n\n" FROM "Subject: five\n\nx\n\n\n",
	    0);
	m = opened(s);
	assert_body(m, 1, "Subject: one\n\nx\n\n");
	assert_body(m, 2, "Subject: two\n\n\n");
	assert_body(m, 3, "Subject: three\r\n\r\nx\r\n\r\n");
	assert_body(m, 4, "Subject: four\nContent-Length: 3\n\nx\n\n");
	assert_body(m, 5, "Subject: five\n\nx\n\n");
	maildrop_close(m);
	/* without an empty line behind it */
	put(s, FROM "Subject: one\n\nx\n", O_TRUNC);
	m = opened(s);
	assert_body(m, 1, "Subject: one\n\nx\n");
	maildrop_close(m);
}

static void sessions_exclude_each_other(void **state)
{
	struct scratch *s = *state;
	struct maildrop *m, *other = NULL;

	put(s, ONE, 0);
	m = opened(s);
	assert_int_equal(try_open(s, &other, NULL), MAILDROP_IN_USE);
	maildrop_close(m);
	m = opened(s);
	maildrop_close(m);
}

static void what_is_no_mailbox(void **state)
{
	struct scratch *s = *state;
	struct maildrop *m = NULL;
	struct err err = {0};

	assert_int_equal(try_open(s, &m, &err), MAILDROP_ABSENT);
	put(s, "no mbox\n", 0);
	assert_int_equal(try_open(s, &m, &err), MAILDROP_PERM);
	assert_non_null(strstr(err.text, "mbox"));
	assert_file(s, "no mbox\n");
	assert_int_equal(unlinkat(s->root, BOX, 0), 0);
	assert_int_equal(symlinkat("elsewhere", s->root, BOX), 0);
	assert_int_equal(try_open(s, &m, &err), MAILDROP_PERM);
	assert_int_equal(unlinkat(s->root, BOX, 0), 0);
	assert_int_equal(mkfifoat(s->root, BOX, 0600), 0);
	assert_int_equal(try_open(s, &m, &err), MAILDROP_PERM);
}

static void an_empty_one(void **state)
{
	struct scratch *s = *state;
	struct maildrop *m = NULL;
	struct seen seen;

	assert_int_equal(maildrop_open_empty(&s->settings, BOX, &m, NULL), MAILDROP_OK);
	list(m, &seen);
	assert_int_equal(seen.count, 0);
	assert_true(maildrop_at_rest(m));
	maildrop_close(m);
	assert_int_equal(maildrop_make(&s->settings, s->root, BOX, NULL), MAILDROP_OK);
	look(s, &seen);
	assert_int_equal(seen.count, 0);
	put(s, ONE, 0);
	look(s, &seen);
	assert_int_equal(seen.count, 1);
}

/* New mail, flags, headers that other programs count anew, and the index lost: ids stay. */
static void ids_stay(void **state)
{
	struct scratch *s = *state;
	struct seen before, after;

	put(s, ONE "\n" TWO "\n", 0);
	look(s, &before);
	put(s, THREE "\n", O_APPEND);
	look(s, &after);
	assert_int_equal(after.count, 3);
	assert_true(same_id(&before, 0, &after, 0) && same_id(&before, 1, &after, 1));
	put(s,
	    FROM "Subject: one\nStatus: O\nX-UID: 9\n\nbody one\n\n" FROM
		 "Subject: two\nContent-Length: 9\nLines: 1\n\nbody two\n\n" THREE "\n",
	    O_TRUNC);
	before = after;
	look(s, &after);
	assert_int_equal(after.count, 3);
	for (unsigned i = 0; i < 3; i++)
		assert_true(same_id(&before, i, &after, i));
	assert_int_equal(unlinkat(s->root, HOME "/.box.valija-base", 0), 0);
	look(s, &after);
	for (unsigned i = 0; i < 3; i++)
		assert_true(same_id(&before, i, &after, i));
	/* sorted another way by another program */
	put(s, THREE "\n" ONE "\n" TWO "\n", O_TRUNC);
	look(s, &after);
	assert_true(same_id(&before, 2, &after, 0) && same_id(&before, 0, &after, 1) &&
		    same_id(&before, 1, &after, 2));
	/* another body of the same headers is another message */
	put(s, FROM "Subject: one\n\nlonger body one\n", O_TRUNC);
	look(s, &after);
	assert_false(same_id(&before, 0, &after, 0));
}

static void twins_differ(void **state)
{
	struct scratch *s = *state;
	struct seen before, after;

	put(s, ONE "\n" ONE "\n" ONE "\n", 0);
	look(s, &before);
	assert_int_equal(before.count, 3);
	assert_false(same_id(&before, 0, &before, 1) || same_id(&before, 0, &before, 2) ||
		     same_id(&before, 1, &before, 2));
	put(s, TWO "\n" ONE "\n" ONE "\n", O_APPEND);
	look(s, &after);
	assert_int_equal(after.count, 6);
	for (unsigned i = 0; i < 6; i++)
		for (unsigned k = 0; k < i; k++)
			assert_false(same_id(&after, i, &after, k));
	for (unsigned i = 0; i < 3; i++)
		assert_true(same_id(&before, i, &after, i));
	/* the first one goes: the others keep theirs */
	delete (s, 1, 0, true);
	before = after;
	look(s, &after);
	assert_int_equal(after.count, 5);
	for (unsigned i = 0; i < 5; i++)
		assert_true(same_id(&before, i + 1, &after, i));
}

static void deletions(void **state)
{
	struct scratch *s = *state;
	struct timespec times[2] = {{.tv_sec = 1000}, {.tv_sec = 2000}};
	struct stat st;
	struct seen before, after;

	put(s, ONE "\n" TWO "\n" THREE "\n" ONE "\n", 0);
	assert_int_equal(utimensat(s->root, BOX, times, 0), 0);
	look(s, &before);
	delete (s, 1, 3, false);
	/* not swept: hidden */
	look(s, &after);
	assert_int_equal(after.count, 2);
	assert_true(same_id(&before, 1, &after, 0) && same_id(&before, 3, &after, 1));
	assert_file(s, ONE "\n" TWO "\n" THREE "\n" ONE "\n");
	/* of another program's file, too */
	put(s, TWO "\n", O_APPEND);
	look(s, &after);
	assert_int_equal(after.count, 3);
	assert_int_equal(utimensat(s->root, BOX, times, 0), 0);
	delete (s, 1, 0, true);
	look(s, &after);
	assert_int_equal(after.count, 2);
	assert_true(same_id(&before, 3, &after, 0));
	/* "new mail" is known by these */
	assert_int_equal(fstatat(s->root, BOX, &st, 0), 0);
	assert_int_equal(st.st_atim.tv_sec, 1000);
	assert_int_equal(st.st_mtim.tv_sec, 2000);
	assert_file(s, ONE "\n" TWO "\n");
	delete (s, 1, 2, true);
	assert_file(s, "");
	look(s, &after);
	assert_int_equal(after.count, 0);
	assert_int_equal(faccessat(s->root, BOX ".lock", F_OK, 0), -1);
	assert_int_equal(faccessat(s->root, HOME "/.box.valija-journal", F_OK, 0), -1);
}

#define PSEUDO \
	FROM "Subject: DON'T DELETE THIS MESSAGE -- FOLDER INTERNAL DATA\nX-IMAP: 1 2\n\nText\n\n"

static void what_is_never_shown_stays(void **state)
{
	struct scratch *s = *state;
	struct seen seen;

	put(s, PSEUDO ONE "\n" TWO "\n", 0);
	look(s, &seen);
	assert_int_equal(seen.count, 2);
	delete (s, 1, 2, true);
	assert_file(s, PSEUDO);
	put(s, THREE, O_APPEND);
	look(s, &seen);
	assert_int_equal(seen.count, 1);
}

/* Another program removed messages between QUIT and the sweep. */
static void others_rewrite(void **state)
{
	struct scratch *s = *state;
	struct maildrop_body body;
	struct maildrop *m;
	struct seen seen;

	put(s, ONE "\n" ONE "\n" TWO "\n", 0);
	delete (s, 1, 0, false);
	put(s, ONE "\n" TWO "\n", O_TRUNC);
	look(s, &seen);
	assert_int_equal(seen.count, 2); /* which of the twins it was cannot be told: it stays */
	/* during a session: what was announced is not there */
	m = opened(s);
	put(s, TWO "\n" THREE "\n", O_TRUNC);
	assert_int_equal(maildrop_body(m, 1, &body, NULL), MAILDROP_GONE);
	assert_int_equal(maildrop_body(m, 2, &body, NULL), MAILDROP_GONE);
	maildrop_close(m);
	m = opened(s);
	assert_body(m, 1, "Subject: two\n\nbody two\n");
	maildrop_close(m);
}

/* A change in the middle that leaves size and order: growth is not believed. */
static void growth_that_is_none(void **state)
{
	struct scratch *s = *state;
	struct maildrop *m;
	struct seen seen;

	put(s, ONE "\n" TWO "\n" THREE "\n", 0);
	look(s, &seen);
	put(s, ONE "\n" TWO "\n" FROM "Subject: thr33\n\n.body three\n\n" TWO "\n", O_TRUNC);
	m = opened(s);
	list(m, &seen);
	assert_int_equal(seen.count, 4);
	assert_body(m, 3, "Subject: thr33\n\n.body three\n");
	maildrop_close(m);
	/* a last message that grows is another one */
	put(s, FROM "Subject: one\n\nhalf", O_TRUNC);
	look(s, &seen);
	put(s, " and half\n\n" TWO, O_APPEND);
	m = opened(s);
	list(m, &seen);
	assert_int_equal(seen.count, 2);
	assert_body(m, 1, "Subject: one\n\nhalf and half\n");
	maildrop_close(m);
}

static void deliveries(void **state)
{
	struct scratch *s = *state;
	struct maildrop_usage usage;
	struct maildrop *m;
	struct seen seen;

	assert_int_equal(deliver(s, "a: b\r\n\r\nx\r\n", (struct maildrop_quota){0}),
			 MAILDROP_ABSENT);
	put(s, ONE "\n", 0);
	m = opened(s);
	/* beside a session, which does not see it */
	assert_int_equal(deliver(s, "a: b\r\n\r\nFrom x\r\n", (struct maildrop_quota){0}),
			 MAILDROP_OK);
	list(m, &seen);
	assert_int_equal(seen.count, 1);
	maildrop_close(m);
	m = opened(s);
	assert_body(m, 2, "Return-Path: <b@c>\na: b\n\n>From x\n");
	maildrop_close(m);
	assert_int_equal(maildrop_usage(&s->settings, s->root, BOX, &usage, NULL), MAILDROP_OK);
	assert_int_equal(usage.messages, 2);
	put(s, TWO "\n", O_APPEND);
	assert_int_equal(maildrop_usage(&s->settings, s->root, BOX, &usage, NULL), MAILDROP_OK);
	assert_int_equal(usage.messages, 3);
	assert_int_equal(deliver(s, "a: b\r\n", (struct maildrop_quota){.max_messages = 3}),
			 MAILDROP_OVER_QUOTA);
	assert_int_equal(deliver(s, "a: b\r\n", (struct maildrop_quota){.max_octets = 80}),
			 MAILDROP_OVER_QUOTA);
	assert_int_equal(deliver(s, "a: b\r\n", (struct maildrop_quota){.max_messages = 4}),
			 MAILDROP_OK);
}

/* Where another program has the mailbox, it is not rewritten; the next session does it. */
static void a_sweep_that_cannot(void **state)
{
	struct scratch *s = *state;
	struct maildrop *m, *other = NULL;
	uint32_t number = 1;
	struct seen seen;
	int fd;

	put(s, ONE "\n" TWO "\n", 0);
	m = opened(s);
	assert_int_equal(maildrop_commit(m, &number, 1, NULL), MAILDROP_OK);
	fd = openat(s->root, BOX, O_RDWR | O_CLOEXEC);
	assert_int_equal(flock(fd, LOCK_EX), 0);
	maildrop_sweep(m);
	assert_false(maildrop_at_rest(m));
	maildrop_close(m);
	assert_file(s, ONE "\n" TWO "\n");
	put(s, THREE "\n", O_APPEND);
	/* it changed, and is held: it cannot be made current */
	assert_int_equal(try_open(s, &other, NULL), MAILDROP_IN_USE);
	close(fd);
	m = opened(s);
	list(m, &seen);
	assert_int_equal(seen.count, 2);
	maildrop_sweep(m);
	assert_true(maildrop_at_rest(m));
	maildrop_close(m);
	assert_file(s, TWO "\n" THREE "\n");
}

static int failing_flush(int fd)
{
	(void)fd;
	errno = EIO;
	return -1;
}

/* A QUIT that was answered with an error deletes nothing, then or later. */
static void a_commit_that_fails(void **state)
{
	struct scratch *s = *state;
	struct maildrop_syscalls calls = maildrop_kernel;
	struct maildrop *m;
	struct seen before, after;
	uint32_t number = 1;

	put(s, ONE "\n" TWO "\n", 0);
	look(s, &before);
	calls.fdatasync = failing_flush;
	s->settings.syscalls = &calls;
	m = opened(s);
	assert_int_equal(maildrop_commit(m, &number, 1, NULL), MAILDROP_TEMP);
	maildrop_sweep(m);
	maildrop_close(m);
	s->settings.syscalls = NULL;
	assert_file(s, ONE "\n" TWO "\n");
	look(s, &after);
	assert_int_equal(after.count, 2);
	assert_true(same_id(&before, 0, &after, 0) && same_id(&before, 1, &after, 1));
}

/* The flush that fails, counted down; below 0: it did. */
static int flushes_left;

static int one_failing_flush(int fd)
{
	if (flushes_left-- != 0)
		return fsync(fd);
	errno = EIO;
	return -1;
}

static void begin_anew(struct scratch *s)
{
	for (const char *const *name = (const char *const[]){"", ".lock", NULL}; *name; name++) {
		char path[64];

		snprintf(path, sizeof(path), BOX "%s", *name);
		unlinkat(s->root, path, 0);
	}
	unlinkat(s->root, HOME "/.box.valija-base", 0);
	unlinkat(s->root, HOME "/.box.valija-delta", 0);
	unlinkat(s->root, HOME "/.box.valija-journal", 0);
	put(s, ONE "\n" TWO "\n" THREE "\n", 0);
}

/* Whichever flush of a file or folder fails, once: a new index is none, nothing is acknowledged or
 * at rest that is not on the disk, and the next one finds all. */
static void each_flush_that_fails(void **state)
{
	/* of a new index: both files and the folder; of a rewrite: all but that of the folder
	 * which has no journal any more; of a delivery: the mailbox */
	enum { OPEN = 3, REWRITE = 6, DELIVER = 1, MOST = 8 };
	struct scratch *s = *state;
	struct maildrop_syscalls calls = maildrop_kernel;
	const struct maildrop_quota none = {0};
	uint32_t number = 1;
	struct seen seen;

	calls.fsync = one_failing_flush;
	for (int n = 0; n < MOST; n++) {
		struct maildrop *m = NULL;
		enum maildrop_status status;

		begin_anew(s);
		s->settings.syscalls = &calls;
		flushes_left = n;
		status = try_open(s, &m, NULL);
		assert_int_equal(status, n < OPEN ? MAILDROP_TEMP : MAILDROP_OK);
		flushes_left = -1;
		m = status == MAILDROP_OK ? m : opened(s);
		assert_int_equal(maildrop_commit(m, &number, 1, NULL), MAILDROP_OK);
		flushes_left = n;
		maildrop_sweep(m);
		assert_int_equal(maildrop_at_rest(m), n >= REWRITE);
		maildrop_close(m);
		flushes_left = -1;
		look(s, &seen);
		assert_int_equal(seen.count, 2);
		flushes_left = n;
		status = deliver(s, "a: b\r\n", none);
		assert_int_equal(status, n < DELIVER ? MAILDROP_TEMP : MAILDROP_OK);
		flushes_left = -1;
		look(s, &seen);
		assert_int_equal(seen.count, n < DELIVER ? 2 : 3);
	}
	s->settings.syscalls = NULL;
}

static int no_lock_file(int dir, const char *path, int flags, mode_t mode)
{
	size_t n = strlen(path);

	errno = EACCES;
	if ((flags & O_CREAT) && n > 5 && strcmp(path + n - 5, ".lock") == 0)
		return -1;
	return maildrop_kernel.openat(dir, path, flags, mode);
}

/* Without its lock file a mailbox is read, never cut. */
static void without_a_lock_file(void **state)
{
	struct scratch *s = *state;
	struct maildrop_syscalls calls = maildrop_kernel;
	struct seen seen;

	calls.openat = no_lock_file;
	s->settings.syscalls = &calls;
	put(s, ONE "\n" TWO "\n", 0);
	delete (s, 1, 0, true);
	assert_file(s, ONE "\n" TWO "\n");
	look(s, &seen);
	assert_int_equal(seen.count, 1);
	s->settings.syscalls = NULL;
	delete (s, 1, 0, true);
	assert_file(s, "");
}

/* ---- journals ---- */

static void a_journal_is_carried_out(void **state)
{
	struct scratch *s = *state;
	struct mbox_report report;
	struct seen seen;

	put(s, ONE "\n" TWO "\n" THREE "\n", 0);
	cut_off(s);
	assert_int_equal(mbox_check(&s->settings, s->root, BOX, &report, NULL), MAILDROP_TEMP);
	look(s, &seen);
	assert_int_equal(seen.count, 2);
	assert_file(s, TWO "\n" THREE "\n");
	cut_off(s);
	/* by a delivery */
	assert_int_equal(deliver(s, "a: b\r\n", (struct maildrop_quota){0}), MAILDROP_OK);
	look(s, &seen);
	assert_int_equal(seen.count, 2);
	/* by a person */
	cut_off(s);
	assert_int_equal(mbox_recover(&s->settings, s->root, BOX, &report, NULL), MAILDROP_OK);
	assert_true(report.journal && report.carried_out && !report.aside);
	assert_int_equal(report.messages, 1);
	assert_int_equal(mbox_check(&s->settings, s->root, BOX, &report, NULL), MAILDROP_OK);
	assert_false(report.journal);
	assert_int_equal(report.messages, 1);
	assert_int_equal(faccessat(s->root, BOX ".lock", F_OK, 0), -1);
}

/* The mailbox is not what it was: nothing of it is touched, the journal's octets are kept. */
static void a_journal_in_doubt(void **state)
{
	static const char *const others[] = {
		ONE "\n" TWO "\n" THREE "\n" TWO "\n", /* grown */
		TWO "\n",                              /* shorter */
		FROM "Subject: six\n\nX\n\n",          /* another message before */
	};
	struct scratch *s = *state;
	struct mbox_report report;

	for (unsigned i = 0; i < sizeof(others) / sizeof(*others); i++) {
		put(s, ONE "\n" TWO "\n" THREE "\n", O_TRUNC);
		cut_off(s);
		put(s, others[i], O_TRUNC);
		assert_int_equal(mbox_recover(&s->settings, s->root, BOX, &report, NULL),
				 MAILDROP_OK);
		assert_true(report.journal && report.aside && !report.carried_out);
		assert_file(s, others[i]);
		assert_int_equal(files_aside(s), 1);
	}
}

static void a_journal_that_was_not_completed(void **state)
{
	struct scratch *s = *state;
	struct seen seen;
	int fd;

	put(s, ONE "\n" TWO "\n", 0);
	look(s, &seen);
	fd = openat(s->root, HOME "/.box.valija-journal", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(write(fd, "VALIJA-J\1\0\0\0half", 16), 16);
	close(fd);
	look(s, &seen);
	assert_int_equal(seen.count, 2);
	assert_file(s, ONE "\n" TWO "\n");
	assert_int_equal(faccessat(s->root, HOME "/.box.valija-journal", F_OK, 0), -1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, scratch_end)
	const struct CMUnitTest tests[] = {
		TEST(read_and_listed),
		TEST(messages_that_end_in_empty_lines),
		TEST(sessions_exclude_each_other),
		TEST(what_is_no_mailbox),
		TEST(an_empty_one),
		TEST(ids_stay),
		TEST(twins_differ),
		TEST(deletions),
		TEST(what_is_never_shown_stays),
		TEST(others_rewrite),
		TEST(growth_that_is_none),
		TEST(deliveries),
		TEST(a_sweep_that_cannot),
		TEST(a_commit_that_fails),
		TEST(each_flush_that_fails),
		TEST(without_a_lock_file),
		TEST(a_journal_is_carried_out),
		TEST(a_journal_in_doubt),
		TEST(a_journal_that_was_not_completed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
