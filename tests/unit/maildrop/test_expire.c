/* Which messages are too old: by which of their times, to the second, and how many at once. */
#include "maildrop_test.h"

#include "maildrop/deleted.h"
#include "maildrop/index/view.h"

#include <time.h>

enum { WEEK = 7 * 24 * 3600, NOW = 2000000000, LIMIT = NOW - WEEK };
enum { PORTION = 8192 }; /* that are deleted at once */

static time_t now_is;

time_t __wrap_time(time_t *ret);

time_t __wrap_time(time_t *ret)
{
	if (ret)
		*ret = now_is;
	return now_is;
}

static int begin(void **state)
{
	if (access("/dev/shm", W_OK) == 0)
		setenv("TMPDIR", "/dev/shm", 0);
	now_is = NOW;
	return scratch_begin(state);
}

static void came(struct scratch *s, const char *where, time_t seconds)
{
	struct timespec times[2] = {{.tv_sec = seconds}, {.tv_sec = seconds}};
	char path[300];

	snprintf(path, sizeof(path), HOME "/%s", where);
	assert_int_equal(utimensat(s->root, path, times, AT_SYMLINK_NOFOLLOW), 0);
}

static void put_of(struct scratch *s, const char *where, time_t seconds)
{
	put_file(s, where, "four");
	came(s, where, seconds);
}

struct old {
	unsigned count;
	uint64_t arrived; /* the last one's */
	char ids[400];
};

static void take_old(void *context, const char *id, uint64_t stored, uint64_t arrived)
{
	struct old *old = context;
	size_t used = strlen(old->ids);

	assert_int_equal(stored, 4);
	if (used + strlen(id) + 2 < sizeof(old->ids))
		snprintf(old->ids + used, sizeof(old->ids) - used, "%s ", id);
	old->arrived = arrived;
	old->count++;
}

/* What a session of now deletes. */
static struct old expired(struct scratch *s, struct maildrop *m)
{
	struct old listed = {0}, old = {0};
	struct err err = {0};

	assert_int_equal(maildrop_expire(m, true, take_old, &listed, &err), MAILDROP_OK);
	assert_int_equal(maildrop_expire(m, false, take_old, &old, &err), MAILDROP_OK);
	assert_memory_equal(&listed, &old, sizeof(old));
	maildrop_sweep(m);
	maildrop_close(m);
	return old;
}

static struct old expired_now(struct scratch *s)
{
	return expired(s, open_session(s));
}

static uint32_t left(struct scratch *s)
{
	struct maildrop *m = open_session(s);
	uint32_t count = session_count(m);

	maildrop_close(m);
	return count;
}

static void mailbox(struct scratch *s)
{
	make_maildir(s);
	s->settings.retention.delete_seconds = WEEK;
}

/* The later of both times counts; a message of exactly that age stays. */
static void test_times(void **state)
{
	static const struct {
		const char *name;
		time_t changed;
		uint64_t arrived; /* 0: it stays */
	} cases[] = {
		{"cur/m:2,", LIMIT - 1, LIMIT - 1},
		{"cur/m:2,", LIMIT, 0},
		{"cur/m:2,", 1, 1},
		{"new/m", LIMIT - 1, LIMIT - 1},
		{"cur/1999395199.m:2,", 1, LIMIT - 1},
		{"cur/1999395200.m:2,", 1, 0},
		{"cur/1999395201.m:2,", 1, 0},
		{"cur/1000.m:2,", 1001, 1001},
		{"cur/1000.m:2,", 1000, 1000},
		{"cur/1000.m:2,", 999, 1000},
		{"cur/1000.m:2,", LIMIT, 0},
		/* no program sets such a time: nobody knows when the message came */
		{"cur/1000.m:2,", 0, 0},
		{"cur/1000.m:2,", -1, 0},
		{"cur/m:2,", 0, 0},
	};
	struct scratch *s = *state;

	assert_int_equal(LIMIT, 1999395200);
	mailbox(s);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct old old;

		put_of(s, cases[i].name, cases[i].changed);
		old = expired_now(s);
		if (old.count != (cases[i].arrived != 0) || old.arrived != cases[i].arrived)
			fail_msg("case %zu: %u, at %llu", i, old.count,
				 (unsigned long long)old.arrived);
		assert_int_equal(left(s), cases[i].arrived == 0);
		assert_int_equal(has_file(s, cases[i].name), cases[i].arrived == 0);
		if (!cases[i].arrived)
			remove_file(s, cases[i].name);
		assert_int_equal(left(s), 0);
	}
}

/* A file that is not the one of the index says nothing of the message's age. */
static void test_a_file_in_the_place_of_a_message(void **state)
{
	struct scratch *s = *state;
	struct maildrop *m;
	struct old old;

	mailbox(s);
	put_of(s, "cur/1.m:2,", NOW);
	put_of(s, "cur/2.m:2,", 1000);
	m = open_session(s);
	put_of(s, "cur/1.m:2,", 1000);
	old = expired(s, m);
	assert_string_equal(old.ids, "2.m ");
	assert_true(has_file(s, "cur/1.m:2,"));
	/* the next login knows it */
	old = expired_now(s);
	assert_string_equal(old.ids, "1.m ");
	assert_int_equal(left(s), 0);
}

