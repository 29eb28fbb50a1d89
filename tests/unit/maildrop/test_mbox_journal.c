/* The journal of an mbox's rewrite: its octets on the disk, damage of every one of them, rewrites
 * that are cut off anywhere, and mailboxes that it is not of any more. */
#include "mbox_test.h"

#include "base/crc32c.h"

#define JOURNAL HOME "/.box.valija-journal"
#define LOCK_FILE BOX ".lock"

enum { HEADER = 128, CRC = 116, FILE_MAX = 1 << 20, BUFFER = 256 * 1024 };

static char notes[2000];

static void keep_note(void *context, const char *text)
{
	size_t used = strlen(notes);

	(void)context;
	snprintf(notes + used, sizeof(notes) - used, "%s\n", text);
}

static int no_flush(int fd)
{
	(void)fd;
	return 0;
}

/* Hundreds of rewrites: they need not reach the disk. */
static struct maildrop_syscalls quick;

static int begin_noting(void **state)
{
	int result = begin(state);
	struct scratch *s = *state;

	notes[0] = '\0';
	quick = maildrop_kernel;
	quick.fsync = quick.fdatasync = no_flush;
	s->settings.syscalls = &quick;
	s->settings.note = keep_note;
	return result;
}

struct file {
	char octets[FILE_MAX];
	size_t size;
};

static void load(struct scratch *s, const char *path, struct file *ret)
{
	int fd = openat(s->root, path, O_RDONLY | O_CLOEXEC);
	ssize_t n = read(fd, ret->octets, sizeof(ret->octets));

	assert_true(n >= 0);
	close(fd);
	ret->size = (size_t)n;
}

