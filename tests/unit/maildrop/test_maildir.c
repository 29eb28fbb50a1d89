/* The Maildir driver as keepers use it: sessions, other programs on the same Maildir, deletions. */
#include "maildrop_test.h"

#include "maildrop/upkeep.h"

#include <signal.h>
#include <sys/wait.h>

static void a_new_maildrop_is_empty_and_not_made(void **state)
{
	struct scratch *s = *state;
	struct maildrop *m = open_session(s);
	struct maildrop_snapshot snapshot;
	struct maildrop_body body;

	maildrop_snapshot(m, &snapshot);
	assert_int_equal(snapshot.count, 0);
	assert_int_equal(snapshot.octets, 0);
	assert_int_equal(maildrop_body(m, 1, &body, NULL), MAILDROP_GONE);
	assert_true(maildrop_at_rest(m));
	maildrop_sweep(m);
	maildrop_close(m);
	assert_false(has_file(s, ""));
	for (int again = 0; again < 2; again++) {
		assert_int_equal(maildrop_make(&s->settings, s->root, HOME, NULL), MAILDROP_OK);
		assert_true(has_file(s, "new") && has_file(s, "cur") && has_file(s, "tmp"));
		assert_true(has_file(s, "valija-lock"));
	}
	m = open_session(s);
	assert_int_equal(session_count(m), 0);
	maildrop_sweep(m);
	maildrop_close(m);
}

static void messages_are_numbered_by_delivery(void **state)
{
	struct scratch *s = *state;
	struct maildrop *m;
	char text[100];

	make_maildir(s);
	put_file(s, "cur/200.b.host:2,S", "second\n");
	put_file(s, "new/1000.c.host", "third, no line end");
	put_file(s, "cur/100.a.host,S=6,W=8:2,", ".one\n\n");
	m = open_session(s);
	assert_int_equal(session_count(m), 3);
	assert_entry(m, 1, "100.a.host", 8);
	assert_entry(m, 2, "200.b.host", 8);
	assert_entry(m, 3, "1000.c.host", 20);
	assert_int_equal(read_body(m, 3, text, sizeof(text)), MAILDROP_OK);
	assert_string_equal(text, "third, no line end");
	assert_int_equal(maildrop_body(m, 4, NULL, NULL), MAILDROP_GONE);
	assert_int_equal(maildrop_body(m, 0, NULL, NULL), MAILDROP_GONE);
	maildrop_sweep(m);
	maildrop_close(m);
	assert_true(has_file(s, "cur/1000.c.host:2,"));

	m = open_session(s);
	assert_int_equal(session_count(m), 3);
	assert_entry(m, 3, "1000.c.host", 20);
	assert_int_equal(read_body(m, 3, text, sizeof(text)), MAILDROP_OK);
	maildrop_close(m);
}

/* Of one second: by name, octet by octet, whichever is longer. */
static void messages_of_one_second_are_numbered_by_name(void **state)
{
	static const char *const names[] = {"5.a", "5.aaa", "5.ab", "5.b", "5.ba"};
	struct scratch *s = *state;
	struct maildrop *m;
	char where[40];

	make_maildir(s);
	for (unsigned i = 0; i < 5; i++) {
		snprintf(where, sizeof(where), "cur/%s:2,", names[(i * 3 + 4) % 5]);
		put_file(s, where, "x\n");
	}
	m = open_session(s);
	assert_int_equal(session_count(m), 5);
	for (unsigned i = 0; i < 5; i++)
		assert_entry(m, i + 1, names[i], 3);
	maildrop_close(m);
}

static void deletions_hold_and_only_those(void **state)
{
	static const uint32_t numbers[] = {1, 3};
	struct scratch *s = *state;
	struct maildrop *m;

	make_maildir(s);
	put_file(s, "cur/1.a:2,", "a\n");
	put_file(s, "new/2.b", "b\n");
	put_file(s, "new/3.c", "c\n");
	m = open_session(s);
	maildrop_close(m);
	assert_true(has_file(s, "cur/1.a:2,"));
	m = open_session(s);
	assert_int_equal(maildrop_commit(m, numbers, 2, NULL), MAILDROP_OK);
	/* the files are still there: whatever happens now, their messages are gone */
	maildrop_close(m);
	assert_true(has_file(s, "cur/1.a:2,") && has_file(s, "new/3.c"));
	m = open_session(s);
	assert_int_equal(session_count(m), 1);
	assert_entry(m, 1, "2.b", 3);
	maildrop_sweep(m);
	maildrop_close(m);
	assert_false(has_file(s, "cur/1.a:2,") || has_file(s, "new/3.c"));
	m = open_session(s);
	assert_int_equal(session_count(m), 1);
	maildrop_close(m);
}

/* What the driver asked the kernel, counted. */
static struct {
	unsigned messages, listings, writes;
	bool full, read_only;      /* writes fail */
	const char *unreadable;    /* this directory cannot be listed */
	int64_t frozen;            /* all times are this second, if it is not 0 */
	int64_t later;             /* seconds by which open files are younger than they are */
	bool own_numbers;          /* listings number files in their own way */
	struct scratch *meanwhile; /* a message of somebody else's comes behind the next rename */
	const char *comes;         /* that message, if not new/6000.other.host */
	const char *unlisted;      /* a listing leaves this name out, as behind a rename */
	int64_t then_later;        /* for as many seconds later, once it did */
	struct scratch *renamer;   /* somebody else, who renames what is opened to be counted */
	unsigned renames;          /* as often as this */
	long step;                 /* nanoseconds between two looks at the clock */
} world;

/* A mail reader moves it to cur/, or gives it another flag, before it is opened. */
static void rename_meanwhile(const char *name)
{
	char from[300], to[300];

	if (!world.renamer || !world.renames || strncmp(name, "7000.", 5) != 0)
		return;
	world.renames--;
	for (const char *folder = "new"; folder; folder = strcmp(folder, "new") ? NULL : "cur") {
		snprintf(from, sizeof(from), HOME "/%s/%s", folder, name);
		snprintf(to, sizeof(to), HOME "/cur/7000.other.host:2,%u", world.renames);
		(void)renameat(world.renamer->root, from, world.renamer->root, to);
	}
}

static int count_openat(int dir, const char *path, int flags, mode_t mode)
{
	bool writing = (flags & O_ACCMODE) != O_RDONLY;

	if (world.unreadable && flags & O_DIRECTORY && strcmp(path, world.unreadable) == 0) {
		errno = EACCES;
		return -1;
	}
	if (world.read_only && writing) {
		errno = EROFS;
		return -1;
	}
	if (world.full && flags & O_CREAT && faccessat(dir, path, F_OK, 0) < 0) {
		errno = ENOSPC;
		return -1;
	}
	if (!(flags & O_DIRECTORY) && !writing && strncmp(path, "valija-", 7) != 0 &&
	    strncmp(path, ".valija-", 8) != 0) { /* of the root */
		world.messages++;
		rename_meanwhile(path);
	}
	return openat(dir, path, flags, mode);
}

static ssize_t count_getdents64(int fd, void *buf, size_t n)
{
	ssize_t size = getdents64(fd, buf, n);

	world.listings++;
	for (ssize_t at = 0; at < size;) {
		struct dirent64 *e = (struct dirent64 *)((char *)buf + at);

		if (world.own_numbers)
			e->d_ino ^= 0x10000000;
		if (world.unlisted && strcmp(e->d_name, world.unlisted) == 0) {
			e->d_name[0] = '.'; /* hidden */
			world.unlisted = NULL;
			world.later = world.then_later;
		}
		at += e->d_reclen;
	}
	return size;
}

static ssize_t count_pwrite(int fd, const void *buf, size_t n, off_t offset)
{
	struct stat st;

	/* memory files are not on the full filesystem */
	if (world.full && fstat(fd, &st) == 0 && st.st_nlink > 0) {
		errno = ENOSPC;
		return -1;
	}
	world.writes++;
	return pwrite(fd, buf, n, offset);
}

/* Somebody else delivers at the worst moment. */
static void come_meanwhile(void)
{
	if (world.meanwhile)
		put_file(world.meanwhile, world.comes ? world.comes : "new/6000.other.host",
			 "came meanwhile\n");
	world.meanwhile = NULL;
}

static int refuse_unlinkat(int dir, const char *name, int flags)
{
	if (world.read_only) {
		errno = EROFS;
		return -1;
	}
	if (unlinkat(dir, name, flags) < 0)
		return -1;
	come_meanwhile();
	return 0;
}

static int refuse_renameat2(int old_dir, const char *old_name, int new_dir, const char *new_name,
			    unsigned flags)
{
	if (world.read_only) {
		errno = EROFS;
		return -1;
	}
	if (renameat2(old_dir, old_name, new_dir, new_name, flags) < 0)
		return -1;
	if (strncmp(old_name, "5000.", 5) == 0)
		come_meanwhile();
	return 0;
}

static int frozen_fstatat(int dir, const char *name, struct stat *st, int flags)
{
	int result = fstatat(dir, name, st, flags);

	if (world.frozen)
		st->st_ctim = (struct timespec){.tv_sec = world.frozen};
	return result;
}

