/*
 * maildrop_open_now: what is in memory and in order is opened as maildrop_open would; whatever else
 * there is is left as it was, and nothing is held afterwards.
 */
#include "maildrop_test.h"

#include "maildrop/index/write.h"

#include <time.h>

#define MESSAGES 3
#define PAGE 4096

static void fill(struct scratch *s)
{
	make_maildir(s);
	put_file(s, "cur/1.a:2,S", "a\n");
	put_file(s, "cur/2.b:2,", "b, longer\n");
	put_file(s, "cur/3.c:2,", ".c\n");
}

static void settle(struct scratch *s)
{
	struct maildrop *m = open_session(s);

	maildrop_sweep(m);
	maildrop_close(m);
}

static enum maildrop_status open_now(struct scratch *s, struct maildrop **ret)
{
	return maildrop_open_now(&s->settings, s->root, HOME, ret);
}

/* A directory that changed within the clock's last tick is looked at again by the next session. */
static void warm(struct scratch *s)
{
	const struct timespec tick = {.tv_nsec = 2000000};
	struct maildrop *m;

	for (int i = 0; i < 1000; i++) {
		settle(s);
		if (open_now(s, &m) == MAILDROP_OK) {
			maildrop_close(m);
			return;
		}
		nanosleep(&tick, NULL);
	}
	fail_msg("it never came to rest");
}

static int count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int n = 0;

	assert_non_null(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

static struct {
	char text[8192];
	size_t size;
} * listing;

static int list_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)type, (void)ftw;
	listing->size += (size_t)snprintf(
		listing->text + listing->size, sizeof(listing->text) - listing->size,
		"%s %ju %ju %lld.%ld\n", path, (uintmax_t)st->st_ino, (uintmax_t)st->st_size,
		(long long)st->st_ctim.tv_sec, st->st_ctim.tv_nsec);
	assert_true(listing->size < sizeof(listing->text));
	return 0;
}

/* All that there is and when it changed. */
static char *list(struct scratch *s)
{
	listing = calloc(1, sizeof(*listing));
	assert_non_null(listing);
	assert_int_equal(nftw(s->path, list_entry, 16, FTW_PHYS), 0);
	return listing->text;
}

static void assert_left_alone(struct scratch *s, enum maildrop_status expected)
{
	int fds = count_fds();
	char *before = list(s), *after;
	struct maildrop *m = NULL;

	assert_int_equal(open_now(s, &m), expected);
	assert_null(m);
	after = list(s);
	assert_string_equal(before, after);
	assert_int_equal(count_fds(), fds);
	free(before);
	free(after);
}

static void a_warm_maildrop_is_opened_as_ever(void **state)
{
	static const uint32_t numbers[] = {2};
	struct scratch *s = *state;
	struct maildrop_snapshot then, now;
	struct maildrop *m;
	char text[100], *before, *after;
	int fds;

	fill(s);
	warm(s);
	m = open_session(s);
	maildrop_snapshot(m, &then);
	maildrop_close(m);
	fds = count_fds();
	before = list(s);
	assert_int_equal(open_now(s, &m), MAILDROP_OK);
	maildrop_snapshot(m, &now);
	assert_int_equal(now.count, MESSAGES);
	assert_int_equal(now.count, then.count);
	assert_int_equal(now.octets, then.octets);
	assert_int_equal(now.delta_size, then.delta_size);
	assert_entry(m, 1, "1.a", 3);
	assert_entry(m, 3, "3.c", 4);
	maildrop_close(m);
	assert_int_equal(count_fds(), fds);
	after = list(s);
	assert_string_equal(before, after);
	free(before);
	free(after);

	/* it is a session like another */
	assert_int_equal(open_now(s, &m), MAILDROP_OK);
	assert_int_equal(read_body(m, 2, text, sizeof(text)), MAILDROP_OK);
	assert_string_equal(text, "b, longer\n");
	assert_int_equal(maildrop_commit(m, numbers, 1, NULL), MAILDROP_OK);
	maildrop_sweep(m);
	maildrop_close(m);
	assert_false(has_file(s, "cur/2.b:2,"));
	warm(s);
	assert_int_equal(open_now(s, &m), MAILDROP_OK);
	assert_int_equal(session_count(m), MESSAGES - 1);
	maildrop_close(m);
}

