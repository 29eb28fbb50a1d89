/* Delivery: what is stored is what came, where it came from does not matter, and a refusal leaves
 * nothing behind. */
#include "maildrop_test.h"

#include <pop3/message.h>
#include <pthread.h>

static const struct maildrop_quota no_quota;

/* The wire form of a stored message, as a front would send it, without stuffing undone. */
static size_t wire_form(struct maildrop *m, uint32_t number, char *out, size_t size)
{
	static char stored[300000];
	struct pop3_encoder encoder;
	size_t n;

	assert_int_equal(read_body(m, number, stored, sizeof(stored)), MAILDROP_OK);
	pop3_span in = {stored, 0};
	struct maildrop_body body;

	assert_int_equal(maildrop_body(m, number, &body, NULL), MAILDROP_OK);
	close(body.fd);
	in.size = body.stored;
	pop3_encoder_init(&encoder, POP3_ALL_LINES);
	n = pop3_encoder_run(&encoder, &in, out, size);
	assert_int_equal(in.size, 0);
	assert_int_equal(encoder.octets, body.octets);
	if (body.wire_form)
		assert_memory_equal(out, stored, body.stored);
	return n;
}

static void what_came_is_served(void **state)
{
	static const char *const messages[] = {
		"Subject: a\r\n\r\nbody\r\n",
		"Subject: a\r\n\r\nCR at the end of a line\r\r\nnext\r\r\r\n\r\n",
		"Subject: a\r\n\r\na bare \r in a line\r\n",
		"\r\n",
		"\r\r\n",
		"Subject: 8 bit \xc3\xa4\xff\r\n\r\n\r\n\r\n",
	};
	struct scratch *s = *state;

	for (int crlf = 0; crlf < 2; crlf++) {
		char expected[400], got[400];
		struct maildrop *m;

		s->settings.store_crlf = crlf;
		for (size_t i = 0; i < sizeof(messages) / sizeof(*messages); i++)
			assert_int_equal(deliver_text(s, messages[i], no_quota, NULL), MAILDROP_OK);
		m = open_session(s);
		assert_int_equal(session_count(m), (crlf + 1) * 6);
		for (uint32_t i = 0; i < 6; i++) {
			size_t n = wire_form(m, (uint32_t)crlf * 6 + i + 1, got, sizeof(got));

			snprintf(expected, sizeof(expected), "Delivered-To: alice\r\n%s",
				 messages[i]);
			assert_int_equal(n, strlen(expected));
			assert_memory_equal(got, expected, n);
			assert_int_equal(session_entry(m, (uint32_t)crlf * 6 + i + 1).octets, n);
		}
		maildrop_sweep(m);
		maildrop_close(m);
	}
}