static int frozen_fstat(int fd, struct stat *st)
{
	int result = fstat(fd, st);

	if (world.frozen)
		st->st_mtim = st->st_ctim = (struct timespec){.tv_sec = world.frozen};
	st->st_mtim.tv_sec += world.later;
	return result;
}

/* Each look at it is later by world.step nanoseconds. */
static int stepping_clock(clockid_t clock, struct timespec *ret)
{
	static long now;

	(void)clock;
	now += world.step;
	*ret = (struct timespec){.tv_sec = now / 1000000000, .tv_nsec = now % 1000000000};
	return 0;
}

static int watched_begin(void **state)
{
	static struct maildrop_syscalls watched;
	int result = scratch_begin(state);
	struct scratch *s = *state;

	memset(&world, 0, sizeof(world));
	world.later = 1; /* the filesystem's clock has passed what a test did before */
	watched = maildrop_kernel;
	watched.openat = count_openat;
	watched.getdents64 = count_getdents64;
	watched.pwrite = count_pwrite;
	watched.unlinkat = refuse_unlinkat;
	watched.renameat2 = refuse_renameat2;
	watched.fstatat = frozen_fstatat;
	watched.fstat = frozen_fstat;
	watched.clock_gettime = stepping_clock;
	s->settings.syscalls = &watched;
	return result;
}

static void forget(void)
{
	world.messages = world.listings = world.writes = 0;
}

static void fill_cur(struct scratch *s, unsigned n)
{
	char name[100], text[100];

	for (unsigned i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "cur/%u.m.host:2,", 1000 + i);
		snprintf(text, sizeof(text), "message %u\n", i);
		put_file(s, name, text);
	}
}

static void settle(struct scratch *s)
{
	struct maildrop *m = open_session(s);

	maildrop_sweep(m);
	maildrop_close(m);
}

static void a_warm_login_reads_no_directory_and_no_message(void **state)
{
	struct scratch *s = *state;
	struct maildrop *m;

	make_maildir(s);
	fill_cur(s, 50);
	settle(s);
	forget();
	m = open_session(s);
	assert_int_equal(session_count(m), 50);
	maildrop_sweep(m);
	maildrop_close(m);
	assert_int_equal(world.messages, 0);
	assert_int_equal(world.listings, 0);
	assert_int_equal(world.writes, 0);
	/* our own delivery changes nothing of that */
	assert_int_equal(deliver_text(s, "A: b\r\n\r\n", (struct maildrop_quota){0}, NULL),
			 MAILDROP_OK);
	forget();
	m = open_session(s);
	assert_int_equal(session_count(m), 51);
	assert_int_equal(world.listings, 0);
	assert_int_equal(world.messages, 0);
	maildrop_sweep(m);
	maildrop_close(m);
	assert_int_equal(count_files(s, "new", NULL), 0);
	/* behind what the sweep moved, a look at both folders, which are small */
	forget();
	m = open_session(s);
	assert_int_equal(session_count(m), 51);
	assert_int_equal(world.listings, 4);
	assert_int_equal(world.messages, 0);
	maildrop_close(m);
}

static void behind_a_sweep_of_a_large_maildrop_only_new_is_read(void **state)
{
	struct scratch *s = *state;
	struct maildrop *m;

	make_maildir(s);
	fill_cur(s, 300);
	settle(s);
	assert_int_equal(deliver_text(s, "A: b\r\n\r\n", (struct maildrop_quota){0}, NULL),
			 MAILDROP_OK);
	settle(s);
	assert_int_equal(count_files(s, "new", NULL), 0);
	forget();
	m = open_session(s);
	assert_int_equal(session_count(m), 301);
	assert_int_equal(world.listings, 2);
	assert_int_equal(world.messages, 0);
	maildrop_close(m);
}

static void mail_that_comes_into_cur_while_the_sweep_moves_is_seen(void **state)
{
	struct scratch *s = *state;
	struct maildrop *m;

	make_maildir(s);
	fill_cur(s, 10);
	settle(s);
	put_file(s, "new/5000.other.host", "hello\n");
	world.meanwhile = s;
	world.comes = "cur/6000.other.host:2,S";
	settle(s);
	assert_null(world.meanwhile);
	m = open_session(s);
	assert_int_equal(session_count(m), 12);
	maildrop_close(m);
}

/* In a delivery that took its time others may have delivered as well: the next login looks. */
static void behind_a_slow_delivery_new_is_read(void **state)
{
	struct scratch *s = *state;

	make_maildir(s);
	fill_cur(s, 300);
	settle(s);
	for (unsigned n = 1; n <= 3; n++) {
		struct maildrop *m;

		world.step = n == 2 ? 10 : 1000000;
		assert_int_equal(deliver_text(s, "A: b\r\n\r\n", (struct maildrop_quota){0}, NULL),
				 MAILDROP_OK);
		forget();
		m = open_session(s);
		assert_int_equal(session_count(m), 300 + n);
		assert_int_equal(world.listings, n == 2 ? 0 : 2);
		maildrop_close(m);
	}
}

/* Between the listing and the count a mail reader moves it: it is there, so it is listed. */
static void a_message_renamed_before_it_is_counted_is_listed(void **state)
{
	struct scratch *s = *state;

	make_maildir(s);
	fill_cur(s, 3);
	settle(s);
	world.renamer = s;
	for (unsigned renames = 1; renames <= 3; renames++) {
		struct maildrop *m;
		char name[100];

		put_file(s, "new/7000.other.host", "hello\n");
		world.renames = renames;
		m = open_session(s);
		assert_int_equal(world.renames, 0);
		assert_int_equal(session_count(m), 4);
		maildrop_close(m);
		snprintf(name, sizeof(name), HOME "/cur/7000.other.host:2,%u", 0u);
		assert_int_equal(unlinkat(s->root, name, 0), 0);
		settle(s);
	}
}

/* One that never stays where it is: the others are listed, and it is as soon as it stays. */
static void a_message_renamed_again_and_again_hides_no_other(void **state)
{
	struct scratch *s = *state;
	struct maildrop *m;

	make_maildir(s);
	fill_cur(s, 3);
	settle(s);
	put_file(s, "new/7000.other.host", "hello\n");
	world.renamer = s;
	world.renames = 1000;
	m = open_session(s);
	assert_int_equal(session_count(m), 3);
	maildrop_close(m);
	world.renames = 0;
	m = open_session(s);
	assert_int_equal(session_count(m), 4);
	maildrop_close(m);
}

/*
 * A file that is renamed while its folder is read may be in no listing. If the clock of the
 * filesystem stood still meanwhile, the folder's time does not tell.
 */
static void a_rename_in_the_clocks_step_loses_nothing(void **state)
{
	struct scratch *s = *state;

	make_maildir(s);
	fill_cur(s, 3);
	put_file(s, "new/2000.other.host", "hello\n");
	for (unsigned round = 0; round < 4; round++) {
		struct maildrop *m;
		char name[100];

		snprintf(name, sizeof(name), "cur/300%u.other.host:2,", round);
		put_file(s, name, "fresh\n"); /* both folders are looked at */
		world.frozen = 2000000000 + round;
		world.later = 0;
		world.then_later = 1;
		world.unlisted = round == 0   ? "1001.m.host:2," /* a fresh one, then a known */
				 : round == 1 ? "1001.m.host:2,"
				 : round == 2 ? "3002.other.host:2,"
					      : "1002.m.host:2,";
		m = open_session(s);
		assert_null(world.unlisted);
		assert_int_equal(session_count(m), 5 + round);
		maildrop_close(m);
	}
}

static void mail_that_comes_while_the_sweep_moves_is_seen(void **state)
{
	struct scratch *s = *state;
	struct maildrop *m;

	make_maildir(s);
	fill_cur(s, 10);
	settle(s);
	put_file(s, "new/5000.other.host", "hello\n");
	world.meanwhile = s; /* 6000 comes right behind the move of 5000 */
	settle(s);
	assert_null(world.meanwhile);
	m = open_session(s);
	assert_int_equal(session_count(m), 12);
	maildrop_close(m);
}

static void mail_that_comes_while_the_sweep_unlinks_is_seen(void **state)
{
	static const uint32_t numbers[] = {3};
	struct scratch *s = *state;
	struct maildrop *m;

	make_maildir(s);
	fill_cur(s, 10);
	settle(s);
	m = open_session(s);
	assert_int_equal(maildrop_commit(m, numbers, 1, NULL), MAILDROP_OK);
	world.meanwhile = s;
	maildrop_sweep(m);
	maildrop_close(m);
	assert_null(world.meanwhile);
	m = open_session(s);
	assert_int_equal(session_count(m), 10);
	maildrop_close(m);
}

static void new_mail_of_others_costs_a_look_at_new_only(void **state)
{
	struct scratch *s = *state;
	struct maildrop *m;

	make_maildir(s);
	fill_cur(s, 200);
	settle(s);
	put_file(s, "new/5000.other.host", "hello\n");
	forget();
	m = open_session(s);
	assert_int_equal(session_count(m), 201);
	assert_entry(m, 201, "5000.other.host", 7);
	assert_int_equal(world.messages, 1);
	assert_int_equal(world.listings, 2);
	maildrop_sweep(m);
	maildrop_close(m);
	assert_true(has_file(s, "cur/5000.other.host:2,"));
	/* the same name once more: another file under the unique part of one in cur/ */
	put_file(s, "new/1007.m.host", "an impostor\n");
	m = open_session(s);
	assert_int_equal(session_count(m), 202);
	assert_entry(m, 8, "1007.m.host", strlen("message 7\r\n"));
	maildrop_close(m);
	assert_false(has_file(s, "new/1007.m.host"));
}

