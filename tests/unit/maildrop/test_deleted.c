/* The journal of deletions: lines, the file, and what sessions write into it. */
#include "maildrop_test.h"

#include "maildrop/deleted.h"

#define ANNA                                                                               \
	{                                                                                  \
		.front = 0x6a, .session = 7, .address = {[10] = 0xff, 0xff, 192, 0, 2, 1}, \
		.label = "phone"                                                           \
	}

struct seen {
	unsigned count;
	struct deleted last, first;
};

static void take(void *context, const struct deleted *deleted)
{
	struct seen *seen = context;

	if (!seen->count++)
		seen->first = *deleted;
	seen->last = *deleted;
}

static int folder(struct scratch *s)
{
	int fd = openat(s->root, HOME, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

static struct seen look(struct scratch *s)
{
	struct seen seen = {0};
	struct err err = {0};
	int fd = folder(s);

	if (deleted_each(&maildrop_kernel, fd, take, &seen, &err) < 0)
		fail_msg("%s", err.text);
	close(fd);
	return seen;
}

static void assert_by(const struct deleted_by *got, const struct deleted_by *want)
{
	assert_true(got->front == want->front && got->session == want->session);
	assert_memory_equal(got->address, want->address, sizeof(want->address));
	assert_string_equal(got->label, want->label);
}

static struct deleted sample(void)
{
	return (struct deleted){.time = 1795859742,
				.by = ANNA,
				.stored = 157,
				.inode = 11363774,
				.id = "1795859742.M2"};
}

static int append(struct scratch *s, const struct deleted *deleted, bool begins)
{
	char line[DELETED_LINE_MAX];
	size_t n = deleted_print(deleted, line);
	int fd = folder(s), rc;

	rc = deleted_append(&maildrop_kernel, fd, (pop3_span){line, n}, begins);
	close(fd);
	return rc;
}

static void test_a_line_comes_back(void **state)
{
	struct deleted all[3] = {sample(), sample(), sample()};
	char line[DELETED_LINE_MAX];

	(void)state;
	memset(&all[1].by, 0, sizeof(all[1].by));
	memset(all[2].by.address, 0x20, 16);
	all[2].by.label[0] = '\0';
	for (int i = 0; i < 3; i++) {
		size_t n = deleted_print(&all[i], line);
		struct deleted again;

		assert_int_equal(line[n - 1], '\n');
		assert_int_equal(deleted_parse((pop3_span){line, n - 1}, &again), 0);
		assert_by(&again.by, &all[i].by);
		assert_string_equal(again.id, all[i].id);
		assert_true(again.time == all[i].time && again.stored == all[i].stored &&
			    again.inode == all[i].inode);
	}
	deleted_print(&all[0], line);
	assert_string_equal(strchr(line, ' ') + 1, "1795859742 deleted 6a-7 192.0.2.1 phone 157 "
						   "11363774 1795859742.M2\n");
}

static void test_each_octet_counts(void **state)
{
	char line[DELETED_LINE_MAX];
	struct deleted deleted = sample(), again;
	size_t n = deleted_print(&deleted, line) - 1;

	(void)state;
	for (size_t i = 0; i < n; i++) {
		line[i] ^= 1;
		assert_int_equal(deleted_parse((pop3_span){line, n}, &again), -1);
		line[i] ^= 1;
		assert_int_equal(deleted_parse((pop3_span){line, i}, &again), -1);
	}
}

/* What a crash cut off is passed over, and does not swallow the next line. */
static void test_a_torn_line_hurts_no_other(void **state)
{
	struct scratch *s = *state;
	struct deleted deleted = sample();
	char path[200];
	struct stat st;

	make_maildir(s);
	assert_int_equal(append(s, &deleted, true), 0);
	assert_int_equal(append(s, &deleted, false), 0);
	snprintf(path, sizeof(path), "%s/" HOME "/" DELETED_FILE, s->path);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(truncate(path, st.st_size - 9), 0);
	assert_int_equal(look(s).count, 1);
	deleted.time++;
	assert_int_equal(append(s, &deleted, false), 0);
	assert_int_equal(look(s).count, 2);
	assert_int_equal(look(s).last.time, deleted.time);
}

/* A long file is put aside when a session begins, not in the middle of one. */
static void test_a_long_journal_rotates(void **state)
{
	struct scratch *s = *state;
	struct deleted deleted = sample();
	char path[200];

	make_maildir(s);
	assert_int_equal(append(s, &deleted, true), 0);
	snprintf(path, sizeof(path), "%s/" HOME "/" DELETED_FILE, s->path);
	assert_int_equal(truncate(path, DELETED_ROTATED), 0); /* NULs are no lines */
	deleted.time++;
	assert_int_equal(append(s, &deleted, false), 0);
	assert_false(has_file(s, DELETED_OLD));
	deleted.time++;
	assert_int_equal(append(s, &deleted, true), 0);
	assert_true(has_file(s, DELETED_OLD));
	assert_int_equal(look(s).count, 3);
	assert_int_equal(look(s).first.time + 2, look(s).last.time);
	assert_int_equal(truncate(path, DELETED_ROTATED), 0);
	assert_int_equal(append(s, &deleted, true), 0);
	assert_int_equal(look(s).count, 2); /* the oldest file is gone */
}

static void put_link(struct scratch *s)
{
	assert_int_equal(symlinkat("elsewhere", s->root, HOME "/" DELETED_FILE), 0);
}

static void put_fifo(struct scratch *s)
{
	assert_int_equal(mkfifoat(s->root, HOME "/" DELETED_FILE, 0600), 0);
}

static void put_folder(struct scratch *s)
{
	assert_int_equal(mkdirat(s->root, HOME "/" DELETED_FILE, 0700), 0);
}

static void put_second_name(struct scratch *s)
{
	put_file(s, "other", "of somebody else\n");
	assert_int_equal(linkat(s->root, HOME "/other", s->root, HOME "/" DELETED_FILE, 0), 0);
}

static void take_note(void *context, const char *text)
{
	snprintf(context, 1000, "%s", text);
}

/* Threat 120. QUIT is done all the same, and the log says what is wrong. */
static void test_what_is_put_in_its_place(void **state)
{
	static void (*const puts[])(struct scratch *) = {put_link, put_fifo, put_folder,
							 put_second_name};
	struct scratch *s = *state;
	char noted[1000], old[300];

	make_maildir(s);
	s->settings.note = take_note;
	s->settings.note_context = noted;
	for (size_t i = 0; i < sizeof(puts) / sizeof(*puts); i++) {
		struct deleted deleted = sample();
		struct seen seen = {0};
		struct err err = {0};
		int fd = folder(s);

		noted[0] = '\0';
		put_file(s, "cur/1.m:2,", "one\n");
		puts[i](s);
		assert_int_equal(append(s, &deleted, true), -1);
		if (i != 2)
			assert_int_equal(deleted_each(&maildrop_kernel, fd, take, &seen, &err), -1);
		delete_messages(s, (uint32_t[]){1}, 1);
		assert_int_equal(count_files(s, "cur", NULL), 0);
		assert_non_null(strstr(noted, "valija-deleted"));
		assert_false(has_file(s, "elsewhere"));
		close(fd);
		snprintf(old, sizeof(old), "moved.%zu", i);
		move_file(s, DELETED_FILE, old);
	}
}

/* ---- sessions ---- */

static void three_messages(struct scratch *s)
{
	make_maildir(s);
	put_file(s, "cur/1.m:2,", "one\n");
	put_file(s, "new/2.m", "two, too\n");
	put_file(s, "cur/3 odd:2,S", "three\n");
}

static void commit(struct maildrop *m, const uint32_t *numbers, uint32_t count)
{
	struct err err = {0};

	if (maildrop_commit(m, numbers, count, &err) != MAILDROP_OK)
		fail_msg("%s", err.text);
}

static void test_a_session_has_its_name_in_it(void **state)
{
	const struct deleted_by anna = ANNA;
	struct scratch *s = *state;
	struct maildrop *m;
	struct seen seen;

	three_messages(s);
	m = open_session(s);
	maildrop_attribute(m, &anna);
	commit(m, (uint32_t[]){2, 3}, 2);
	assert_int_equal(look(s).count, 0); /* behind the answer */
	maildrop_sweep(m);
	maildrop_close(m);
	seen = look(s);
	assert_int_equal(seen.count, 2);
	assert_string_equal(seen.first.id, "2.m");
	assert_int_equal(seen.first.stored, 9);
	assert_int_equal(strlen(seen.last.id), 32); /* the name is no id */
	assert_by(&seen.last.by, &anna);
	assert_true(seen.last.time > 1700000000);
	delete_messages(s, (uint32_t[]){1}, 1);
	assert_int_equal(look(s).last.by.front, 0);
	assert_int_equal(look(s).count, 3);
}

/* A login that waits keeps files from going, but not lines from coming. */
static void test_a_hurried_sweep_writes_its_lines(void **state)
{
	const struct deleted_by anna = ANNA;
	struct scratch *s = *state;
	atomic_bool hurry = true;
	struct maildrop *m;
	struct seen seen;

	three_messages(s);
	m = open_session(s);
	maildrop_attribute(m, &anna);
	commit(m, (uint32_t[]){1, 2}, 2);
	assert_false(maildrop_sweep_slice(m, &hurry));
	maildrop_close(m);
	assert_int_equal(count_files(s, "cur", NULL) + count_files(s, "new", NULL), 3);
	assert_int_equal(look(s).count, 2);
	m = open_session(s); /* the files go, and no second line comes */
	maildrop_sweep(m);
	maildrop_close(m);
	seen = look(s);
	assert_int_equal(seen.count, 2);
	assert_by(&seen.first.by, &anna);
	assert_int_equal(count_files(s, "cur", NULL) + count_files(s, "new", NULL), 1);
}

/* A process that died between QUIT and its lines: the next one writes that nobody knows. */
static void test_a_dead_process_leaves_deletions_of_nobody(void **state)
{
	const struct deleted_by anna = ANNA, nobody = {0};
	struct scratch *s = *state;
	struct maildrop *m;
	struct seen seen;

	three_messages(s);
	put_file(s, "valija-uidl", "brought-along 1.m\n");
	m = open_session(s);
	maildrop_attribute(m, &anna);
	commit(m, (uint32_t[]){1}, 1);
	maildrop_close(m);
	remove_file(s, "valija-base"); /* nor is there an index that has its id */
	m = open_session(s);
	maildrop_attribute(m, &anna);
	commit(m, (uint32_t[]){1}, 1);
	maildrop_sweep(m);
	maildrop_close(m);
	seen = look(s);
	assert_int_equal(seen.count, 2);
	assert_string_equal(seen.first.id, "brought-along");
	assert_by(&seen.first.by, &nobody);
	assert_string_equal(seen.last.id, "2.m");
	assert_by(&seen.last.by, &anna);
}

static ssize_t no_room(int fd, const void *buf, size_t n, off_t offset)
{
	char path[64], target[300];
	ssize_t size;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	size = readlink(path, target, sizeof(target) - 1);
	target[size < 0 ? 0 : size] = '\0';
	if (!strstr(target, "valija-delta"))
		return pwrite(fd, buf, n, offset);
	errno = ENOSPC;
	return -1;
}

/* Where the log has no room the files are gone at once: these have their lines, too. */
static void test_deletions_without_a_log(void **state)
{
	const struct deleted_by anna = ANNA;
	struct maildrop_syscalls calls = maildrop_kernel;
	struct scratch *s = *state;
	struct maildrop *m;

	three_messages(s);
	maildrop_close(open_session(s));
	calls.pwrite = no_room;
	s->settings.syscalls = &calls;
	m = open_session(s);
	maildrop_attribute(m, &anna);
	commit(m, (uint32_t[]){2, 3}, 2);
	maildrop_close(m);
	assert_int_equal(look(s).count, 2);
	assert_int_equal(look(s).last.by.session, 7);
	assert_int_equal(look(s).last.stored, 6);
}

int main(void)
{
#define TEST(test) cmocka_unit_test_setup_teardown(test, scratch_begin, scratch_end)
	const struct CMUnitTest tests[] = {
		TEST(test_a_line_comes_back),
		TEST(test_each_octet_counts),
		TEST(test_a_torn_line_hurts_no_other),
		TEST(test_a_long_journal_rotates),
		TEST(test_what_is_put_in_its_place),
		TEST(test_a_session_has_its_name_in_it),
		TEST(test_a_hurried_sweep_writes_its_lines),
		TEST(test_a_dead_process_leaves_deletions_of_nobody),
		TEST(test_deletions_without_a_log),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