static void body_now(struct maildrop *m, uint32_t number, const char *expected)
{
	struct maildrop_body body;
	char text[100] = "";

	assert_int_equal(maildrop_body_now(m, number, &body), MAILDROP_OK);
	assert_int_equal(body.stored, strlen(expected));
	assert_int_equal(pread(body.fd, text, sizeof(text) - 1, (off_t)body.offset),
			 strlen(expected));
	assert_string_equal(text, expected);
	close(body.fd);
}

static void each_message_of_a_warm_maildrop_is_there_at_once(void **state)
{
	struct scratch *s = *state;
	struct maildrop_body body;
	struct maildrop *m;

	fill(s);
	warm(s);
	assert_int_equal(open_now(s, &m), MAILDROP_OK);
	body_now(m, 1, "a\n");
	body_now(m, 2, "b, longer\n");
	body_now(m, MESSAGES, ".c\n");
	assert_int_equal(maildrop_body_now(m, 0, &body), MAILDROP_WAIT);
	assert_int_equal(maildrop_body_now(m, MESSAGES + 1, &body), MAILDROP_WAIT);
	maildrop_close(m);
}

static void one_session_at_a_time(void **state)
{
	struct scratch *s = *state;
	struct maildrop *m, *other;

	fill(s);
	warm(s);
	m = open_session(s);
	assert_left_alone(s, MAILDROP_IN_USE);
	maildrop_close(m);
	assert_int_equal(open_now(s, &m), MAILDROP_OK);
	assert_left_alone(s, MAILDROP_IN_USE);
	assert_int_equal(maildrop_open(&s->settings, s->root, HOME, &other, NULL), MAILDROP_IN_USE);
	maildrop_close(m);
}

static void no_maildrop_is_made(void **state)
{
	struct scratch *s = *state;

	assert_left_alone(s, MAILDROP_WAIT);
	make_maildir(s); /* no lock file, no index */
	assert_left_alone(s, MAILDROP_WAIT);
}

static void spoil(struct scratch *s, const char *name, off_t offset)
{
	char path[100], octet;
	int fd;

	snprintf(path, sizeof(path), HOME "/%s", name);
	fd = openat(s->root, path, O_RDWR | O_CLOEXEC);
	assert_int_equal(pread(fd, &octet, 1, offset), 1);
	octet ^= 1;
	assert_int_equal(pwrite(fd, &octet, 1, offset), 1);
	close(fd);
}

static void add_words(struct scratch *s, const char *name, const char *words)
{
	char path[100];
	int fd;

	snprintf(path, sizeof(path), HOME "/%s", name);
	fd = openat(s->root, path, O_WRONLY | O_APPEND | O_CLOEXEC);
	assert_int_equal(write(fd, words, strlen(words)), (ssize_t)strlen(words));
	close(fd);
}

static void mail_in_new(struct scratch *s)
{
	put_file(s, "new/4.d", "d\n");
}

static void mail_in_cur(struct scratch *s)
{
	put_file(s, "cur/4.d:2,", "d\n");
}

static void mail_is_gone(struct scratch *s)
{
	remove_file(s, "cur/2.b:2,");
}

static void a_flag(struct scratch *s)
{
	move_file(s, "cur/2.b:2,", "cur/2.b:2,S");
}

static void a_bad_base(struct scratch *s)
{
	spoil(s, "valija-base", 8);
}

static void a_bad_log(struct scratch *s)
{
	spoil(s, "valija-delta", 40);
}

static void words_behind_the_log(struct scratch *s)
{
	add_words(s, "valija-delta", "half a record");
}

static void no_base(struct scratch *s)
{
	remove_file(s, "valija-base");
}

static void no_log(struct scratch *s)
{
	remove_file(s, "valija-delta");
}

static void no_lock(struct scratch *s)
{
	remove_file(s, "valija-lock");
}

static void not_flushed(struct scratch *s)
{
	remove_file(s, "valija-base");
	maildrop_close(open_session(s));
}