static bool doubled, flush_fails;
static unsigned flushes_behind;

static int f_doubling(int from, const char *old, int to, const char *new, unsigned flags)
{
	doubled = true;
	return maildrop_kernel.renameat2(from, old, to, new, flags);
}

static int f_flush_behind(int fd)
{
	if (!doubled)
		return maildrop_kernel.fsync(fd);
	doubled = false;
	flushes_behind++;
	errno = EIO;
	return flush_fails ? -1 : maildrop_kernel.fsync(fd);
}

/* The name of its own that a second file of one unique part gets is on the disk before a client
 * sees the id that is in it: a power cut would take it back. */
static void a_name_of_its_own_is_flushed(void **state)
{
	struct maildrop_syscalls calls = maildrop_kernel;
	struct scratch *s = *state;
	struct maildrop *m;

	make_maildir(s);
	fill_cur(s, 10);
	settle(s);
	calls.renameat2 = f_doubling;
	calls.fsync = f_flush_behind;
	for (unsigned i = 0; i < 2; i++) {
		s->settings.syscalls = &calls;
		put_file(s, i ? "new/1008.m.host" : "new/1007.m.host", "another one\n");
		flush_fails = i == 0;
		doubled = false;
		flushes_behind = 0;
		m = open_session(s);
		assert_int_equal(flushes_behind, 1);
		assert_int_equal(session_count(m), i ? 12 : 10);
		maildrop_close(m);
		s->settings.syscalls = NULL;
		if (i == 0) { /* left out until it is known to be there */
			m = open_session(s);
			assert_int_equal(session_count(m), 11);
			maildrop_close(m);
		}
	}
}

static void flags_change_names_and_nothing_else(void **state)
{
	struct scratch *s = *state;
	struct maildrop *m;
	char text[100];

	make_maildir(s);
	fill_cur(s, 30);
	settle(s);
	move_file(s, "cur/1003.m.host:2,", "cur/1003.m.host:2,S");
	move_file(s, "cur/1004.m.host:2,", "cur/1004.m.host:2,RS");
	remove_file(s, "cur/1005.m.host:2,");
	put_file(s, "cur/500.appended:2,S", "older, but it came later\n");
	forget();
	m = open_session(s);
	assert_int_equal(session_count(m), 30);
	assert_int_equal(world.messages, 1); /* the appended one */
	assert_entry(m, 4, "1003.m.host", strlen("message 3\r\n"));
	assert_entry(m, 5, "1004.m.host", strlen("message 4\r\n"));
	assert_entry(m, 6, "1006.m.host", strlen("message 6\r\n"));
	assert_entry(m, 30, "500.appended", 26);
	assert_int_equal(read_body(m, 5, text, sizeof(text)), MAILDROP_OK);
	assert_string_equal(text, "message 4\n");
	maildrop_close(m);
}

/* Threat 40: what happens to the mail during a session changes none of its numbers. */
static void test_threat_40_the_snapshot_is_stable(void **state)
{
	struct scratch *s = *state;
	struct maildrop *m;
	char text[100];

	make_maildir(s);
	fill_cur(s, 5);
	put_file(s, "new/2000.n", "new one\n");
	m = open_session(s);
	assert_int_equal(session_count(m), 6);
	put_file(s, "new/3000.late", "late\n");
	assert_int_equal(deliver_text(s, "A: b\r\n\r\n", (struct maildrop_quota){0}, NULL),
			 MAILDROP_OK);
	move_file(s, "cur/1001.m.host:2,", "cur/1001.m.host:2,S");
	remove_file(s, "cur/1002.m.host:2,");
	move_file(s, "new/2000.n", "cur/2000.n:2,");
	assert_int_equal(session_count(m), 6);
	assert_entry(m, 3, "1002.m.host", strlen("message 2\r\n"));
	assert_int_equal(read_body(m, 2, text, sizeof(text)), MAILDROP_OK);
	assert_string_equal(text, "message 1\n");
	assert_int_equal(read_body(m, 3, text, sizeof(text)), MAILDROP_GONE);
	assert_int_equal(read_body(m, 4, text, sizeof(text)), MAILDROP_OK);
	assert_int_equal(read_body(m, 6, text, sizeof(text)), MAILDROP_OK);
	assert_string_equal(text, "new one\n");
	maildrop_close(m);
	m = open_session(s);
	assert_int_equal(session_count(m), 7);
	maildrop_close(m);
}

/* Threat 39: one session at a time; its lock dies with its holder; no double deletion. */
static void test_threat_39_one_session_at_a_time(void **state)
{
	struct scratch *s = *state;
	struct maildrop *m, *second = NULL;
	static const uint32_t one[] = {1};
	struct err err;
	int pipes[2];
	pid_t pid;
	char c;

	make_maildir(s);
	fill_cur(s, 3);
	m = open_session(s);
	assert_int_equal(maildrop_open(&s->settings, s->root, HOME, &second, &err),
			 MAILDROP_IN_USE);
	assert_null(second);
	maildrop_close(m);
	assert_int_equal(pipe(pipes), 0);
	pid = fork();
	if (pid == 0) {
		m = open_session(s);
		(void)!write(pipes[1], "x", 1);
		pause();
		_exit(0);
	}
	assert_int_equal(read(pipes[0], &c, 1), 1);
	assert_int_equal(maildrop_open(&s->settings, s->root, HOME, &second, &err),
			 MAILDROP_IN_USE);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	m = open_session(s);
	/* somebody takes the lock file away and lets another session in: this one is void */
	remove_file(s, "valija-lock");
	second = open_session(s);
	assert_int_equal(maildrop_commit(m, one, 1, &err), MAILDROP_TEMP);
	assert_int_equal(maildrop_commit(second, one, 1, &err), MAILDROP_OK);
	maildrop_close(m);
	maildrop_close(second);
	m = open_session(s);
	assert_int_equal(session_count(m), 2);
	maildrop_close(m);
	close(pipes[0]);
	close(pipes[1]);
}

/* Threat 41: what is no regular file of the owner's is no message, and hides none. */
static void test_threat_41_odd_entries(void **state)
{
	struct scratch *s = *state;
	struct maildrop *m;
	char text[100];

	make_maildir(s);
	put_file(s, "cur/1.good:2,", "good\n");
	put_file(s, "secret", "not for you\n");
	assert_int_equal(symlinkat("../secret", s->root, HOME "/cur/2.link:2,"), 0);
	assert_int_equal(symlinkat("/etc/passwd", s->root, HOME "/new/3.link"), 0);
	assert_int_equal(mkfifoat(s->root, HOME "/new/4.fifo", 0600), 0);
	assert_int_equal(mkdirat(s->root, HOME "/cur/5.directory:2,", 0700), 0);
	if (geteuid() == 0)
		(void)!mknodat(s->root, HOME "/cur/6.device:2,", S_IFCHR | 0600, 0);
	put_file(s, "new/7.good", "good too\n");
	assert_int_equal(linkat(s->root, HOME "/new/7.good", s->root, HOME "/tmp/kept-by-owner", 0),
			 0);
	put_file(s, "cur/.hidden", "x\n");
	m = open_session(s);
	assert_int_equal(session_count(m), 2);
	assert_entry(m, 1, "1.good", 6);
	assert_entry(m, 2, "7.good", 10);
	assert_int_equal(read_body(m, 2, text, sizeof(text)), MAILDROP_OK);
	maildrop_sweep(m);
	maildrop_close(m);
	assert_true(has_file(s, "new/3.link") && has_file(s, "new/4.fifo"));
}

static void test_threat_41_links_of_other_owners(void **state)
{
	struct scratch *s = *state;
	struct maildrop *m;

	if (geteuid() != 0)
		skip(); /* needs files of another owner */
	make_maildir(s);
	put_file(s, "cur/1.good:2,", "good\n");
	put_file(s, "cur/2.theirs:2,", "a file of somebody else's, linked here\n");
	assert_int_equal(fchownat(s->root, HOME "/cur/2.theirs:2,", 12345, 12345, 0), 0);
	assert_int_equal(linkat(s->root, HOME "/cur/2.theirs:2,", s->root, "elsewhere", 0), 0);
	m = open_session(s);
	assert_int_equal(session_count(m), 1);
	maildrop_close(m);
}

static void test_threat_41_a_maildir_of_links(void **state)
{
	struct scratch *s = *state;
	struct maildrop *m = NULL;
	struct err err;

	make_maildir(s);
	assert_int_equal(unlinkat(s->root, HOME "/cur", AT_REMOVEDIR), 0);
	assert_int_equal(symlinkat("/etc", s->root, HOME "/cur"), 0);
	assert_int_equal(maildrop_open(&s->settings, s->root, HOME, &m, &err), MAILDROP_PERM);
	assert_non_null(strstr(err.text, HOME "/cur"));
	assert_int_equal(symlinkat(HOME, s->root, "link"), 0);
	assert_int_equal(maildrop_open(&s->settings, s->root, "link", &m, &err), MAILDROP_PERM);
	assert_int_equal(maildrop_open(&s->settings, s->root, "link/sub", &m, &err), MAILDROP_PERM);
}