static void names_carry_true_sizes(void **state)
{
	struct scratch *s = *state;
	char name[256], fields[64];
	struct stat st;

	assert_int_equal(deliver_text(s, "A: b\r\n\r\n1\r\n2\r\n", no_quota, NULL), MAILDROP_OK);
	assert_int_equal(count_files(s, "new", name), 1);
	assert_int_equal(count_files(s, "tmp", NULL), 0);
	snprintf(fields, sizeof(fields), ",S=%d,W=%d", 20 + 5 + 1 + 4, 21 + 6 + 2 + 6);
	assert_non_null(strstr(name, fields));
	assert_non_null(strstr(name, "mail.example.org"));
	assert_int_equal(fstatat(s->root, HOME "/new", &st, 0), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
}

struct many {
	struct scratch *s;
	int failures;
};

static void *deliver_some(void *argument)
{
	struct many *many = argument;
	char text[100];

	for (int i = 0; i < 25; i++) {
		snprintf(text, sizeof(text), "N: %d\r\n\r\n", i);
		if (deliver_text(many->s, text, no_quota, NULL) != MAILDROP_OK)
			many->failures++;
	}
	return NULL;
}

static void many_at_once(void **state)
{
	struct scratch *s = *state;
	struct maildrop *m = open_session(s);
	struct many many[4];
	pthread_t threads[4];

	for (int i = 0; i < 4; i++) {
		many[i] = (struct many){s, 0};
		assert_int_equal(pthread_create(&threads[i], NULL, deliver_some, &many[i]), 0);
	}
	for (int i = 0; i < 4; i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(many[i].failures, 0);
	}
	/* the session saw nothing of it */
	assert_int_equal(session_count(m), 0);
	maildrop_close(m);
	m = open_session(s);
	assert_int_equal(session_count(m), 100);
	for (uint32_t i = 1; i <= 100; i++) {
		char text[100];

		assert_int_equal(read_body(m, i, text, sizeof(text)), MAILDROP_OK);
	}
	maildrop_close(m);
}

static void quota_counts_everything_that_is_there(void **state)
{
	const struct maildrop_quota three = {.max_messages = 3}, octets = {.max_octets = 100};
	struct scratch *s = *state;
	struct err err = {0};
	char big[200];

	make_maildir(s);
	put_file(s, "new/1.theirs", "0123456789012345678901234567890123456789");
	put_file(s, "cur/2.theirs:2,S", "x");
	assert_int_equal(deliver_text(s, "A: b\r\n\r\n", three, &err), MAILDROP_OK);
	assert_int_equal(deliver_text(s, "A: b\r\n\r\n", three, &err), MAILDROP_OVER_QUOTA);
	assert_non_null(strstr(err.text, HOME));
	remove_file(s, "cur/2.theirs:2,S");
	assert_int_equal(deliver_text(s, "A: b\r\n\r\n", three, &err), MAILDROP_OK);
	/* 40 + 26 + 26 = 92 octets stored */
	assert_int_equal(deliver_text(s, "A: b\r\n\r\n", octets, &err), MAILDROP_OVER_QUOTA);
	remove_file(s, "new/1.theirs");
	assert_int_equal(deliver_text(s, "A: b\r\n\r\n", octets, &err), MAILDROP_OK);
	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	assert_int_equal(deliver_text(s, big, octets, &err), MAILDROP_OVER_QUOTA);
	assert_int_equal(count_files(s, "tmp", NULL), 0);
}

/* Half a message is none: the file ends before the size that was announced. */
static void a_short_message_file_is_no_message(void **state)
{
	struct maildrop_delivery delivery = {.message_size = 100};
	struct scratch *s = *state;
	struct err err;
	char path[160];

	make_maildir(s);
	snprintf(path, sizeof(path), "%s/message-XXXXXX", s->path);
	delivery.message_fd = mkstemp(path);
	assert_int_equal(write(delivery.message_fd, "A: b\r\n", 6), 6);
	assert_int_equal(maildrop_deliver(&s->settings, s->root, HOME, &delivery, &err),
			 MAILDROP_TEMP);
	close(delivery.message_fd);
	assert_int_equal(count_files(s, "tmp", NULL), 0);
	assert_int_equal(count_files(s, "new", NULL), 0);
}

static void long_messages_and_odd_borders(void **state)
{
	enum { SIZE = 200000 };
	struct scratch *s = *state;
	char *text = malloc(SIZE + 1), *got = malloc(2 * SIZE);
	struct maildrop *m;

	/* CR, LF and dots fall on every border of a buffer sooner or later */
	for (int shift = 0; shift < 3; shift++) {
		size_t at = 0;

		while (at + 8 < SIZE) {
			memcpy(text + at, "\r\r\n.\r\nx", 7);
			at += 5 + (at + (size_t)shift) % 3;
		}
		memcpy(text + at, "\r\n", 3);
		assert_int_equal(deliver_text(s, text, no_quota, NULL), MAILDROP_OK);
		m = open_session(s);
		assert_int_equal(session_entry(m, (uint32_t)shift + 1).octets,
				 strlen("Delivered-To: alice\r\n") + strlen(text));
		assert_true(wire_form(m, (uint32_t)shift + 1, got, 2 * SIZE) >= strlen(text));
		maildrop_close(m);
	}
	free(text);
	free(got);
}

static void a_log_that_nobody_reads_is_shortened(void **state)
{
	struct scratch *s = *state;
	struct maildrop *m;
	struct stat st;

	for (int i = 0; i < 700; i++)
		assert_int_equal(deliver_text(s, "A: b\r\n\r\n", no_quota, NULL), MAILDROP_OK);
	assert_int_equal(fstatat(s->root, HOME "/valija-delta", &st, 0), 0);
	assert_true(st.st_size < 80000);
	m = open_session(s);
	assert_int_equal(session_count(m), 700);
	maildrop_sweep(m);
	maildrop_close(m);
	assert_int_equal(count_files(s, "new", NULL), 0);
	assert_int_equal(count_files(s, "cur", NULL), 700);
}

static int no_such_call(int a, const char *b, int c, const char *d, unsigned flags)
{
	if (flags) {
		errno = EINVAL; /* as NFS says to RENAME_NOREPLACE */
		return -1;
	}
	return renameat2(a, b, c, d, flags);
}

static void a_simple_filesystem_will_do(void **state)
{
	struct maildrop_syscalls simple = maildrop_kernel;
	struct scratch *s = *state;
	struct maildrop *m;

	simple.renameat2 = no_such_call;
	s->settings.syscalls = &simple;
	assert_int_equal(deliver_text(s, "A: b\r\n\r\n", no_quota, NULL), MAILDROP_OK);
	m = open_session(s);
	assert_int_equal(session_count(m), 1);
	maildrop_sweep(m);
	maildrop_close(m);
	assert_int_equal(count_files(s, "cur", NULL), 1);
}

static void a_maildrop_of_somebody_else_says_so(void **state)
{
	struct scratch *s = *state;
	struct err err = {0};

	if (geteuid() == 0)
		skip(); /* root may write everywhere */
	make_maildir(s);
	assert_int_equal(fchmodat(s->root, HOME, 0500, 0), 0);
	assert_int_equal(deliver_text(s, "A: b\r\n\r\n", no_quota, &err), MAILDROP_PERM);
	assert_non_null(strstr(err.text, HOME));
	assert_non_null(strstr(err.text, "uid"));
	assert_int_equal(fchmodat(s->root, HOME, 0700, 0), 0);
}

/* Another process makes the maildrop and delivers, just before the call with this number. */
static struct {
	struct scratch *scratch; /* NULL: it has */
	unsigned calls, at;
} other;

static void other_turn(void)
{
	struct scratch *s = other.scratch;
	const struct maildrop_syscalls *ours;

	if (!s || ++other.calls < other.at)
		return;
	other.scratch = NULL;
	ours = s->settings.syscalls;
	s->settings.syscalls = &maildrop_kernel;
	assert_int_equal(deliver_text(s, "A: theirs\r\n\r\n", no_quota, NULL), MAILDROP_OK);
	s->settings.syscalls = ours;
}

static int turn_openat(int dir, const char *path, int flags, mode_t mode)
{
	other_turn();
	return openat(dir, path, flags, mode);
}

static int turn_fstatat(int dir, const char *name, struct stat *st, int flags)
{
	other_turn();
	return fstatat(dir, name, st, flags);
}

static int turn_mkdirat(int dir, const char *name, mode_t mode)
{
	other_turn();
	return mkdirat(dir, name, mode);
}

static ssize_t turn_getdents64(int fd, void *buf, size_t n)
{
	other_turn();
	return maildrop_kernel.getdents64(fd, buf, n);
}

static int turn_fsync(int fd)
{
	other_turn();
	return fsync(fd);
}

/* Whenever the other one comes: this one goes on with what it finds. has_folder: an empty folder is
 * there already. */
static void made_by_two(struct scratch *s, bool has_folder)
{
	struct maildrop_syscalls turns = maildrop_kernel;
	bool over = false;
	struct err err;

	turns.openat = turn_openat;
	turns.fstatat = turn_fstatat;
	turns.mkdirat = turn_mkdirat;
	turns.getdents64 = turn_getdents64;
	turns.fsync = turn_fsync;
	for (unsigned at = 1; !over; at++) {
		char path[200];
		enum maildrop_status status;

		if (has_folder)
			assert_int_equal(mkdirat(s->root, HOME, 0700), 0);
		other.scratch = s;
		other.calls = 0;
		other.at = at;
		s->settings.syscalls = &turns;
		status = maildrop_make(&s->settings, s->root, HOME, &err);
		if (status != MAILDROP_OK)
			fail_msg("before call %u: %s", at, err.text);
		over = other.scratch != NULL; /* all calls were tried */
		other.scratch = NULL;
		assert_int_equal(deliver_text(s, "A: ours\r\n\r\n", no_quota, NULL), MAILDROP_OK);
		s->settings.syscalls = NULL;
		assert_int_equal(count_files(s, "new", NULL), over ? 1 : 2);
		snprintf(path, sizeof(path), "%s/" HOME, s->path);
		nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
	}
}

static void a_maildrop_is_made_by_two_at_once(void **state)
{
	made_by_two(*state, false);
}

static void a_folder_is_made_a_maildrop_by_two_at_once(void **state)
{
	made_by_two(*state, true);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, scratch_begin, scratch_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_came_is_served),
		TEST(names_carry_true_sizes),
		TEST(many_at_once),
		TEST(quota_counts_everything_that_is_there),
		TEST(a_short_message_file_is_no_message),
		TEST(long_messages_and_odd_borders),
		TEST(a_log_that_nobody_reads_is_shortened),
		TEST(a_simple_filesystem_will_do),
		TEST(a_maildrop_of_somebody_else_says_so),
		TEST(a_maildrop_is_made_by_two_at_once),
		TEST(a_folder_is_made_a_maildrop_by_two_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