/* Into the same file, if it is there. */
static void store(struct scratch *s, const char *path, const char *octets, size_t size)
{
	int fd = openat(s->root, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_int_equal(write(fd, octets, size), size);
	close(fd);
}

static bool is_there(struct scratch *s, const char *path)
{
	return faccessat(s->root, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static uint64_t number_at(const struct file *file, size_t at, int octets)
{
	uint64_t value = 0;

	for (int i = octets - 1; i >= 0; i--)
		value = value << 8 | (unsigned char)file->octets[at + (size_t)i];
	return value;
}

static struct mbox_report recovered(struct scratch *s, enum maildrop_status wanted,
				    const char *words)
{
	struct mbox_report report = {0};
	struct err err = {0};

	assert_int_equal(mbox_recover(&s->settings, s->root, BOX, &report, &err), wanted);
	if (!strstr(err.text, words))
		fail_msg("no \"%s\" in \"%s\"", words, err.text);
	return report;
}

/* What docs/maildrop-format.md says of it. */
static void its_form(void **state)
{
	static struct file journal;
	const struct timespec times[2] = {{1000, 1001}, {2000, 999999999}};
	struct scratch *s = *state;
	struct stat st;

	put(s, ONE "\n" TWO "\n" THREE "\n", 0);
	delete (s, 2, 0, false);
	assert_int_equal(utimensat(s->root, BOX, times, 0), 0);
	assert_int_equal(fstatat(s->root, BOX, &st, 0), 0);
	{
		struct seen seen;

		look(s, &seen); /* other times alone are another file */
		assert_int_equal(utimensat(s->root, BOX, times, 0), 0);
		assert_int_equal(seen.count, 2);
	}
	cut_off(s); /* deletes the first, too */
	load(s, JOURNAL, &journal);
	assert_memory_equal(journal.octets, "VALIJA-J\1\0\0\0", 12);
	assert_int_equal(number_at(&journal, 16, 8), st.st_ino);
	assert_int_equal(number_at(&journal, 24, 8), strlen(ONE TWO THREE) + 3);
	assert_int_equal(number_at(&journal, 32, 8), 0);
	assert_int_equal(number_at(&journal, 40, 8), strlen(THREE) + 1);
	assert_int_equal(number_at(&journal, 96, 8), 2000);
	assert_int_equal(number_at(&journal, 104, 4), 999999999);
	assert_int_equal(number_at(&journal, 112, 4), crc32c(0, THREE "\n", strlen(THREE) + 1));
	assert_int_equal(number_at(&journal, CRC, 4), crc32c(0, journal.octets, CRC));
	assert_int_equal(journal.size, HEADER + strlen(THREE) + 1);
	assert_memory_equal(journal.octets + HEADER, THREE "\n", strlen(THREE) + 1);
	recovered(s, MAILDROP_OK, "");
	assert_file(s, THREE "\n");
	assert_int_equal(fstatat(s->root, BOX, &st, 0), 0);
	assert_int_equal(st.st_mtim.tv_sec, 2000);
	assert_int_equal(st.st_mtim.tv_nsec, 999999999);
}

/* A mailbox that was cut off, and is so again for each case. */
static struct file cut_journal, cut_box, cut_lock;

static void keep_cut(struct scratch *s)
{
	put(s, ONE "\n" TWO "\n" THREE "\n", O_TRUNC);
	delete (s, 2, 0, false);
	cut_off(s);
	load(s, JOURNAL, &cut_journal);
	load(s, BOX, &cut_box);
	load(s, LOCK_FILE, &cut_lock);
}

static void cut_again(struct scratch *s)
{
	store(s, JOURNAL, cut_journal.octets, cut_journal.size);
	store(s, BOX, cut_box.octets, cut_box.size);
	store(s, LOCK_FILE, cut_lock.octets, cut_lock.size);
}

/* The journal was not completed: the mailbox is as it is, and the journal is gone. */
static void assert_dropped(struct scratch *s, size_t which)
{
	struct mbox_report report = recovered(s, MAILDROP_OK, "");
	static struct file box;

	load(s, BOX, &box);
	if (report.carried_out || is_there(s, JOURNAL) || box.size != cut_box.size ||
	    memcmp(box.octets, cut_box.octets, box.size) != 0)
		fail_msg("octet %zu", which);
	assert_int_equal(files_aside(s), 0);
}

static void every_octet_that_is_damaged(void **state)
{
	struct scratch *s = *state;

	keep_cut(s);
	for (size_t i = 0; i < cut_journal.size; i += i < HEADER ? 1 : 9) {
		if (i >= CRC + 4 && i < HEADER)
			continue; /* nothing is there */
		cut_again(s);
		cut_journal.octets[i] ^= (char)(i >= 8 && i < 12 ? 0x11 : 1);
		store(s, JOURNAL, cut_journal.octets, cut_journal.size);
		cut_journal.octets[i] ^= (char)(i >= 8 && i < 12 ? 0x11 : 1);
		if (i == 8) { /* version 16 */
			recovered(s, MAILDROP_TEMP, "a newer version of valija wrote it");
			assert_true(is_there(s, JOURNAL));
			continue;
		}
		assert_dropped(s, i);
	}
	cut_again(s);
	assert_true(recovered(s, MAILDROP_OK, "").carried_out);
	assert_file(s, THREE "\n");
}

static void with_version(struct scratch *s, unsigned version)
{
	char octets[4] = {(char)version, (char)(version >> 8)};
	int fd;

	cut_again(s);
	fd = openat(s->root, JOURNAL, O_WRONLY | O_CLOEXEC);
	assert_int_equal(pwrite(fd, octets, 4, 8), 4);
	close(fd);
}

static void versions(void **state)
{
	struct scratch *s = *state;
	struct maildrop *m = NULL;
	struct err err = {0};

	keep_cut(s);
	with_version(s, 255);
	assert_int_equal(try_open(s, &m, &err), MAILDROP_TEMP);
	assert_non_null(strstr(err.text, ".box.valija-journal: is not understood (a newer version "
					 "of valija wrote it: run that one again)"));
	assert_true(is_there(s, JOURNAL));
	with_version(s, 2);
	recovered(s, MAILDROP_TEMP, "a newer version");
	with_version(s, 256); /* there is none of that number: damage */
	assert_dropped(s, 256);
	with_version(s, 0);
	assert_dropped(s, 0);
}

static void ends_that_are_missing(void **state)
{
	struct scratch *s = *state;
	size_t last[] = {HEADER - 1, HEADER, HEADER + 1, 0};

	keep_cut(s);
	last[3] = cut_journal.size - 1;
	for (size_t i = 0; i < 4; i++) {
		cut_again(s);
		store(s, JOURNAL, cut_journal.octets, last[i]);
		assert_dropped(s, last[i]);
	}
	for (size_t size = 0; size < cut_journal.size; size += 9) {
		cut_again(s);
		store(s, JOURNAL, cut_journal.octets, size);
		assert_dropped(s, size);
	}
}

/* Sound by its checksum, but of no rewrite. */
static void with_numbers(struct scratch *s, size_t at, uint64_t value, int octets)
{
	struct file *j = &cut_journal;
	char kept[HEADER];
	uint32_t crc;

	memcpy(kept, j->octets, HEADER);
	for (int i = 0; i < octets; i++)
		j->octets[at + (size_t)i] = (char)(value >> 8 * i);
	crc = crc32c(0, j->octets, CRC);
	for (int i = 0; i < 4; i++)
		j->octets[CRC + i] = (char)(crc >> 8 * i);
	cut_again(s);
	memcpy(j->octets, kept, HEADER);
}

static void numbers_that_cannot_be(void **state)
{
	struct scratch *s = *state;
	uint64_t size;

	keep_cut(s);
	size = cut_box.size;
	with_numbers(s, 24, (uint64_t)INT64_MAX + 1, 8);
	assert_dropped(s, 24);
	with_numbers(s, 32, size + 1, 8);
	assert_dropped(s, 32);
	with_numbers(s, 40, size + 1, 8);
	assert_dropped(s, 40);
	with_numbers(s, 88, 1000000000, 4);
	assert_dropped(s, 88);
	with_numbers(s, 104, 1000000000, 4);
	assert_dropped(s, 104);
	with_numbers(s, 88, 999999999, 4);
	assert_true(recovered(s, MAILDROP_OK, "").carried_out);
}

/* ---- the mailbox is another one ---- */

static void assert_aside(struct scratch *s)
{
	struct mbox_report report;
	static struct file before, after;

	load(s, BOX, &before);
	notes[0] = '\0';
	report = recovered(s, MAILDROP_OK, "");
	assert_true(report.journal && report.aside && !report.carried_out);
	load(s, BOX, &after);
	assert_int_equal(after.size, before.size);
	assert_memory_equal(after.octets, before.octets, before.size);
	assert_false(is_there(s, JOURNAL));
	assert_int_equal(files_aside(s), 1);
	assert_non_null(strstr(notes, "mailbox alice/box: another program changed it after valija "
				      "was cut off while it removed deleted messages, so it was "
				      "left as it is; mail that may be missing or damaged in it is "
				      "in the file .box.valija-doubt-"));
	assert_non_null(strstr(notes, "(mail begins at octet 128)"));
}

static void mailboxes_that_it_is_not_of(void **state)
{
	struct scratch *s = *state;

	put(s, ONE "\n" TWO "\n" THREE "\n" ONE "\n", 0);
	delete (s, 3, 0, false);
	put(s, TWO "\n", O_APPEND);
	{
		struct maildrop_syscalls calls = quick;

		calls.pwrite = failing_pwrite;
		s->settings.syscalls = &calls;
		rewrites_left = 0;
		delete (s, 4, 0, true);
		s->settings.syscalls = &quick;
	}
	load(s, JOURNAL, &cut_journal);
	load(s, BOX, &cut_box);
	load(s, LOCK_FILE, &cut_lock);
	assert_int_equal(number_at(&cut_journal, 32, 8), strlen(ONE TWO) + 2);
	/* what stands before the part that is rewritten */
	cut_box.octets[strlen(FROM) + 20] ^= 1;
	cut_again(s);
	cut_box.octets[strlen(FROM) + 20] ^= 1;
	assert_aside(s);
	/* no message begins where it did */
	cut_box.octets[strlen(ONE TWO) + 2] ^= 1;
	cut_again(s);
	cut_box.octets[strlen(ONE TWO) + 2] ^= 1;
	assert_aside(s);
	/* an octet more, and less than what the rewrite makes of it */
	cut_again(s);
	put(s, "\n", O_APPEND);
	assert_aside(s);
	cut_again(s);
	store(s, BOX, cut_box.octets, strlen(ONE TWO) + 2);
	assert_aside(s);
	/* another file with the same octets */
	cut_again(s);
	store(s, HOME "/other", cut_box.octets, cut_box.size);
	assert_int_equal(renameat(s->root, HOME "/other", s->root, BOX), 0);
	assert_aside(s);
}

/* ---- cut off anywhere ---- */

/* Messages of which some are longer than a buffer, so that several writes move them. */
static size_t large_box(struct scratch *s)
{
	static char text[FILE_MAX];
	size_t used = 0;

	for (unsigned i = 0; i < 6; i++) {
		size_t body = i % 2 ? 300 : 150000;

		used += (size_t)sprintf(text + used, FROM "Subject: %u\n\n", i);
		memset(text + used, 'a' + (int)i, body);
		used += body;
		used += (size_t)sprintf(text + used, "\n\n");
	}
	store(s, BOX, text, used);
	return used;
}

/* What is left without messages 2 and 4, counted from 0. */
static void assert_large(struct scratch *s)
{
	static struct file whole, is;
	size_t used = 0;

	load(s, BOX, &is);
	large_box(s);
	load(s, BOX, &whole);
	for (unsigned i = 0, at = 0; i < 6; i++) {
		size_t size = strlen(FROM "Subject: 0\n\n") + (i % 2 ? 300 : 150000) + 2;

		if (i != 2 && i != 4) {
			assert_memory_equal(is.octets + used, whole.octets + at, size);
			used += size;
		}
		at += (unsigned)size;
	}
	assert_int_equal(is.size, used);
}

static void long_ones_are_moved(void **state)
{
	struct scratch *s = *state;

	large_box(s);
	delete (s, 3, 5, true);
	assert_false(is_there(s, JOURNAL));
	assert_large(s);
}

static void begin_large(struct scratch *s)
{
	unlinkat(s->root, HOME "/.box.valija-base", 0);
	unlinkat(s->root, HOME "/.box.valija-delta", 0);
	unlinkat(s->root, JOURNAL, 0);
	unlinkat(s->root, LOCK_FILE, 0);
	large_box(s);
	delete (s, 3, 0, false);
}

/* Each write of the mailbox fails once; the next session goes on. */
static void cut_off_at_every_write(void **state)
{
	struct scratch *s = *state;
	struct maildrop_syscalls calls = quick;
	struct timespec times[2] = {{.tv_sec = 1000, .tv_nsec = 5}, {.tv_sec = 2000, .tv_nsec = 7}};
	struct seen seen;
	struct stat st;
	int cuts = 0;

	calls.pwrite = failing_pwrite;
	for (int left = 0; left < 10; left++) {
		begin_large(s);
		assert_int_equal(utimensat(s->root, BOX, times, 0), 0);
		look(s, &seen);
		assert_int_equal(utimensat(s->root, BOX, times, 0), 0);
		notes[0] = '\0';
		s->settings.syscalls = &calls;
		rewrites_left = left;
		delete (s, 4, 0, true);
		s->settings.syscalls = &quick;
		if (!is_there(s, JOURNAL))
			break;
		cuts++;
		assert_non_null(strstr(notes, "mailbox alice/box: was rewritten in part only, and "
					      "is put in order by the next session"));
		assert_true(is_there(s, LOCK_FILE));
		look(s, &seen);
		assert_int_equal(seen.count, 4);
		assert_false(is_there(s, JOURNAL) || is_there(s, LOCK_FILE));
		assert_int_equal(fstatat(s->root, BOX, &st, 0), 0);
		assert_int_equal(st.st_mtim.tv_sec, 2000);
		assert_int_equal(st.st_mtim.tv_nsec, 7);
		assert_large(s);
	}
	assert_int_equal(cuts, 1); /* what is moved has one buffer */
}

static int flushes_left;

static int one_failing_flush(int fd)
{
	(void)fd;
	if (flushes_left-- != 0)
		return 0;
	errno = EIO;
	return -1;
}

/* Whichever flush fails: the journal stays until the mailbox is whole, and is carried out again. */
static void recovering_without_a_flush(void **state)
{
	struct scratch *s = *state;
	struct maildrop_syscalls calls = quick;
	int failures = 0;

	keep_cut(s);
	calls.fsync = one_failing_flush;
	for (int n = 0; n < 12; n++) {
		struct mbox_report report = {0};
		enum maildrop_status status;

		cut_again(s);
		s->settings.syscalls = &calls;
		flushes_left = n;
		status = mbox_recover(&s->settings, s->root, BOX, &report, NULL);
		s->settings.syscalls = &quick;
		if (n < 3) { /* the journal, its folder, the mailbox */
			assert_int_equal(status, MAILDROP_TEMP);
			assert_true(is_there(s, JOURNAL));
		}
		failures += status != MAILDROP_OK;
		recovered(s, MAILDROP_OK, "");
		assert_file(s, THREE "\n");
	}
	assert_true(failures >= 4); /* that of the folder without the journal as well */
}

static int no_lock_file(int dir, const char *path, int flags, mode_t mode)
{
	if (flags & O_CREAT && strstr(path, ".lock")) {
		errno = EACCES;
		return -1;
	}
	return maildrop_kernel.openat(dir, path, flags, mode);
}

/* Without its lock file nothing is rewritten: it waits for somebody who may. */
static void recovering_without_a_lock_file(void **state)
{
	struct scratch *s = *state;
	struct maildrop_syscalls calls = quick;

	keep_cut(s);
	calls.openat = no_lock_file;
	s->settings.syscalls = &calls;
	recovered(s, MAILDROP_TEMP,
		  "mailbox alice/box: it was rewritten in part only, and cannot be put in order "
		  "because it cannot be written to or box.lock cannot be made");
	assert_true(is_there(s, JOURNAL));
	s->settings.syscalls = &quick;
	assert_true(recovered(s, MAILDROP_OK, "").carried_out);
}

/* ---- nobody knows whose journal it is ---- */

static int looks_left; /* at the mailbox, before one fails */

static bool look_fails(int fd)
{
	char path[64], name[400];
	ssize_t size;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	size = readlink(path, name, sizeof(name) - 1);
	name[size < 0 ? 0 : size] = '\0';
	if (size < 4 || strcmp(name + size - 4, "/box") != 0 || looks_left-- != 0)
		return false;
	errno = EIO;
	return true;
}

static ssize_t a_failing_pread(int fd, void *buf, size_t n, off_t offset)
{
	return look_fails(fd) ? -1 : pread(fd, buf, n, offset);
}

static int a_failing_fstat(int fd, struct stat *st)
{
	return look_fails(fd) ? -1 : fstat(fd, st);
}

static int no_fstatat(int dir, const char *name, struct stat *st, int flags)
{
	if (strstr(name, "valija-journal")) {
		errno = EIO;
		return -1;
	}
	return fstatat(dir, name, st, flags);
}

/* A disk that fails for a moment: the mailbox is not taken for one that another program changed,
 * which would be served half-written. */
static void a_mailbox_that_cannot_be_read(void **state)
{
	struct scratch *s = *state;
	int failures = 0;

	keep_cut(s);
	for (int n = 0; n < 24; n++) {
		struct maildrop_syscalls calls = quick;
		struct mbox_report report = {0};
		enum maildrop_status status;

		if (n % 2)
			calls.pread = a_failing_pread;
		else
			calls.fstat = a_failing_fstat;
		cut_again(s);
		notes[0] = '\0';
		looks_left = n / 2;
		s->settings.syscalls = &calls;
		status = mbox_recover(&s->settings, s->root, BOX, &report, NULL);
		s->settings.syscalls = &quick;
		failures += status != MAILDROP_OK;
		assert_string_equal(notes, "");
		assert_int_equal(files_aside(s), 0);
		assert_true(is_there(s, JOURNAL) || report.carried_out || status != MAILDROP_OK);
		recovered(s, MAILDROP_OK, "");
		assert_file(s, THREE "\n");
	}
	assert_true(failures >= 6);
}

/* One that cannot be looked for may be there: nothing is appended to what it would undo. */
static void a_journal_that_cannot_be_looked_for(void **state)
{
	struct maildrop_quota quota = {0};
	struct scratch *s = *state;
	struct maildrop_syscalls calls = quick;
	struct maildrop *m = NULL;
	struct err err = {0};

	keep_cut(s);
	cut_again(s);
	assert_int_equal(unlinkat(s->root, LOCK_FILE, 0), 0); /* by a person */
	calls.fstatat = no_fstatat;
	s->settings.syscalls = &calls;
	assert_int_equal(deliver(s, "A: b\r\n\r\nx\r\n", quota), MAILDROP_TEMP);
	s->settings.syscalls = &quick;
	recovered(s, MAILDROP_OK, "");
	assert_file(s, THREE "\n");
	cut_again(s);
	s->settings.syscalls = &calls;
	if (try_open(s, &m, &err) == MAILDROP_OK) { /* it was carried out */
		assert_int_equal(session_count(m), 1);
		maildrop_close(m);
	}
	s->settings.syscalls = &quick;
	recovered(s, MAILDROP_OK, "");
	assert_file(s, THREE "\n");
}

/* ---- what cannot be begun ---- */

static ssize_t no_journal(int fd, const void *buf, size_t n, off_t offset)
{
	char path[64], name[400];
	ssize_t size;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	size = readlink(path, name, sizeof(name) - 1);
	name[size < 0 ? 0 : size] = '\0';
	if (strstr(name, "valija-journal")) {
		errno = ENOSPC;
		return -1;
	}
	return pwrite(fd, buf, n, offset);
}

static void no_room_for_a_journal(void **state)
{
	struct scratch *s = *state;
	struct maildrop_syscalls calls = quick;

	put(s, ONE "\n" TWO "\n" THREE "\n", 0);
	calls.pwrite = no_journal;
	s->settings.syscalls = &calls;
	delete (s, 2, 0, true);
	s->settings.syscalls = &quick;
	assert_non_null(strstr(notes, ".box.valija-journal: cannot be written (make room on its "
				      "filesystem): No space left"));
	assert_false(is_there(s, JOURNAL) || is_there(s, LOCK_FILE));
	assert_file(s, ONE "\n" TWO "\n" THREE "\n");
	delete (s, 2, 0, true); /* the third, and what waits */
	assert_file(s, ONE "\n");
}

static int no_ftruncate(int fd, off_t size)
{
	(void)fd, (void)size;
	errno = EIO;
	return -1;
}

/* The last ones are cut off without a journal. */
static void the_last_ones(void **state)
{
	struct scratch *s = *state;
	struct maildrop_syscalls calls = quick;
	struct timespec times[2] = {{.tv_sec = 1000}, {.tv_sec = 2000, .tv_nsec = 9}};
	struct seen seen;
	struct stat st;

	put(s, ONE "\n" TWO "\n" THREE "\n", 0);
	assert_int_equal(utimensat(s->root, BOX, times, 0), 0);
	look(s, &seen);
	calls.ftruncate = no_ftruncate;
	s->settings.syscalls = &calls;
	delete (s, 2, 3, true);
	assert_non_null(strstr(notes, "mailbox alice/box: cannot be cut: Input/output error"));
	assert_false(is_there(s, JOURNAL));
	calls = quick;
	calls.fsync = one_failing_flush;
	flushes_left = 0;
	notes[0] = '\0';
	{
		struct maildrop *m = opened(s);

		maildrop_sweep(m);
		maildrop_close(m);
	}
	assert_non_null(strstr(notes, "mailbox alice/box: cannot be cut: Input/output error"));
	s->settings.syscalls = &quick;
	look(s, &seen);
	assert_int_equal(seen.count, 1);
	assert_file(s, ONE "\n");
	assert_int_equal(fstatat(s->root, BOX, &st, 0), 0);
	assert_int_equal(st.st_mtim.tv_sec, 2000);
	assert_int_equal(st.st_mtim.tv_nsec, 9);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin_noting, scratch_end)
	const struct CMUnitTest tests[] = {
		TEST(its_form),
		TEST(every_octet_that_is_damaged),
		TEST(versions),
		TEST(ends_that_are_missing),
		TEST(numbers_that_cannot_be),
		TEST(mailboxes_that_it_is_not_of),
		TEST(long_ones_are_moved),
		TEST(cut_off_at_every_write),
		TEST(recovering_without_a_flush),
		TEST(recovering_without_a_lock_file),
		TEST(a_mailbox_that_cannot_be_read),
		TEST(a_journal_that_cannot_be_looked_for),
		TEST(no_room_for_a_journal),
		TEST(the_last_ones),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