static void homes_stay_below_the_root(void **state)
{
	static const char *const bad[] = {"",      "/etc", "..", "../x", "a/../b", "a//b",
					  "a/./b", "a/",   ".",  "./a",  "/",      "a/.."};
	struct scratch *s = *state;
	struct maildrop_usage usage;
	struct maildrop *m = NULL;

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		assert_int_equal(maildrop_open(&s->settings, s->root, bad[i], &m, NULL),
				 MAILDROP_PERM);
		assert_int_equal(maildrop_usage(&s->settings, s->root, bad[i], &usage, NULL),
				 MAILDROP_PERM);
	}
	assert_int_equal(maildrop_open(&s->settings, s->root, "domain/user", &m, NULL),
			 MAILDROP_ABSENT);
	assert_int_not_equal(faccessat(s->root, "domain", F_OK, 0), 0);
	assert_int_equal(maildrop_make(&s->settings, s->root, "domain/user", NULL), MAILDROP_OK);
	assert_int_equal(maildrop_open(&s->settings, s->root, "domain/user", &m, NULL),
			 MAILDROP_OK);
	maildrop_close(m);
	assert_int_equal(faccessat(s->root, "domain/user/new", F_OK, 0), 0);
}

/* Threat 42: what took a message's name after the scan is not lent. */
static void test_threat_42_replaced_between_scan_and_open(void **state)
{
	struct scratch *s = *state;
	struct maildrop *m;
	char text[100];

	make_maildir(s);
	fill_cur(s, 5);
	m = open_session(s);
	remove_file(s, "cur/1000.m.host:2,");
	assert_int_equal(symlinkat("/etc/passwd", s->root, HOME "/cur/1000.m.host:2,"), 0);
	remove_file(s, "cur/1001.m.host:2,");
	assert_int_equal(mkfifoat(s->root, HOME "/cur/1001.m.host:2,", 0600), 0);
	remove_file(s, "cur/1002.m.host:2,");
	assert_int_equal(mkdirat(s->root, HOME "/cur/1002.m.host:2,", 0700), 0);
	put_file(s, "cur/1003.m.host:2,", "another size\n");
	put_file(s, "cur/1004.m.host:2,", "message\n4\n"); /* as long as the one before */
	for (uint32_t n = 1; n <= 5; n++)
		assert_int_equal(read_body(m, n, text, sizeof(text)), MAILDROP_GONE);
	maildrop_close(m);
	m = open_session(s);
	assert_int_equal(session_count(m), 2);
	assert_entry(m, 1, "1003.m.host", strlen("another size\r\n"));
	assert_entry(m, 2, "1004.m.host", strlen("message\r\n4\r\n"));
	assert_int_equal(read_body(m, 2, text, sizeof(text)), MAILDROP_OK);
	maildrop_close(m);
}

/* Threat 44: names that are no text, claims that are no sizes. */
static void test_threat_44_odd_names(void **state)
{
	struct scratch *s = *state;
	struct listed seen[8];
	char longest[300] = "cur/8.";
	struct maildrop *m;

	make_maildir(s);
	put_file(s, "cur/1.new\nline:2,", "1\n");
	put_file(s, "cur/2.b:2,S:2,T", "2\n");
	put_file(s, "cur/3.\xff\xfe\x80:2,", "3\n");
	put_file(s, "new/4 with space", "4\n");
	put_file(s, "cur/5.x,S=1,W=1:2,", "5 is longer\n");
	put_file(s, "cur/6.x,S=999999999999,W=999999999999:2,", "6\n");
	put_file(s, "cur/%n%s7:2,", "7\n");
	memset(longest + strlen(longest), 'n', 253);
	longest[4 + 255] = '\0';
	put_file(s, longest, "8\n");
	m = open_session(s);
	assert_int_equal(session_count(m), 8);
	for (uint32_t i = 0; i < 8; i++) {
		char text[100];

		seen[i] = session_entry(m, i + 1);
		for (unsigned k = 0; k < seen[i].unique_id_size; k++)
			assert_true(seen[i].unique_id[k] > ' ' && seen[i].unique_id[k] <= '~');
		for (uint32_t k = 0; k < i; k++)
			assert_false(seen[i].unique_id_size == seen[k].unique_id_size &&
				     memcmp(seen[i].unique_id, seen[k].unique_id,
					    seen[i].unique_id_size) == 0);
		assert_int_equal(read_body(m, i + 1, text, sizeof(text)), MAILDROP_OK);
		assert_int_equal(seen[i].octets, strlen(text) + 1);
	}
	maildrop_sweep(m);
	maildrop_close(m);
	/* the same ids when the index is lost */
	remove_file(s, "valija-base");
	remove_file(s, "valija-delta");
	m = open_session(s);
	for (uint32_t i = 0; i < 8; i++) {
		struct listed e = session_entry(m, i + 1);

		assert_int_equal(e.octets, seen[i].octets);
		assert_int_equal(e.unique_id_size, seen[i].unique_id_size);
		assert_memory_equal(e.unique_id, seen[i].unique_id, e.unique_id_size);
	}
	maildrop_close(m);
}

/* Threat 44: too many claims to count at login; none is believed when its message is read. */
static void test_threat_44_lying_sizes_in_a_large_maildrop(void **state)
{
	enum { N = 2100 };
	struct scratch *s = *state;
	struct maildrop_snapshot snapshot;
	char name[100], text[100];
	struct maildrop *m;

	make_maildir(s);
	for (unsigned i = 0; i < N; i++) {
		/* every tenth lies about W, every tenth about S */
		snprintf(name, sizeof(name), "cur/%u.x,S=%d,W=%d:2,", 1000 + i, i % 10 == 3 ? 7 : 6,
			 i % 10 == 4 ? 9 : 8);
		put_file(s, name, "abc\n1\n");
	}
	forget();
	m = open_session(s);
	assert_int_equal(session_count(m), N);
	assert_int_equal(world.messages, 0);
	assert_int_equal(read_body(m, 1, text, sizeof(text)), MAILDROP_OK);
	assert_int_equal(read_body(m, 4, text, sizeof(text)), MAILDROP_GONE);
	assert_int_equal(read_body(m, 5, text, sizeof(text)), MAILDROP_GONE);
	maildrop_sweep(m);
	maildrop_close(m);
	/* the sweep has counted all of them */
	forget();
	m = open_session(s);
	maildrop_snapshot(m, &snapshot);
	assert_int_equal(snapshot.count, N);
	assert_int_equal(snapshot.octets, N * 8);
	assert_int_equal(world.messages, 0);
	assert_int_equal(read_body(m, 4, text, sizeof(text)), MAILDROP_OK);
	assert_int_equal(read_body(m, 5, text, sizeof(text)), MAILDROP_OK);
	maildrop_close(m);
}

static int no_unlinkat(int dir, const char *name, int flags)
{
	(void)dir, (void)name, (void)flags;
	errno = EPERM;
	return -1;
}

static atomic_bool somebody_waits;

/* Somebody waits as soon as the third message is counted. */
static int waiting_openat(int dir, const char *name, int flags, mode_t mode)
{
	if (strstr(name, "1002.x,S="))
		atomic_store(&somebody_waits, true);
	return openat(dir, name, flags, mode);
}

/* The sweep counts messages that it has deleted for their age, since their files cannot go; the
 * sizes of what is left stay right. It ends before the log is replaced, which would sum them anew.
 */
static void test_threat_44_lying_sizes_of_deleted_messages(void **state)
{
	struct maildrop_upkeep *upkeep = calloc(1, sizeof(*upkeep));
	struct maildrop_syscalls calls = *((struct scratch *)*state)->settings.syscalls;
	const struct timespec old[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
	struct maildrop_snapshot snapshot;
	struct scratch *s = *state;
	struct maildrop *m;
	char name[100];

	make_maildir(s);
	for (unsigned i = 0; i < 2100; i++) {
		bool lies = i == 0 || i == 2;

		snprintf(name, sizeof(name), HOME "/cur/%u.x,S=%d,W=%d:2,", 1000 + i, lies ? 7 : 6,
			 lies ? 9 : 8);
		put_file(s, name + sizeof(HOME), "abc\n1\n");
		if (lies)
			assert_int_equal(utimensat(s->root, name, old, 0), 0);
	}
	calls.unlinkat = no_unlinkat;
	calls.openat = waiting_openat;
	s->settings.syscalls = &calls;
	s->settings.retention.delete_seconds = 24 * 3600;
	s->settings.retention.upkeep = upkeep;
	m = open_session(s);
	assert_int_equal(session_count(m), 2100);
	atomic_store(&somebody_waits, false);
	assert_false(maildrop_sweep_slice(m, &somebody_waits));
	assert_true(atomic_load(&somebody_waits));
	maildrop_close(m);
	m = open_session(s);
	maildrop_snapshot(m, &snapshot);
	assert_int_equal(snapshot.count, 2098);
	assert_int_equal(snapshot.octets, 2098 * 8);
	maildrop_close(m);
	s->settings.retention = (struct maildrop_retention){0};
	free(upkeep);
}

/* Threat 35: what a message says of itself has no part in its unique id or size. */
static void test_threat_35_headers_are_not_believed(void **state)
{
	struct scratch *s = *state;
	struct maildrop *m;

	make_maildir(s);
	put_file(s, "cur/1.a:2,", "X-UIDL: %n%s forged\nStatus: RO\nContent-Length: 5\n\n.\nx\n");
	m = open_session(s);
	assert_entry(m, 1, "1.a", 60);
	maildrop_close(m);
}

/* Threat 33 in the store: ends and octets of every kind. */
static void test_threat_33_ends_of_messages(void **state)
{
	static const struct {
		const char *text;
		uint64_t octets;
	} cases[] = {{"", 0},   {"a", 3},      {"a\n", 3}, {"a\r\n", 3}, {"a\r", 4},    {"\n", 2},
		     {"\r", 3}, {"a\rb\n", 5}, {".", 3},   {"\n\n", 4},  {"a\r\r\n", 4}};
	struct scratch *s = *state;
	struct maildrop *m;
	char name[100];

	make_maildir(s);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		snprintf(name, sizeof(name), "cur/%zu.x:2,", 100 + i);
		put_file(s, name, cases[i].text);
	}
	m = open_session(s);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct maildrop_body body;

		assert_int_equal(session_entry(m, (uint32_t)i + 1).octets, cases[i].octets);
		assert_int_equal(maildrop_body(m, (uint32_t)i + 1, &body, NULL), MAILDROP_OK);
		assert_int_equal(body.octets, cases[i].octets);
		assert_int_equal(body.stored, strlen(cases[i].text));
		if (body.wire_form)
			assert_int_equal(body.octets, body.stored);
		close(body.fd);
	}
	maildrop_close(m);
}

