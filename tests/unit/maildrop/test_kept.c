/* Deleted messages that are kept: where they are, what counts, how they go and come back. */
#include "maildrop_test.h"

#include "maildrop/deleted.h"
#include "maildrop/kept.h"
#include "maildrop/store.h"
#include "maildrop/undelete.h"
#include "maildrop/upkeep.h"

#include <time.h>

#define WEEK (7 * 24 * 3600)

static int folder(struct scratch *s)
{
	int fd = openat(s->root, HOME, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

struct all {
	unsigned count;
	uint64_t octets, inode;
	char name[256], entry[256];
};

static int take(void *context, const struct kept *kept)
{
	struct all *all = context;

	all->count++;
	all->octets += kept->stored;
	all->inode = kept->inode;
	snprintf(all->name, sizeof(all->name), "%s", kept->name.data);
	snprintf(all->entry, sizeof(all->entry), "%s", kept->entry.data);
	return 0;
}

static struct all kept(struct scratch *s)
{
	struct all all = {0};
	int fd = folder(s);

	assert_int_equal(kept_each(&maildrop_kernel, fd, take, &all), 0);
	close(fd);
	return all;
}

static void put_kept(struct scratch *s, uint64_t time, unsigned long long size, const char *name)
{
	char where[400];

	(void)mkdirat(s->root, HOME "/" KEPT_FOLDER, 0700);
	snprintf(where, sizeof(where), KEPT_FOLDER "/%08llx.%llx.%s", (unsigned long long)time,
		 size, name);
	put_file(s, where, "kept\n");
}

static void three_messages(struct scratch *s)
{
	make_maildir(s);
	put_file(s, "cur/1.m:2,S", "one\n");
	put_file(s, "new/2.m", "two, too\n");
	put_file(s, "cur/3 odd:2,", "three\n");
	s->settings.retention.keep_seconds = WEEK;
}

static void test_a_deleted_message_is_moved_aside(void **state)
{
	struct scratch *s = *state;
	struct stat before, after;
	struct maildrop *m;
	struct all all;

	three_messages(s);
	assert_int_equal(fstatat(s->root, HOME "/cur/1.m:2,S", &before, 0), 0);
	delete_messages(s, (uint32_t[]){1}, 1);
	all = kept(s);
	assert_int_equal(all.count, 1);
	assert_string_equal(all.name, "1.m:2,S");
	assert_int_equal(all.octets, 4);
	assert_int_equal(all.inode, before.st_ino);
	assert_int_equal(fstatat(s->root, HOME "/" KEPT_FOLDER, &after, 0), 0);
	assert_int_equal(after.st_mode & 07777, 0700);
	m = open_session(s);
	assert_int_equal(session_count(m), 2);
	maildrop_close(m);
	s->settings.retention.keep_seconds = 0;
	delete_messages(s, (uint32_t[]){1, 2}, 2);
	assert_int_equal(kept(s).count, 1);
	assert_int_equal(count_files(s, "cur", NULL), 0);
}

static unsigned kept_flushes; /* of the folder of kept messages */
static bool kept_flush_fails;

/* Whether the file's path has this part. */
static bool is_below(int fd, const char *part)
{
	char path[64], name[400];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	n = readlink(path, name, sizeof(name) - 1);
	name[n < 0 ? 0 : n] = '\0';
	return strstr(name, part) != NULL;
}

static int noting_fsync(int fd)
{
	if (!is_below(fd, "/" KEPT_FOLDER))
		return fsync(fd);
	kept_flushes++;
	errno = EIO;
	return kept_flush_fails ? -1 : fsync(fd);
}

/* A power cut must not leave a message in no folder at all: that of kept ones is flushed before the
 * deletion is over. */
static void test_the_folder_is_flushed(void **state)
{
	struct scratch *s = *state;
	struct maildrop_syscalls calls = maildrop_kernel;
	struct maildrop *m;

	three_messages(s);
	calls.fsync = noting_fsync;
	s->settings.syscalls = &calls;
	kept_flushes = 0;
	kept_flush_fails = true;
	m = open_session(s);
	assert_int_equal(maildrop_commit(m, (uint32_t[]){1}, 1, NULL), MAILDROP_OK);
	maildrop_sweep(m);
	assert_true(kept_flushes > 0);
	maildrop_close(m);
	kept_flush_fails = false;
	kept_flushes = 0;
	m = open_session(s);
	assert_false(maildrop_at_rest(m)); /* the next one tries again */
	maildrop_sweep(m);
	assert_true(kept_flushes > 0);
	maildrop_close(m);
	assert_int_equal(kept(s).count, 1);
	s->settings.syscalls = NULL;
}

static void test_names(void **state)
{
	static const char *const bad[] = {"",
					  "x",
					  "6a0b1c2d",
					  "6a0b1c2d.",
					  "6a0b1c2d.1",
					  "6a0b1c2d.1.",
					  "6A0b1c2d.1.x",
					  "6a0b1c2.1.x",
					  "6a0b1c2d..x",
					  "6a0b1c2d.1.x/y",
					  "6a0b1c2d.1..x",
					  "06a0b1c2d.1.x",
					  "6a0b1c2d.1234567890abc.x"};
	char long_name[256], longest[256];
	struct scratch *s = *state;
	struct kept found;
	int dir, from, to;

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_int_equal(kept_parse(bad[i], &found), -1);
	assert_int_equal(kept_parse("6a0b1c2d.1f.1.m:2,S", &found), 0);
	assert_true(found.time == 0x6a0b1c2d && found.stored == 0x1f);
	assert_string_equal(found.name.data, "1.m:2,S");
	/* flags that do not fit are left out, and a name that does not fit is not kept */
	make_maildir(s);
	memset(long_name, 'a', 255);
	long_name[255] = '\0';
	memcpy(longest, long_name, 256);
	memcpy(long_name + 230, ":2,", 3);
	dir = folder(s);
	from = openat(dir, "cur", O_RDONLY | O_DIRECTORY);
	to = kept_open(&maildrop_kernel, dir, true);
	assert_int_equal(mknodat(from, long_name, S_IFREG | 0600, 0), 0);
	assert_int_equal(mknodat(from, longest, S_IFREG | 0600, 0), 0);
	assert_int_equal(kept_move(&maildrop_kernel, to, from, long_name, 1, 1), 0);
	assert_int_equal(strlen(kept(s).name), 230);
	assert_int_equal(kept_move(&maildrop_kernel, to, from, longest, 1, 1), -1);
	assert_int_equal(errno, ENAMETOOLONG);
	close(from);
	close(to);
	close(dir);
}

static void test_what_is_old_or_too_much_goes(void **state)
{
	uint64_t now = (uint64_t)time(NULL);
	struct scratch *s = *state;

	three_messages(s);
	put_kept(s, now - WEEK - 10, 5, "old.m");
	put_kept(s, now - 30, 500, "large.m");
	put_kept(s, now - 20, 500, "later.m");
	put_file(s, KEPT_FOLDER "/not-ours", "stays\n");
	s->settings.retention.keep_octets = 600;
	delete_messages(s, (uint32_t[]){1}, 1);
	assert_int_equal(kept(s).count, 2);
	assert_int_equal(kept(s).octets, 504);
	assert_true(has_file(s, KEPT_FOLDER "/not-ours"));
}

/* A session that leaves nothing to do still has the upkeep of its maildrop done, now and then. */
static void test_upkeep_is_due_after_hours(void **state)
{
	struct maildrop_upkeep *upkeep = calloc(1, sizeof(*upkeep));
	uint64_t now = (uint64_t)time(NULL);
	struct scratch *s = *state;
	struct maildrop *m;

	three_messages(s);
	m = open_session(s);
	maildrop_sweep(m);
	maildrop_close(m);
	put_kept(s, now - WEEK - 10, 5, "old.m");
	s->settings.retention.upkeep = upkeep;
	m = open_session(s);
	assert_false(maildrop_at_rest(m));
	maildrop_sweep(m);
	assert_true(maildrop_at_rest(m));
	maildrop_close(m);
	assert_int_equal(kept(s).count, 0);
	assert_true(maildrop_upkeep_due(upkeep, HOME, (time_t)now + UPKEEP_HOURS * 3600 + 3600));
	assert_false(maildrop_upkeep_due(upkeep, HOME, (time_t)now));
	assert_true(maildrop_upkeep_due(upkeep, "bob", (time_t)now));
	free(upkeep);
}

/* Kept messages count, but they keep no mail out. */
static void test_kept_messages_make_room_for_new_ones(void **state)
{
	struct maildrop_quota quota = {.max_octets = 1000};
	uint64_t now = (uint64_t)time(NULL);
	struct scratch *s = *state;
	struct err err = {0};

	three_messages(s);
	put_kept(s, now - 30, 500, "first.m");
	put_kept(s, now - 20, 300, "second.m");
	assert_int_equal(deliver_text(s, "small\r\n", quota, &err), MAILDROP_OK);
	assert_int_equal(kept(s).count, 2);
	quota.max_octets = 600;
	assert_int_equal(deliver_text(s, "small\r\n", quota, &err), MAILDROP_OK);
	assert_int_equal(kept(s).count, 1);
	assert_string_equal(kept(s).name, "second.m");
	quota.max_octets = 10; /* what is full without them stays full */
	assert_int_equal(deliver_text(s, "small\r\n", quota, &err), MAILDROP_OVER_QUOTA);
	assert_int_equal(kept(s).count, 1);
}

static void take_note(void *context, const char *text)
{
	snprintf(context, 1000, "%s", text);
}

static void put_link(struct scratch *s)
{
	assert_int_equal(mkdirat(s->root, "bob", 0700), 0);
	assert_int_equal(symlinkat("../bob", s->root, HOME "/" KEPT_FOLDER), 0);
}

static void put_fifo(struct scratch *s)
{
	assert_int_equal(mkfifoat(s->root, HOME "/" KEPT_FOLDER, 0600), 0);
}

/* Threat 121. Nothing goes through it, and nothing is lost: the file stays, hidden. */
static void test_what_is_put_in_the_place_of_the_folder(void **state)
{
	static void (*const puts[])(struct scratch *) = {put_link, put_fifo};
	struct scratch *s = *state;
	char noted[1000], old[300];

	three_messages(s);
	s->settings.note = take_note;
	s->settings.note_context = noted;
	for (size_t i = 0; i < 2; i++) {
		struct maildrop *m;

		noted[0] = '\0';
		puts[i](s);
		m = open_session(s);
		assert_int_equal(session_count(m), 3 - i);
		maildrop_close(m);
		delete_messages(s, (uint32_t[]){1}, 1);
		assert_non_null(strstr(noted, "valija-kept"));
		assert_int_equal(count_files(s, "cur", NULL), 3);
		snprintf(old, sizeof(old), "moved.%zu", i);
		move_file(s, KEPT_FOLDER, old);
	}
	delete_messages(s, (uint32_t[]){1}, 1); /* and now they go where they belong */
	assert_int_equal(kept(s).count, 3);
	assert_int_equal(unlinkat(s->root, "bob", AT_REMOVEDIR), 0);
}

static ssize_t no_room(int fd, const void *buf, size_t n, off_t offset)
{
	(void)fd, (void)buf, (void)n, (void)offset;
	errno = ENOSPC;
	return -1;
}

/* The log has no room: the files are moved aside before the answer. */
static void test_messages_are_kept_on_a_full_disk(void **state)
{
	struct maildrop_syscalls calls = maildrop_kernel;
	struct scratch *s = *state;

	three_messages(s);
	maildrop_close(open_session(s));
	calls.pwrite = no_room;
	s->settings.syscalls = &calls;
	delete_messages(s, (uint32_t[]){1, 2}, 2);
	assert_int_equal(kept(s).count, 2);
}

static void test_an_mbox_keeps_nothing_and_is_refused(void **state)
{
	struct scratch *s = *state;
	struct store_host host = {0};
	struct err err = {0};

	s->settings.retention.keep_seconds = WEEK;
	assert_null(store_create(STORE_MBOX, &host, &s->settings, s->root, &err));
	assert_non_null(strstr(err.text, "keep_deleted"));
}

static void test_purge(void **state)
{
	struct scratch *s = *state;
	int fd;

	three_messages(s);
	delete_messages(s, (uint32_t[]){1, 2, 3}, 3);
	fd = folder(s);
	assert_int_equal(kept_purge(&maildrop_kernel, fd), 0);
	assert_false(has_file(s, KEPT_FOLDER));
	assert_int_equal(kept_purge(&maildrop_kernel, fd), 0);
	close(fd);
}

/* ---- undelete ---- */

static enum maildrop_status undelete(struct scratch *s, struct undelete_item *items, size_t count,
				     uint64_t max_octets)
{
	struct undelete u = {
		.items = items, .count = count, .max_octets = max_octets, .by = {.label = "uid=0"}};
	struct maildrop *m = open_session(s);
	struct err err = {0};
	enum maildrop_status status = maildrop_undelete(m, &u, &err);

	maildrop_close(m);
	return status;
}

static void test_messages_come_back_with_their_ids(void **state)
{
	struct undelete_item items[] = {{.id = "2.m"}, {.id = "brought"}, {.id = "nobody"}};
	struct scratch *s = *state;
	struct maildrop *m;

	three_messages(s);
	put_file(s, "valija-uidl", "brought 3 odd\n");
	delete_messages(s, (uint32_t[]){2, 3}, 2);
	assert_int_equal(undelete(s, items, 3, 0), MAILDROP_OK);
	assert_string_equal(items[0].id, "2.m"); /* in the order of their ids */
	assert_int_equal(items[0].outcome, UNDELETE_BACK);
	assert_int_equal(items[1].outcome, UNDELETE_BACK);
	assert_int_equal(items[2].outcome, UNDELETE_NOT_KEPT);
	assert_int_equal(kept(s).count, 0);
	assert_true(has_file(s, "cur/2.m:2,"));
	m = open_session(s);
	assert_int_equal(session_count(m), 3);
	assert_entry(m, 1, "1.m", 5);
	assert_entry(m, 2, "2.m", 10);
	assert_entry(m, 3, "brought", 7);
	maildrop_sweep(m);
	maildrop_close(m);
	/* the same once more is done already */
	assert_int_equal(undelete(s, items, 3, 0), MAILDROP_OK);
	assert_int_equal(items[0].outcome, UNDELETE_THERE);
	/* and their deletion is one as any other */
	delete_messages(s, (uint32_t[]){2, 3}, 2);
	assert_int_equal(kept(s).count, 2);
	m = open_session(s);
	assert_int_equal(session_count(m), 1);
	maildrop_close(m);
}

/* The inode is that of the DEL: nothing that is left of the log may delete it again. */
static void test_a_damaged_log_deletes_nothing_again(void **state)
{
	struct undelete_item item = {.id = "1.m"};
	struct scratch *s = *state;
	struct maildrop *m;
	int fd;

	three_messages(s);
	delete_messages(s, (uint32_t[]){1}, 1);
	assert_int_equal(undelete(s, &item, 1, 0), MAILDROP_OK);
	fd = openat(s->root, HOME "/valija-delta", O_RDWR | O_CLOEXEC);
	assert_int_equal(pwrite(fd, "x", 1, 40), 1);
	close(fd);
	remove_file(s, "valija-base");
	m = open_session(s);
	assert_int_equal(session_count(m), 3);
	maildrop_sweep(m);
	maildrop_close(m);
	assert_int_equal(kept(s).count, 0);
}

static int cur_fails_fsync(int fd)
{
	if (!is_below(fd, "/cur"))
		return fsync(fd);
	errno = EIO;
	return -1;
}

/* A message that is there may have been brought back by a process that died before it flushed that:
 * it is back when cur/ is on the disk. */
static void test_what_is_there_already_is_flushed(void **state)
{
	struct undelete_item item = {.id = "1.m"};
	struct undelete u = {.items = &item, .count = 1, .by = {.label = "uid=0"}};
	struct maildrop_syscalls calls = maildrop_kernel;
	struct scratch *s = *state;
	struct err err = {0};
	struct maildrop *m;

	three_messages(s);
	s->settings.syscalls = &calls;
	assert_int_equal(undelete(s, &item, 1, 0), MAILDROP_OK);
	assert_int_equal(item.outcome, UNDELETE_THERE);
	m = open_session(s);
	calls.fsync = cur_fails_fsync;
	assert_int_equal(maildrop_undelete(m, &u, &err), MAILDROP_TEMP);
	assert_non_null(strstr(err.text, "cur: cannot be flushed"));
	calls.fsync = fsync;
	assert_int_equal(maildrop_undelete(m, &u, &err), MAILDROP_OK);
	maildrop_close(m);
	s->settings.syscalls = NULL;
}

/* Deletions that no sweep has carried out yet are carried out first. */
static void test_undelete_before_the_sweep(void **state)
{
	struct undelete_item item = {.id = "1.m"};
	struct scratch *s = *state;
	struct maildrop *m;
	struct err err;

	three_messages(s);
	m = open_session(s);
	assert_int_equal(maildrop_commit(m, (uint32_t[]){1, 2}, 2, &err), MAILDROP_OK);
	maildrop_close(m);
	assert_int_equal(undelete(s, &item, 1, 0), MAILDROP_OK);
	assert_int_equal(item.outcome, UNDELETE_BACK);
	assert_int_equal(kept(s).count, 1);
	m = open_session(s);
	assert_int_equal(session_count(m), 2);
	maildrop_close(m);
}

static void test_what_is_refused(void **state)
{
	struct undelete_item item = {.id = "1.m"};
	struct scratch *s = *state;
	uint64_t now = (uint64_t)time(NULL);
	struct maildrop *m;
	char from[300];

	three_messages(s);
	delete_messages(s, (uint32_t[]){1}, 1);
	assert_int_equal(undelete(s, &item, 1, 5), MAILDROP_OK);
	assert_int_equal(item.outcome, UNDELETE_OVER_QUOTA);
	put_file(s, "cur/1.m:2,", "another one with that name\n");
	assert_int_equal(undelete(s, &item, 1, 0), MAILDROP_OK);
	assert_int_equal(item.outcome, UNDELETE_THERE);
	assert_int_equal(kept(s).count, 1);
	remove_file(s, "cur/1.m:2,");
	/* threat 122: what is no message of the owner's */
	snprintf(from, sizeof(from), KEPT_FOLDER "/%s", kept(s).entry);
	move_file(s, from, "aside");
	snprintf(from, sizeof(from), HOME "/" KEPT_FOLDER "/%08llx.5.1.m", (unsigned long long)now);
	assert_int_equal(symlinkat("/etc/passwd", s->root, from), 0);
	assert_int_equal(undelete(s, &item, 1, 0), MAILDROP_OK);
	assert_int_equal(item.outcome, UNDELETE_NOT_KEPT);
	assert_int_equal(unlinkat(s->root, from, 0), 0);
	assert_int_equal(mkfifoat(s->root, from, 0600), 0);
	assert_int_equal(undelete(s, &item, 1, 0), MAILDROP_OK);
	assert_int_equal(item.outcome, UNDELETE_NOT_KEPT);
	m = open_session(s);
	assert_int_equal(session_count(m), 2);
	maildrop_close(m);
}

/* A move that a power cut left with both names: one message, and one name in the end. */
static void test_a_move_cut_in_two(void **state)
{
	struct undelete_item item = {.id = "1.m"};
	struct scratch *s = *state;
	struct maildrop *m;

	three_messages(s);
	(void)mkdirat(s->root, HOME "/" KEPT_FOLDER, 0700);
	assert_int_equal(linkat(s->root, HOME "/cur/1.m:2,S", s->root,
				HOME "/" KEPT_FOLDER "/6a0b1c2d.4.1.m:2,S", 0),
			 0);
	assert_int_equal(undelete(s, &item, 1, 0), MAILDROP_OK);
	assert_int_equal(item.outcome, UNDELETE_THERE);
	assert_int_equal(kept(s).count, 0);
	m = open_session(s);
	assert_int_equal(session_count(m), 3);
	maildrop_close(m);
}

/* ---- messages that are too old ---- */

static void came(struct scratch *s, const char *where, time_t seconds)
{
	struct timespec times[2] = {{.tv_sec = seconds}, {.tv_sec = seconds}};
	char path[300];

	snprintf(path, sizeof(path), HOME "/%s", where);
	assert_int_equal(utimensat(s->root, path, times, 0), 0);
}

/* 1.m is old by name and content; 2.m only by its name; 3 by content alone. */
static void old_messages(struct scratch *s)
{
	char where[100];
	time_t now = time(NULL);

	make_maildir(s);
	put_file(s, "cur/1000.m:2,S", "one\n");
	came(s, "cur/1000.m:2,S", now - 2 * WEEK);
	put_file(s, "new/2000.m", "two, too\n");
	snprintf(where, sizeof(where), "cur/%lld.m:2,", (long long)now - 60);
	put_file(s, where, "three\n");
	came(s, where, now - 2 * WEEK);
	s->settings.retention.delete_seconds = WEEK;
}

static void take_old(void *context, const char *id, uint64_t stored, uint64_t arrived)
{
	assert_string_equal(id, "1000.m");
	assert_int_equal(stored, 4);
	assert_true(arrived > 1000 && arrived < (uint64_t)time(NULL) - WEEK);
	++*(unsigned *)context;
}

static void take_lines(void *context, const struct deleted *deleted)
{
	assert_int_equal(deleted->what, DELETED_EXPIRED);
	assert_string_equal(deleted->id, "1000.m");
	++*(unsigned *)context;
}

static void test_old_messages_are_listed_and_deleted(void **state)
{
	unsigned listed = 0, lines = 0;
	struct scratch *s = *state;
	struct maildrop *m;
	struct err err;
	int fd;

	old_messages(s);
	s->settings.retention.keep_seconds = WEEK;
	m = open_session(s);
	assert_int_equal(maildrop_expire(m, true, take_old, &listed, &err), MAILDROP_OK);
	maildrop_close(m);
	assert_int_equal(listed, 1);
	m = open_session(s);
	assert_int_equal(session_count(m), 3);
	assert_int_equal(maildrop_expire(m, false, take_old, &listed, &err), MAILDROP_OK);
	maildrop_sweep(m);
	maildrop_close(m);
	assert_int_equal(listed, 2);
	assert_int_equal(kept(s).count, 1);
	fd = folder(s);
	assert_int_equal(deleted_each(&maildrop_kernel, fd, take_lines, &lines, &err), 0);
	close(fd);
	assert_int_equal(lines, 1);
	m = open_session(s);
	assert_int_equal(session_count(m), 2);
	maildrop_close(m);
}

/* The upkeep does it behind a session, which has seen all of them; a login that waits is first. */
static void test_old_messages_go_behind_a_session(void **state)
{
	struct maildrop_upkeep *upkeep = calloc(1, sizeof(*upkeep));
	struct scratch *s = *state;
	atomic_bool hurry = true;
	struct maildrop *m;
	char text[100];

	old_messages(s);
	s->settings.retention.upkeep = upkeep;
	m = open_session(s);
	assert_false(maildrop_sweep_slice(m, &hurry));
	maildrop_close(m);
	m = open_session(s);
	assert_int_equal(session_count(m), 3);
	assert_int_equal(read_body(m, 1, text, sizeof(text)), MAILDROP_OK);
	maildrop_sweep(m);
	assert_int_equal(session_count(m), 3); /* its own list stays */
	maildrop_close(m);
	m = open_session(s);
	assert_int_equal(session_count(m), 2);
	maildrop_close(m);
	assert_false(has_file(s, "cur/1000.m:2,S"));
	assert_false(has_file(s, KEPT_FOLDER));
	free(upkeep);
}

/* What a session deleted has its name, what is too old has none. */
static void test_quit_and_age_have_lines_of_their_own(void **state)
{
	struct maildrop_upkeep *upkeep = calloc(1, sizeof(*upkeep));
	const struct deleted_by anna = {.front = 0x6a, .session = 7};
	struct scratch *s = *state;
	struct maildrop *m;
	struct err err;
	char text[600] = "";
	int fd;

	old_messages(s);
	s->settings.retention.upkeep = upkeep;
	m = open_session(s);
	maildrop_attribute(m, &anna);
	assert_int_equal(maildrop_commit(m, (uint32_t[]){2}, 1, &err), MAILDROP_OK);
	maildrop_sweep(m);
	maildrop_close(m);
	fd = openat(s->root, HOME "/" DELETED_FILE, O_RDONLY);
	assert_true(read(fd, text, sizeof(text) - 1) > 0);
	close(fd);
	assert_non_null(strstr(text, " deleted 6a-7 - - 9 "));
	assert_non_null(strstr(text, " expired - - - 4 "));
	assert_int_equal(count_files(s, "cur", NULL) + count_files(s, "new", NULL), 1);
	free(upkeep);
}

static int reads_left; /* before one fails */

static ssize_t one_failing_pread(int fd, void *buf, size_t n, off_t offset)
{
	if (reads_left-- != 0)
		return pread(fd, buf, n, offset);
	errno = EIO;
	return -1;
}

/* A base of several blocks, of which one cannot be read while a new one is written: nothing is
 * brought back then, and nothing is lost. */
static void test_an_index_that_cannot_be_read(void **state)
{
	struct maildrop_syscalls calls = maildrop_kernel;
	unsigned failures = 0, successes = 0;
	struct scratch *s = *state;
	char where[40];

	three_messages(s);
	for (int i = 0; i < 400; i++) {
		snprintf(where, sizeof(where), "cur/%d.n:2,", 100 + i);
		put_file(s, where, "more\n");
	}
	maildrop_close(open_session(s));
	calls.pread = one_failing_pread;
	for (int n = 0; n < 60 && !successes; n++) {
		struct undelete_item item = {.id = "nobody"};
		struct undelete u = {.items = &item, .count = 1, .by = {.label = "uid=0"}};
		struct maildrop *m;
		struct err err;

		s->settings.syscalls = &calls;
		reads_left = -1;
		m = open_session(s);
		reads_left = n;
		if (maildrop_undelete(m, &u, &err) == MAILDROP_OK)
			successes += reads_left >= 0;
		else
			failures++;
		maildrop_close(m);
		s->settings.syscalls = NULL;
		m = open_session(s);
		assert_int_equal(session_count(m), 403);
		maildrop_close(m);
	}
	assert_true(failures > 2);
	assert_true(successes > 0);
}

int main(void)
{
#define TEST(test) cmocka_unit_test_setup_teardown(test, scratch_begin, scratch_end)
	const struct CMUnitTest tests[] = {
		TEST(test_an_index_that_cannot_be_read),
		TEST(test_a_deleted_message_is_moved_aside),
		TEST(test_the_folder_is_flushed),
		TEST(test_names),
		TEST(test_what_is_old_or_too_much_goes),
		TEST(test_upkeep_is_due_after_hours),
		TEST(test_kept_messages_make_room_for_new_ones),
		TEST(test_what_is_put_in_the_place_of_the_folder),
		TEST(test_messages_are_kept_on_a_full_disk),
		TEST(test_an_mbox_keeps_nothing_and_is_refused),
		TEST(test_purge),
		TEST(test_messages_come_back_with_their_ids),
		TEST(test_a_damaged_log_deletes_nothing_again),
		TEST(test_what_is_there_already_is_flushed),
		TEST(test_undelete_before_the_sweep),
		TEST(test_what_is_refused),
		TEST(test_a_move_cut_in_two),
		TEST(test_old_messages_are_listed_and_deleted),
		TEST(test_old_messages_go_behind_a_session),
		TEST(test_quit_and_age_have_lines_of_their_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