static void mail_delivered(struct scratch *s)
{
	assert_int_equal(deliver_text(s, "A: b\r\n\r\n", (struct maildrop_quota){0}, NULL),
			 MAILDROP_OK);
	spoil(s, "valija-delta", 40);
}

/* Whatever it is, the long way in finds all the mail there is. */
static void what_needs_work_is_left_alone(void **state)
{
	static const struct {
		void (*change)(struct scratch *s);
		uint32_t count;
	} cases[] = {
		{mail_in_new, MESSAGES + 1},
		{mail_in_cur, MESSAGES + 1},
		{mail_is_gone, MESSAGES - 1},
		{a_flag, MESSAGES},
		{a_bad_base, MESSAGES},
		{a_bad_log, MESSAGES},
		{words_behind_the_log, MESSAGES},
		{no_base, MESSAGES},
		{no_log, MESSAGES},
		{no_lock, MESSAGES},
		{not_flushed, MESSAGES},
		{mail_delivered, MESSAGES + 1},
	};
	struct scratch *s = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char path[160];
		struct maildrop *m;

		fill(s);
		warm(s);
		cases[i].change(s);
		assert_left_alone(s, MAILDROP_WAIT);
		m = open_session(s);
		assert_int_equal(session_count(m), cases[i].count);
		maildrop_close(m);
		snprintf(path, sizeof(path), "%s/" HOME, s->path);
		nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
	}
}

/* Changes that mean nothing; returns how long the log is then. */
static uint64_t lengthen(struct scratch *s, unsigned changes)
{
	int base = openat(s->root, HOME "/valija-base", O_RDONLY | O_CLOEXEC);
	int delta = openat(s->root, HOME "/valija-delta", O_RDWR | O_CLOEXEC);
	struct index_batch batch = {0};
	struct index index;
	struct stat st;

	assert_int_equal(index_open(&index, &maildrop_kernel, base, delta, UINT64_MAX, NULL), 0);
	for (unsigned i = 0; i < changes; i++)
		index_batch_add(&batch, &(struct index_change){.kind = CHANGE_VERIFIED});
	assert_true(index_batch_write(&batch, &maildrop_kernel, delta, index.header.id,
				      index.delta.size) > 0);
	assert_int_equal(fsync(delta), 0);
	assert_int_equal(fstat(delta, &st), 0);
	index_batch_finish(&batch);
	index_close(&index);
	close(base);
	close(delta);
	return (uint64_t)st.st_size;
}

static void a_long_log_takes_its_time(void **state)
{
	struct scratch *s = *state;
	struct maildrop *m;

	fill(s);
	warm(s);
	assert_true(lengthen(s, 10) < 64 * 1024);
	assert_int_equal(open_now(s, &m), MAILDROP_OK);
	maildrop_close(m);
	assert_true(lengthen(s, 8000) > 64 * 1024);
	assert_left_alone(s, MAILDROP_WAIT);
	assert_int_equal(session_count(m = open_session(s)), MESSAGES);
	maildrop_close(m);
}

/* A log of which only the first page is in memory, where that page ends with a whole group. */
static void half_a_log_is_not_a_log(void **state)
{
	struct scratch *s = *state;
	uint64_t size, one, two;
	enum maildrop_status status;
	struct maildrop *m;
	int fd;

	fill(s);
	warm(s);
	one = lengthen(s, 1);
	two = lengthen(s, 1) - one; /* a group of one */
	size = one + two;
	while (PAGE - size > 2 * two || (PAGE - size) % two)
		size = lengthen(s, (PAGE - size) % two ? 2 : 1);
	while (size < PAGE)
		size = lengthen(s, 1);
	if (size != PAGE)
		skip(); /* groups have got other sizes: a log without a page's end between two */
	size = lengthen(s, 1);
	fd = openat(s->root, HOME "/valija-delta", O_RDONLY | O_CLOEXEC);
	posix_fadvise(fd, PAGE, 0, POSIX_FADV_DONTNEED);
	close(fd);
	status = open_now(s, &m);
	if (status == MAILDROP_OK) { /* this kernel keeps more than was asked for */
		struct maildrop_snapshot snapshot;

		maildrop_snapshot(m, &snapshot);
		assert_int_equal(snapshot.delta_size, size);
		maildrop_close(m);
		skip();
	}
	assert_int_equal(status, MAILDROP_WAIT);
	m = open_session(s);
	assert_int_equal(session_count(m), MESSAGES);
	maildrop_close(m);
}