static void an_index_that_is_lost_comes_again(void **state)
{
	static const char *const lost[][2] = {
		{"valija-base", NULL}, {"valija-delta", NULL}, {"valija-base", "valija-delta"}};
	static const uint32_t two[] = {2};
	struct scratch *s = *state;
	struct maildrop *m;

	make_maildir(s);
	fill_cur(s, 5);
	put_file(s, "cur/900.odd id:2,", "x\n");
	delete_messages(s, two, 1);
	for (size_t i = 0; i < 3; i++) {
		struct listed odd, again;

		m = open_session(s);
		odd = session_entry(m, 1);
		maildrop_close(m);
		for (int k = 0; k < 2 && lost[i][k]; k++)
			remove_file(s, lost[i][k]);
		m = open_session(s);
		assert_int_equal(session_count(m), 5);
		again = session_entry(m, 1);
		assert_memory_equal(&odd, &again, sizeof(odd));
		assert_entry(m, 2, "1001.m.host", strlen("message 1\r\n"));
		maildrop_sweep(m);
		maildrop_close(m);
	}
}

static void overwrite(struct scratch *s, const char *name, off_t at)
{
	char path[300];
	int fd;

	snprintf(path, sizeof(path), HOME "/%s", name);
	fd = openat(s->root, path, O_RDWR);
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, "\xa5\x5a", 2, at), 2);
	close(fd);
}

static off_t base_size(struct scratch *s)
{
	struct stat st;

	assert_int_equal(fstatat(s->root, HOME "/valija-base", &st, 0), 0);
	return st.st_size;
}

static int cut_base(struct scratch *s, off_t size)
{
	int fd = openat(s->root, HOME "/valija-base", O_WRONLY);
	int result = ftruncate(fd, size);

	close(fd);
	return result;
}

/* Damage anywhere in the index never shows a deleted message again nor hides another. */
static void a_damaged_index_keeps_deletions(void **state)
{
	static const uint32_t two[] = {2};
	static const atomic_bool hurry = true;
	struct scratch *s = *state;
	struct maildrop *m;
	struct err err;

	make_maildir(s);
	fill_cur(s, 4);
	settle(s);
	m = open_session(s);
	assert_int_equal(maildrop_commit(m, two, 1, &err), MAILDROP_OK);
	maildrop_close(m); /* no sweep: the file is there still */
	overwrite(s, "valija-base", 100);
	m = open_session(s);
	assert_int_equal(session_count(m), 3);
	maildrop_close(m);
	assert_true(has_file(s, "cur/1001.m.host:2,"));
	/* a block that is only read later */
	overwrite(s, "valija-base", 4096 + 50);
	m = open_session(s);
	maildrop_index_wrong(m);
	maildrop_sweep(m);
	maildrop_close(m);
	m = open_session(s);
	assert_int_equal(session_count(m), 3);
	assert_entry(m, 2, "1002.m.host", strlen("message 2\r\n"));
	maildrop_close(m);
	assert_false(has_file(s, "cur/1001.m.host:2,"));
	/* a login that waits gets a good index, too */
	overwrite(s, "valija-base", 4096 + 50);
	m = open_session(s);
	maildrop_index_wrong(m);
	maildrop_sweep_slice(m, &hurry);
	maildrop_close(m);
	m = open_session(s);
	assert_entry(m, 2, "1002.m.host", strlen("message 2\r\n"));
	maildrop_close(m);
	/* a base without its end is seen before it is lent, wherever it ends */
	for (off_t size = base_size(s) - 1; size > 0; size -= 4096) {
		assert_int_equal(cut_base(s, size), 0);
		m = open_session(s);
		assert_int_equal(session_count(m), 3);
		assert_entry(m, 2, "1002.m.host", strlen("message 2\r\n"));
		maildrop_close(m);
		assert_true(base_size(s) > size);
	}
	/* and the log: a bad place, with a deletion behind it */
	m = open_session(s);
	assert_int_equal(deliver_text(s, "A: b\r\n\r\n", (struct maildrop_quota){0}, NULL),
			 MAILDROP_OK);
	assert_int_equal(maildrop_commit(m, two, 1, &err), MAILDROP_OK);
	maildrop_close(m);
	overwrite(s, "valija-delta", 32 + 20);
	m = open_session(s);
	assert_int_equal(session_count(m), 3);
	assert_entry(m, 2, "1003.m.host", strlen("message 3\r\n"));
	maildrop_sweep(m);
	maildrop_close(m);
	assert_false(has_file(s, "cur/1002.m.host:2,"));
}

/* A bad block that no login reads is met when the index is brought up to date or replaced. */
static void a_bad_block_is_met_late(void **state)
{
	static const uint32_t two[] = {2};
	struct scratch *s = *state;
	struct maildrop *m;
	struct err err = {0};

	make_maildir(s);
	fill_cur(s, 5);
	settle(s);
	overwrite(s, "valija-base", 4096 + 50);
	move_file(s, "cur/1000.m.host:2,", "cur/1000.m.host:2,S");
	m = open_session(s);
	assert_int_equal(session_count(m), 5);
	assert_entry(m, 2, "1001.m.host", strlen("message 1\r\n"));
	maildrop_sweep(m);
	maildrop_close(m);
	overwrite(s, "valija-base", 3 * 4096 + 10); /* names */
	m = open_session(s);
	assert_int_equal(maildrop_commit(m, two, 1, &err), MAILDROP_TEMP);
	maildrop_sweep(m);
	maildrop_close(m);
	m = open_session(s);
	assert_int_equal(session_count(m), 5);
	assert_int_equal(maildrop_commit(m, two, 1, &err), MAILDROP_OK);
	maildrop_sweep(m);
	maildrop_close(m);
	m = open_session(s);
	assert_int_equal(session_count(m), 4);
	maildrop_close(m);
}

static void note(void *context, const char *text)
{
	snprintf(context, 512, "%s", text);
}

static void garbage_instead_of_an_index(void **state)
{
	static const char *const names[] = {"valija-base", "valija-delta"};
	struct scratch *s = *state;
	struct maildrop *m;
	char noted[512] = "";

	make_maildir(s);
	fill_cur(s, 3);
	settle(s);
	assert_string_equal(noted, "");
	for (int i = 0; i < 2; i++) {
		put_file(s, names[i], "");
		m = open_session(s);
		assert_int_equal(session_count(m), 3);
		maildrop_close(m);
		put_file(s, names[i], "garbage that is long enough to hold a header, or so");
		s->settings.note_index = note;
		s->settings.note_context = noted;
		m = open_session(s);
		assert_int_equal(session_count(m), 3);
		maildrop_close(m);
		s->settings.note_index = NULL;
		assert_non_null(strstr(noted, "maildrop " HOME ": "));
		assert_non_null(strstr(noted, "; it is made anew"));
		noted[0] = '\0';
		remove_file(s, names[i]);
		assert_int_equal(symlinkat("/etc/passwd", s->root,
					   i ? HOME "/valija-delta" : HOME "/valija-base"),
				 0);
		m = open_session(s);
		assert_int_equal(session_count(m), 3);
		maildrop_close(m);
	}
}

/* DEL names file and inode: a file put back from a backup is a message. */
static void a_restored_file_is_not_hidden(void **state)
{
	static const uint32_t one[] = {1};
	struct scratch *s = *state;
	struct maildrop *m;
	struct err err;

	make_maildir(s);
	fill_cur(s, 2);
	m = open_session(s);
	assert_int_equal(maildrop_commit(m, one, 1, &err), MAILDROP_OK);
	maildrop_close(m);
	put_file(s, "cur/1000.m.host:2,S", "restored\n");
	m = open_session(s);
	assert_int_equal(session_count(m), 2);
	assert_entry(m, 2, "1000.m.host", strlen("restored\r\n"));
	maildrop_sweep(m);
	maildrop_close(m);
	assert_true(has_file(s, "cur/1000.m.host:2,S"));
	assert_false(has_file(s, "cur/1000.m.host:2,"));
}