/* Files that are gone, or renamed by another program, are no old messages. */
static void test_files_that_are_elsewhere(void **state)
{
	struct scratch *s = *state;
	struct maildrop *m;
	struct old old;

	mailbox(s);
	put_of(s, "cur/1.m:2,", 1000);
	put_of(s, "cur/2.m:2,", 1000);
	put_of(s, "cur/3.m:2,", 1000);
	m = open_session(s);
	remove_file(s, "cur/1.m:2,");
	move_file(s, "cur/2.m:2,", "cur/2.m:2,S");
	old = expired(s, m);
	assert_string_equal(old.ids, "3.m ");
	assert_int_equal(left(s), 1);
	assert_true(has_file(s, "cur/2.m:2,S"));
}

/* Those that the session deleted itself are not deleted once more. */
static void test_messages_that_are_deleted_already(void **state)
{
	struct scratch *s = *state;
	struct old old = {0};
	struct maildrop *m;
	struct err err;

	mailbox(s);
	put_of(s, "cur/1.m:2,", 1000);
	put_of(s, "cur/2.m:2,", 1000);
	m = open_session(s);
	assert_int_equal(maildrop_commit(m, (uint32_t[]){1}, 1, &err), MAILDROP_OK);
	assert_int_equal(maildrop_expire(m, false, take_old, &old, &err), MAILDROP_OK);
	assert_string_equal(old.ids, "2.m ");
	maildrop_sweep(m);
	maildrop_close(m);
	assert_int_equal(left(s), 0);
}

/* Without a limit, or with one that reaches back before 1970, nothing is too old. */
static void test_limits(void **state)
{
	struct scratch *s = *state;

	mailbox(s);
	put_of(s, "cur/1.m:2,", 1000);
	s->settings.retention.delete_seconds = 0;
	assert_int_equal(expired_now(s).count, 0);
	s->settings.retention.delete_seconds = NOW + 1u;
	assert_int_equal(expired_now(s).count, 0);
	s->settings.retention.delete_seconds = NOW;
	assert_int_equal(expired_now(s).count, 0);
	s->settings.retention.delete_seconds = NOW - 1000;
	assert_int_equal(expired_now(s).count, 0);
	assert_int_equal(left(s), 1);
	s->settings.retention.delete_seconds = NOW - 1001;
	assert_int_equal(expired_now(s).count, 1);
}

/* Where the session's lock was taken away, another session may have the messages. */
static void test_a_lost_lock(void **state)
{
	struct scratch *s = *state;
	struct maildrop *m;

	mailbox(s);
	put_of(s, "cur/1.m:2,", 1000);
	m = open_session(s);
	remove_file(s, "valija-lock");
	assert_int_equal(expired(s, m).count, 0);
	assert_true(has_file(s, "cur/1.m:2,"));
}

static unsigned reads, failing_read; /* of an index; which one fails, 0: none */

static ssize_t one_failing_pread(int fd, void *buf, size_t n, off_t offset)
{
	if (++reads != failing_read)
		return pread(fd, buf, n, offset);
	errno = EIO;
	return -1;
}

/* An index that can be read in part is no list of what is old: all of them, or none. */
static void test_an_index_that_cannot_be_read(void **state)
{
	struct maildrop_syscalls calls = maildrop_kernel;
	struct scratch *s = *state;
	unsigned failures = 0;
	char where[40];

	mailbox(s);
	for (unsigned i = 0; i < 400; i++) {
		snprintf(where, sizeof(where), "cur/%u.m:2,", 1000 + i);
		put_of(s, where, 1000);
	}
	assert_int_equal(left(s), 400);
	calls.pread = one_failing_pread;
	s->settings.syscalls = &calls;
	for (unsigned at = 1; reads + 1 >= at; at++) {
		struct maildrop *m = open_session(s);
		enum maildrop_status status;
		struct err err = {0};
		struct old old = {0};

		reads = 0;
		failing_read = at;
		status = maildrop_expire(m, true, take_old, &old, &err);
		failing_read = 0;
		maildrop_close(m);
		if (status == MAILDROP_OK) {
			assert_true(old.count == 0 || old.count == 400);
			continue;
		}
		failures++;
		assert_int_equal(status, MAILDROP_TEMP);
		assert_non_null(strstr(err.text, "old messages cannot be deleted"));
	}
	assert_true(failures >= 2);
	assert_int_equal(expired_now(s).count, 400);
}

/* A second call goes on where the first one ended; a list without deletions is whole. */
static void test_portions(void **state)
{
	struct scratch *s = *state;
	struct old old = {0};
	struct maildrop *m;
	struct err err;
	char where[40];

	mailbox(s);
	for (unsigned i = 0; i < PORTION + 2; i++) {
		snprintf(where, sizeof(where), "cur/%u.m:2,", 1000 + i);
		put_of(s, where, 1000);
	}
	m = open_session(s);
	assert_int_equal(maildrop_expire(m, true, take_old, &old, &err), MAILDROP_OK);
	assert_int_equal(old.count, PORTION + 2);
	old.count = 0;
	assert_int_equal(maildrop_expire(m, false, take_old, &old, &err), MAILDROP_WAIT);
	assert_int_equal(old.count, PORTION);
	maildrop_sweep(m);
	maildrop_close(m);
	assert_int_equal(left(s), 2);
	assert_int_equal(count_files(s, "cur", NULL), 2);
	assert_int_equal(expired_now(s).count, 2);
	assert_int_equal(left(s), 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, scratch_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_times),
		TEST(test_a_file_in_the_place_of_a_message),
		TEST(test_files_that_are_elsewhere),
		TEST(test_messages_that_are_deleted_already),
		TEST(test_limits),
		TEST(test_a_lost_lock),
		TEST(test_an_index_that_cannot_be_read),
		TEST(test_portions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