static void links_and_odd_homes_are_left_alone(void **state)
{
	static const char *const homes[] = {"", ".", "..", "/" HOME, HOME "/", HOME "/../" HOME};
	struct scratch *s = *state;
	struct maildrop *m = NULL;

	fill(s);
	warm(s);
	for (size_t i = 0; i < sizeof(homes) / sizeof(*homes); i++)
		assert_int_equal(maildrop_open_now(&s->settings, s->root, homes[i], &m),
				 MAILDROP_WAIT);
	assert_int_equal(symlinkat(HOME, s->root, "bob"), 0);
	assert_int_equal(maildrop_open_now(&s->settings, s->root, "bob", &m), MAILDROP_WAIT);
	move_file(s, "valija-lock", "elsewhere");
	assert_int_equal(symlinkat("elsewhere", s->root, HOME "/valija-lock"), 0);
	assert_left_alone(s, MAILDROP_WAIT);
	assert_null(m);
}

static int other_openat(int dir, const char *path, int flags, mode_t mode)
{
	return maildrop_kernel.openat(dir, path, flags, mode);
}

static void only_where_memory_answers(void **state)
{
	struct maildrop_syscalls calls = maildrop_kernel;
	struct scratch *s = *state;

	fill(s);
	warm(s);
	s->settings.local = false;
	assert_left_alone(s, MAILDROP_WAIT);
	s->settings.local = true;
	calls.openat = other_openat;
	s->settings.syscalls = &calls;
	assert_left_alone(s, MAILDROP_WAIT);
}

static unsigned flushes;

static int counted_fdatasync(int fd)
{
	flushes++;
	return maildrop_kernel.fdatasync(fd);
}

/* As a keeper has it: the table is another one, but reads as the kernel does. However the session
 * was opened, messages are there at once, and the flush of its deletions is that table's. */
static void a_table_that_counts_flushes(void **state)
{
	struct maildrop_syscalls calls = maildrop_kernel;
	struct scratch *s = *state;
	struct maildrop_body body;
	struct maildrop *m;
	uint32_t first = 1;

	calls.fdatasync = counted_fdatasync;
	s->settings.syscalls = &calls;
	fill(s);
	warm(s);
	for (int now = 0; now <= 1; now++) {
		if (now)
			assert_int_equal(maildrop_open_now(&s->settings, s->root, HOME, &m),
					 MAILDROP_OK);
		else
			assert_int_equal(maildrop_open(&s->settings, s->root, HOME, &m, NULL),
					 MAILDROP_OK);
		assert_int_equal(maildrop_body_now(m, 1, &body), MAILDROP_OK);
		close(body.fd);
		flushes = 0;
		if (now)
			assert_int_equal(maildrop_commit(m, &first, 1, NULL), MAILDROP_OK);
		assert_int_equal(flushes, now);
		maildrop_close(m);
	}
}

/* On other filesystems it is never tried. */
static int local_begin(void **state)
{
	struct scratch *s;

	if (scratch_begin(state) < 0)
		return -1;
	s = *state;
	s->settings.local = maildrop_is_local(s->root);
	return 0;
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, local_begin, scratch_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_warm_maildrop_is_opened_as_ever),
		TEST(each_message_of_a_warm_maildrop_is_there_at_once),
		TEST(one_session_at_a_time),
		TEST(no_maildrop_is_made),
		TEST(what_needs_work_is_left_alone),
		TEST(a_long_log_takes_its_time),
		TEST(half_a_log_is_not_a_log),
		TEST(links_and_odd_homes_are_left_alone),
		TEST(only_where_memory_answers),
		TEST(a_table_that_counts_flushes),
	};
	struct scratch *s = NULL;
	bool local;

	if (local_begin((void **)&s) < 0)
		return 1;
	local = s->settings.local;
	scratch_end((void **)&s);
	return local ? cmocka_run_group_tests(tests, NULL, NULL) : 77;
}