/* During the session another file got its name, and the index knows: that one stays. */
static void a_deleted_file_whose_name_another_one_got(void **state)
{
	static const uint32_t one[] = {1};
	struct scratch *s = *state;
	struct maildrop *m;
	struct err err;

	make_maildir(s);
	fill_cur(s, 2);
	settle(s);
	m = open_session(s);
	move_file(s, "cur/1000.m.host:2,", "kept");
	put_file(s, "cur/1000.m.host:2,", "another one\n");
	assert_int_equal(deliver_text(s, "A: b\r\n\r\n", (struct maildrop_quota){0}, &err),
			 MAILDROP_OK);
	assert_int_equal(maildrop_commit(m, one, 1, &err), MAILDROP_OK);
	maildrop_sweep(m);
	maildrop_close(m);
	assert_true(has_file(s, "cur/1000.m.host:2,"));
	m = open_session(s);
	assert_int_equal(session_count(m), 3);
	maildrop_close(m);
}

static void a_deleted_file_that_was_renamed_goes_too(void **state)
{
	static const uint32_t one[] = {1};
	struct scratch *s = *state;
	struct maildrop *m;
	struct err err;

	make_maildir(s);
	fill_cur(s, 2);
	m = open_session(s);
	assert_int_equal(maildrop_commit(m, one, 1, &err), MAILDROP_OK);
	move_file(s, "cur/1000.m.host:2,", "cur/1000.m.host:2,FS");
	maildrop_close(m);
	m = open_session(s);
	assert_int_equal(session_count(m), 1);
	maildrop_sweep(m);
	maildrop_close(m);
	assert_false(has_file(s, "cur/1000.m.host:2,FS"));
	assert_int_equal(count_files(s, "cur", NULL), 1);
}

/* Files that are only known by stat(2) are counted in slices, from where the last slice ended. */
static void upkeep_goes_on_in_slices_until_it_is_at_rest(void **state)
{
	struct scratch *s = *state;
	enum { N = 2500 };
	struct maildrop_snapshot snapshot;
	atomic_bool hurry = false;
	char name[64];
	struct maildrop *m;
	int slices = 1;

	make_maildir(s);
	for (int i = 0; i < N; i++) {
		snprintf(name, sizeof(name), "cur/%d.x,S=6,W=7:2,", 1000 + i);
		put_file(s, name, "abc\n1\n");
	}
	m = open_session(s);
	assert_false(maildrop_at_rest(m));
	while (maildrop_sweep_slice(m, &hurry))
		slices++;
	assert_in_range(slices, 3, 10);
	maildrop_close(m);
	forget();
	m = open_session(s);
	assert_true(maildrop_at_rest(m));
	maildrop_snapshot(m, &snapshot);
	assert_int_equal(snapshot.octets, N * 8);
	assert_int_equal(world.messages, 0);
	maildrop_close(m);
}

/* A login waits: not one more message is counted, and the next session goes on there. */
static void upkeep_ends_at_once_for_a_login_that_waits(void **state)
{
	struct scratch *s = *state;
	enum { N = 2500 };
	atomic_bool hurry = false;
	char name[64];
	struct maildrop *m;

	make_maildir(s);
	for (int i = 0; i < N; i++) {
		snprintf(name, sizeof(name), "cur/%d.x,S=6,W=7:2,", 1000 + i);
		put_file(s, name, "abc\n1\n");
	}
	m = open_session(s);
	assert_true(maildrop_sweep_slice(m, &hurry));
	forget();
	hurry = true;
	assert_false(maildrop_sweep_slice(m, &hurry));
	assert_int_equal(world.messages, 0);
	maildrop_close(m);
	m = open_session(s);
	assert_false(maildrop_at_rest(m));
	hurry = false;
	forget();
	while (maildrop_sweep_slice(m, &hurry)) {
	}
	assert_in_range(world.messages, 1, N - 1000); /* the first slice is not counted again */
	maildrop_close(m);
	m = open_session(s);
	assert_true(maildrop_at_rest(m));
	maildrop_close(m);
}

/* An IMAP client marks a whole folder between QUIT and the sweep; some of it is removed, too. */
static void many_deleted_files_were_renamed(void **state)
{
	struct scratch *s = *state;
	uint32_t numbers[40];
	char from[64], to[64];
	struct maildrop *m;

	make_maildir(s);
	fill_cur(s, 50);
	for (uint32_t i = 0; i < 40; i++)
		numbers[i] = i + 1;
	m = open_session(s);
	assert_int_equal(maildrop_commit(m, numbers, 40, NULL), MAILDROP_OK);
	for (unsigned i = 0; i < 50; i++) {
		snprintf(from, sizeof(from), "cur/%u.m.host:2,", 1000 + i);
		snprintf(to, sizeof(to), "cur/%u.m.host:2,S", 1000 + i);
		if (i % 7 == 3 && i < 40)
			remove_file(s, from);
		else
			move_file(s, from, to);
	}
	forget();
	maildrop_sweep(m);
	assert_true(world.listings <= 20); /* not once for each of them */
	maildrop_close(m);
	assert_int_equal(count_files(s, "cur", NULL), 10);
	m = open_session(s);
	assert_int_equal(session_count(m), 10);
	assert_true(maildrop_at_rest(m));
	maildrop_close(m);
}

/* A user deletes what was shown, not what took its name since. */
static void another_file_under_the_name_stays(void **state)
{
	static const uint32_t one[] = {1};
	struct scratch *s = *state;
	struct maildrop_usage usage;
	struct maildrop *m;

	make_maildir(s);
	fill_cur(s, 2);
	m = open_session(s);
	put_file(s, "cur/1000.m.host:2,", "another one altogether\n");
	assert_int_equal(maildrop_usage(&s->settings, s->root, HOME, &usage, NULL), MAILDROP_OK);
	assert_int_equal(maildrop_commit(m, one, 1, NULL), MAILDROP_OK);
	maildrop_sweep(m);
	maildrop_close(m);
	assert_true(has_file(s, "cur/1000.m.host:2,"));
	m = open_session(s);
	assert_int_equal(session_count(m), 2);
	maildrop_close(m);
}

static void listings_may_number_files_in_their_own_way(void **state)
{
	static const uint32_t two[] = {2};
	struct scratch *s = *state;
	struct maildrop *m;
	char text[100];

	make_maildir(s);
	fill_cur(s, 4);
	world.own_numbers = true;
	settle(s);
	move_file(s, "cur/1002.m.host:2,", "cur/1002.m.host:2,S");
	forget();
	m = open_session(s);
	assert_int_equal(session_count(m), 4);
	assert_int_equal(world.messages, 0);
	assert_int_equal(read_body(m, 3, text, sizeof(text)), MAILDROP_OK);
	assert_int_equal(maildrop_commit(m, two, 1, NULL), MAILDROP_OK);
	move_file(s, "cur/1001.m.host:2,", "cur/1001.m.host:2,S");
	maildrop_close(m);
	m = open_session(s);
	assert_int_equal(session_count(m), 3);
	maildrop_sweep(m);
	maildrop_close(m);
	assert_false(has_file(s, "cur/1001.m.host:2,S"));
	assert_int_equal(count_files(s, "cur", NULL), 3);
}

static void ids_brought_along_win(void **state)
{
	struct scratch *s = *state;
	struct maildrop *m;

	make_maildir(s);
	fill_cur(s, 4);
	put_file(s, "cur/1100.new\nline:2,", "odd\n");
	put_file(s, "cur/1101.new\nline:2,", "odd, too\n");
	put_file(s, "valija-uidl",
		 "old-id-1 1001.m.host\n"
		 "1003.m.host 1002.m.host\n" /* the id that the rule gives to another one */
		 "bad line\n"
		 "two  spaces\n"
		 "old-id-5 1100.new\\x0aline\n"
		 "old-id-6 1101.new\\x0Aline\n"
		 "overruled 1000.m.host\r\n"
		 "kept 1000.m.host\r\n");
	for (int i = 0; i < 2; i++) {
		m = open_session(s);
		assert_int_equal(session_count(m), 6);
		assert_entry(m, 1, "kept", strlen("message 0\r\n"));
		assert_entry(m, 2, "old-id-1", strlen("message 1\r\n"));
		assert_entry(m, 3, "1003.m.host", strlen("message 2\r\n"));
		assert_int_equal(session_entry(m, 4).unique_id_size, 32);
		assert_entry(m, 5, "old-id-5", 5);
		assert_entry(m, 6, "old-id-6", strlen("odd, too\r\n"));
		maildrop_sweep(m);
		maildrop_close(m);
		if (i == 0) {
			remove_file(s, "valija-base");
			remove_file(s, "valija-delta");
		}
	}
}

static void a_collision_is_resolved_once_and_for_all(void **state)
{
	struct scratch *s = *state;
	struct listed odd, literal;
	struct maildrop *m;
	char name[100];

	make_maildir(s);
	/* a message whose id is a digest, then one whose name is that digest */
	put_file(s, "cur/odd name:2,", "odd\n");
	m = open_session(s);
	odd = session_entry(m, 1);
	maildrop_sweep(m);
	maildrop_close(m);
	snprintf(name, sizeof(name), "cur/%.32s:2,", odd.unique_id);
	put_file(s, name, "literal\n");
	for (int i = 0; i < 2; i++) {
		struct listed a, b;

		m = open_session(s);
		assert_int_equal(session_count(m), 2);
		a = session_entry(m, 1);
		b = session_entry(m, 2);
		/* built again, they come in the order of their names */
		if (a.octets != odd.octets) {
			struct listed swap = a;

			a = b;
			b = swap;
		}
		assert_memory_equal(a.unique_id, odd.unique_id, 32);
		assert_int_equal(b.unique_id_size, 32);
		assert_memory_not_equal(b.unique_id, odd.unique_id, 32);
		if (i)
			assert_memory_equal(b.unique_id, literal.unique_id, 32);
		literal = b;
		maildrop_close(m);
		if (i == 0) {
			remove_file(s, "valija-base");
			remove_file(s, "valija-delta");
		}
	}
}

static void two_files_of_one_name(void **state)
{
	struct scratch *s = *state;
	struct maildrop *m;

	make_maildir(s);
	put_file(s, "cur/1.twice:2,S", "one\n");
	put_file(s, "cur/1.twice:2,", "another\n");
	put_file(s, "new/2.linked", "one file\n");
	assert_int_equal(linkat(s->root, HOME "/new/2.linked", s->root, HOME "/cur/2.linked:2,", 0),
			 0);
	m = open_session(s);
	assert_int_equal(session_count(m), 3);
	maildrop_sweep(m);
	maildrop_close(m);
	m = open_session(s);
	assert_int_equal(session_count(m), 3);
	maildrop_close(m);
	assert_int_equal(count_files(s, "cur", NULL), 3);
	assert_int_equal(count_files(s, "new", NULL), 0);
}

/* Threat 38: what cannot be recorded or unlinked is an error, and nothing is lost of sight. */
static void test_threat_38_deletions_on_a_read_only_filesystem(void **state)
{
	static const uint32_t numbers[] = {1, 2};
	struct scratch *s = *state;
	struct maildrop *m, *second = NULL;
	struct err err = {0};
	char text[100];

	make_maildir(s);
	fill_cur(s, 3);
	settle(s);
	put_file(s, "new/5000.n", "new\n");
	world.read_only = true;
	m = open_session(s);
	assert_int_equal(session_count(m), 4);
	assert_entry(m, 4, "5000.n", 5);
	assert_int_equal(read_body(m, 4, text, sizeof(text)), MAILDROP_OK);
	assert_int_equal(maildrop_open(&s->settings, s->root, HOME, &second, NULL),
			 MAILDROP_IN_USE);
	assert_int_equal(maildrop_commit(m, numbers, 2, &err), MAILDROP_TEMP);
	assert_non_null(strstr(err.text, HOME));
	maildrop_sweep(m);
	maildrop_close(m);
	assert_int_equal(deliver_text(s, "A: b\r\n\r\n", (struct maildrop_quota){0}, &err),
			 MAILDROP_TEMP);
	assert_non_null(strstr(err.text, HOME));
	world.read_only = false;
	m = open_session(s);
	assert_int_equal(session_count(m), 4);
	maildrop_close(m);
}

static void a_full_disk_lets_mail_be_read_and_deleted(void **state)
{
	static const uint32_t numbers[] = {1, 4};
	struct scratch *s = *state;
	struct maildrop *m;
	struct err err = {0};
	char text[100];

	make_maildir(s);
	fill_cur(s, 4);
	world.full = true;
	m = open_session(s); /* no index yet, and no room for one */
	assert_int_equal(session_count(m), 4);
	assert_entry(m, 2, "1001.m.host", strlen("message 1\r\n"));
	assert_int_equal(read_body(m, 1, text, sizeof(text)), MAILDROP_OK);
	maildrop_close(m);
	world.full = false;
	settle(s);
	put_file(s, "new/5000.n", "new\n");
	world.full = true;
	assert_int_equal(deliver_text(s, "A: b\r\n\r\n", (struct maildrop_quota){0}, &err),
			 MAILDROP_FULL);
	m = open_session(s);
	assert_int_equal(session_count(m), 5);
	assert_int_equal(maildrop_commit(m, numbers, 2, &err), MAILDROP_OK);
	assert_false(has_file(s, "cur/1000.m.host:2,") || has_file(s, "cur/1003.m.host:2,"));
	maildrop_sweep(m);
	maildrop_close(m);
	m = open_session(s);
	assert_int_equal(session_count(m), 3);
	maildrop_close(m);
	world.full = false;
	m = open_session(s);
	assert_int_equal(session_count(m), 3);
	assert_entry(m, 3, "5000.n", 5);
	maildrop_close(m);
	assert_int_equal(deliver_text(s, "A: b\r\n\r\n", (struct maildrop_quota){0}, &err),
			 MAILDROP_OK);
}

static void no_room_for_the_log_alone(void **state)
{
	static const uint32_t numbers[] = {2};
	struct scratch *s = *state;
	struct maildrop *m;
	struct err err = {0};

	make_maildir(s);
	fill_cur(s, 3);
	settle(s);
	m = open_session(s);
	world.full = true;
	assert_int_equal(maildrop_commit(m, numbers, 1, &err), MAILDROP_OK);
	assert_false(has_file(s, "cur/1001.m.host:2,"));
	maildrop_close(m);
	world.full = false;
	m = open_session(s);
	assert_int_equal(session_count(m), 2);
	maildrop_close(m);
}

/* A directory that cannot be read is an error that names it, never an empty list. */
static void an_unreadable_directory_is_an_error(void **state)
{
	static const char *const names[] = {"new", "cur"};
	struct scratch *s = *state;
	struct maildrop *m = NULL;
	struct err err = {0};

	make_maildir(s);
	fill_cur(s, 3);
	for (int i = 0; i < 2; i++) {
		char path[32];

		world.unreadable = names[i];
		assert_true(maildrop_open(&s->settings, s->root, HOME, &m, &err) < 0);
		snprintf(path, sizeof(path), HOME "/%s", names[i]);
		assert_non_null(strstr(err.text, path));
		world.unreadable = NULL;
	}
	m = open_session(s);
	maildrop_close(m);
	assert_int_equal(unlinkat(s->root, HOME "/new", AT_REMOVEDIR), 0);
	assert_int_equal(maildrop_open(&s->settings, s->root, HOME, &m, &err), MAILDROP_TEMP);
	assert_non_null(strstr(err.text, HOME "/new"));
}

/* A directory that changes twice in one tick of the clock has one time for two contents. */
static void a_racy_time_is_not_believed(void **state)
{
	struct scratch *s = *state;
	struct maildrop *m;

	make_maildir(s);
	world.frozen = 1700000000;
	world.later = 0;
	put_file(s, "cur/1.a:2,", "a\n");
	m = open_session(s);
	assert_int_equal(session_count(m), 1);
	maildrop_close(m);
	put_file(s, "cur/2.b:2,", "b\n");
	put_file(s, "new/3.c", "c\n");
	m = open_session(s);
	assert_int_equal(session_count(m), 3);
	maildrop_close(m);
}

static void commits_hold_when_the_index_was_taken_away(void **state)
{
	static const uint32_t numbers[] = {1, 3};
	struct scratch *s = *state;
	struct maildrop *m;
	struct err err;

	make_maildir(s);
	fill_cur(s, 4);
	settle(s);
	for (int rebuilt = 0; rebuilt < 2; rebuilt++) {
		struct maildrop_usage usage;

		m = open_session(s);
		remove_file(s, "valija-base");
		remove_file(s, "valija-delta");
		put_file(s, rebuilt ? "cur/1.x:2," : "cur/0.x:2,", "in front of all\n");
		if (rebuilt)
			assert_int_equal(maildrop_usage(&s->settings, s->root, HOME, &usage, &err),
					 MAILDROP_OK);
		assert_int_equal(maildrop_commit(m, numbers, rebuilt ? 1 : 2, &err), MAILDROP_OK);
		maildrop_close(m);
		m = open_session(s); /* the files are there still */
		assert_int_equal(session_count(m), 3);
		maildrop_sweep(m);
		maildrop_close(m);
		m = open_session(s);
		assert_int_equal(session_count(m), 3);
		maildrop_close(m);
	}
	assert_true(has_file(s, "cur/1001.m.host:2,") && has_file(s, "cur/1003.m.host:2,"));
	assert_true(has_file(s, "cur/1.x:2,"));
	assert_false(has_file(s, "cur/0.x:2,"));
}

static int no_flush(int fd)
{
	(void)fd;
	errno = EIO;
	return -1;
}

/* Deletions of a session that died before its sweep: their files go when they are known to be on
 * the disk, and not before. */
static void a_sweep_unlinks_nothing_that_cannot_be_flushed(void **state)
{
	static const uint32_t two[] = {2};
	static struct maildrop_syscalls broken;
	struct scratch *s = *state;
	struct maildrop *m;
	struct err err;

	make_maildir(s);
	fill_cur(s, 3);
	settle(s);
	m = open_session(s);
	assert_int_equal(maildrop_commit(m, two, 1, &err), MAILDROP_OK);
	maildrop_close(m);
	broken = maildrop_kernel;
	broken.fdatasync = no_flush;
	s->settings.syscalls = &broken;
	m = open_session(s);
	assert_int_equal(session_count(m), 2);
	maildrop_sweep(m);
	maildrop_close(m);
	assert_true(has_file(s, "cur/1001.m.host:2,"));
	s->settings.syscalls = NULL;
	m = open_session(s);
	assert_int_equal(session_count(m), 2);
	maildrop_sweep(m);
	maildrop_close(m);
	assert_false(has_file(s, "cur/1001.m.host:2,"));
}

static void a_long_log_becomes_a_base(void **state)
{
	struct scratch *s = *state;
	struct maildrop_snapshot snapshot;
	struct listed before[3];
	char from[100], to[100];
	struct index_view *view;
	struct maildrop *m;
	struct stat st;

	make_maildir(s);
	fill_cur(s, 300);
	settle(s);
	m = open_session(s);
	for (int k = 0; k < 3; k++)
		before[k] = session_entry(m, 100 * (uint32_t)k + 1);
	maildrop_close(m);
	for (unsigned round = 0; round < 6; round++) {
		for (unsigned i = 0; i < 300; i++) {
			snprintf(from, sizeof(from), "cur/%u.m.host:2,%.*s", 1000 + i, (int)round,
				 "ABCDEF");
			snprintf(to, sizeof(to), "cur/%u.m.host:2,%.*s", 1000 + i, (int)round + 1,
				 "ABCDEF");
			move_file(s, from, to);
		}
		m = open_session(s);
		assert_int_equal(session_count(m), 300);
		maildrop_snapshot(m, &snapshot);
		assert_int_equal(index_view_create(snapshot.base_fd, snapshot.delta_fd,
						   snapshot.delta_size, snapshot.count,
						   snapshot.octets, &view, NULL),
				 0);
		maildrop_sweep(m);
		/* whatever the sweep did, the session's own files say what they said */
		for (int k = 0; k < 3; k++) {
			struct listed e;

			memset(&e, 0, sizeof(e));
			assert_int_equal(listed_read(view, 100 * (uint32_t)k + 1, &e, 1, NULL), 1);
			assert_memory_equal(&e, &before[k], sizeof(e));
		}
		index_view_destroy(view);
		maildrop_close(m);
	}
	assert_int_equal(fstatat(s->root, HOME "/valija-delta", &st, 0), 0);
	assert_true(st.st_size < 70000);
}

static void usage_is_that_of_the_index(void **state)
{
	struct scratch *s = *state;
	struct maildrop_usage usage;
	struct maildrop *m;

	assert_int_equal(maildrop_usage(&s->settings, s->root, HOME, &usage, NULL), MAILDROP_OK);
	assert_int_equal(usage.messages, 0);
	/* a home in which nothing is yet is no maildrop yet */
	assert_int_equal(mkdirat(s->root, "bob", 0700), 0);
	assert_int_equal(maildrop_usage(&s->settings, s->root, "bob", &usage, NULL), MAILDROP_OK);
	assert_int_equal(usage.messages, 0);
	make_maildir(s);
	fill_cur(s, 3);
	assert_int_equal(maildrop_usage(&s->settings, s->root, HOME, &usage, NULL), MAILDROP_OK);
	assert_int_equal(usage.messages, 3);
	assert_int_equal(usage.octets, 30);
	m = open_session(s);
	put_file(s, "new/5000.n", "abc\n");
	assert_int_equal(maildrop_usage(&s->settings, s->root, HOME, &usage, NULL), MAILDROP_OK);
	assert_int_equal(usage.messages, 4);
	assert_int_equal(usage.octets, 34);
	assert_int_equal(session_count(m), 3);
	maildrop_close(m);
}

static void a_message_that_was_wrong_is_mended(void **state)
{
	struct err err = {0};
	struct scratch *s = *state;
	struct maildrop *m;
	char text[100];
	int fd;

	make_maildir(s);
	fill_cur(s, 2);
	settle(s);
	/* changed in place, as no Maildir program should: the directory knows nothing of it */
	fd = openat(s->root, HOME "/cur/1000.m.host:2,", O_WRONLY | O_APPEND);
	assert_int_equal(write(fd, "more\n", 5), 5);
	close(fd);
	m = open_session(s);
	assert_entry(m, 1, "1000.m.host", 11);
	assert_int_equal(read_body(m, 1, text, sizeof(text)), MAILDROP_GONE);
	maildrop_close(m);
	m = open_session(s);
	assert_entry(m, 1, "1000.m.host", 17);
	assert_int_equal(read_body(m, 1, text, sizeof(text)), MAILDROP_OK);
	maildrop_close(m);
	/* of the same size: only who reads it can tell */
	fd = openat(s->root, HOME "/cur/1001.m.host:2,", O_WRONLY);
	assert_int_equal(write(fd, "\n\n", 2), 2);
	close(fd);
	m = open_session(s);
	assert_true(maildrop_body_wrong(m, 2, &err));
	assert_non_null(strstr(err.text, "1001.m.host"));
	assert_false(maildrop_body_wrong(m, 1, &err)); /* as it was counted */
	maildrop_close(m);
	m = open_session(s);
	assert_entry(m, 2, "1001.m.host", 13);
	maildrop_close(m);
}

/* The clock of the filesystem, and with it the age of files, is what a test says. */
static void leftovers_of_dead_writers_go(void **state)
{
	struct scratch *s = *state;

	make_maildir(s);
	put_file(s, "cur/1.a:2,", "a\n");
	put_file(s, "tmp/old", "half a mess");
	settle(s);
	assert_true(has_file(s, "tmp/old"));
	remove_file(s, "valija-base");
	world.later = 40 * 3600; /* the lock file's time; files keep theirs */
	settle(s);
	assert_false(has_file(s, "tmp/old"));
	assert_true(has_file(s, "cur/1.a:2,"));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, watched_begin, scratch_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_new_maildrop_is_empty_and_not_made),
		TEST(messages_are_numbered_by_delivery),
		TEST(messages_of_one_second_are_numbered_by_name),
		TEST(deletions_hold_and_only_those),
		TEST(a_warm_login_reads_no_directory_and_no_message),
		TEST(new_mail_of_others_costs_a_look_at_new_only),
		TEST(mail_that_comes_while_the_sweep_moves_is_seen),
		TEST(mail_that_comes_into_cur_while_the_sweep_moves_is_seen),
		TEST(behind_a_sweep_of_a_large_maildrop_only_new_is_read),
		TEST(behind_a_slow_delivery_new_is_read),
		TEST(a_message_renamed_before_it_is_counted_is_listed),
		TEST(a_message_renamed_again_and_again_hides_no_other),
		TEST(a_rename_in_the_clocks_step_loses_nothing),
		TEST(mail_that_comes_while_the_sweep_unlinks_is_seen),
		TEST(a_name_of_its_own_is_flushed),
		TEST(flags_change_names_and_nothing_else),
		TEST(test_threat_40_the_snapshot_is_stable),
		TEST(test_threat_39_one_session_at_a_time),
		TEST(test_threat_41_odd_entries),
		TEST(test_threat_41_links_of_other_owners),
		TEST(test_threat_41_a_maildir_of_links),
		TEST(homes_stay_below_the_root),
		TEST(test_threat_42_replaced_between_scan_and_open),
		TEST(test_threat_44_odd_names),
		TEST(test_threat_44_lying_sizes_in_a_large_maildrop),
		TEST(test_threat_44_lying_sizes_of_deleted_messages),
		TEST(test_threat_35_headers_are_not_believed),
		TEST(test_threat_33_ends_of_messages),
		TEST(an_index_that_is_lost_comes_again),
		TEST(a_damaged_index_keeps_deletions),
		TEST(a_bad_block_is_met_late),
		TEST(garbage_instead_of_an_index),
		TEST(a_restored_file_is_not_hidden),
		TEST(a_deleted_file_whose_name_another_one_got),
		TEST(a_deleted_file_that_was_renamed_goes_too),
		TEST(many_deleted_files_were_renamed),
		TEST(another_file_under_the_name_stays),
		TEST(listings_may_number_files_in_their_own_way),
		TEST(ids_brought_along_win),
		TEST(a_collision_is_resolved_once_and_for_all),
		TEST(two_files_of_one_name),
		TEST(test_threat_38_deletions_on_a_read_only_filesystem),
		TEST(a_full_disk_lets_mail_be_read_and_deleted),
		TEST(no_room_for_the_log_alone),
		TEST(an_unreadable_directory_is_an_error),
		TEST(a_racy_time_is_not_believed),
		TEST(commits_hold_when_the_index_was_taken_away),
		TEST(upkeep_goes_on_in_slices_until_it_is_at_rest),
		TEST(upkeep_ends_at_once_for_a_login_that_waits),
		TEST(a_sweep_unlinks_nothing_that_cannot_be_flushed),
		TEST(a_long_log_becomes_a_base),
		TEST(usage_is_that_of_the_index),
		TEST(a_message_that_was_wrong_is_mended),
		TEST(leftovers_of_dead_writers_go),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
