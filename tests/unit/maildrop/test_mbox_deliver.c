/* Deliveries to mboxes: the "From " line, quotas at their edge, what is counted, and what happens
 * to the mailbox where one cannot be made. */
#include "mbox_test.h"

#include <time.h>

#define BODY "a: b\r\n\r\nx\r\n"

static char words[400];

static enum maildrop_status deliver_with(struct scratch *s, const char *headers,
					 struct maildrop_quota quota, char *ret_name)
{
	int fd = memfd_create("message", MFD_CLOEXEC);
	struct maildrop_delivery d = {.message_fd = fd,
				      .message_size = strlen(BODY),
				      .headers = {headers, strlen(headers)},
				      .quota = quota,
				      .ret_name = ret_name};
	enum maildrop_status status;
	struct err err = {0};

	assert_int_equal(write(fd, BODY, strlen(BODY)), strlen(BODY));
	status = maildrop_deliver(&s->settings, s->root, BOX, &d, &err);
	snprintf(words, sizeof(words), "%s", err.text);
	close(fd);
	return status;
}

/* Tries one of no quota: it does not come, and the mailbox is as it was. */
static void refused(struct scratch *s, enum maildrop_status wanted, const char *why)
{
	char name[MAILDROP_NAME_MAX] = "unchanged";

	assert_int_equal(deliver_with(s, "", (struct maildrop_quota){0}, name), wanted);
	if (!strstr(words, why))
		fail_msg("no \"%s\" in \"%s\"", why, words);
	assert_string_equal(name, "unchanged");
}

static void the_envelope(void **state)
{
	static const struct {
		const char *headers, *sender;
	} forms[] = {{"Return-Path: <b@c>\r\n", "b@c"},
		     {"Return-Path: <b c@d>\r\n", "b-c@d"},
		     {"Return-Path: <>\r\n", "MAILER-DAEMON"},
		     {"Return-Path: <b@c\r\n", "MAILER-DAEMON"},
		     {"Return-Path: <", "MAILER-DAEMON"},
		     {"Return-Path:", "MAILER-DAEMON"},
		     {"Delivered-To: <b@c>\r\n", "MAILER-DAEMON"},
		     {"", "MAILER-DAEMON"}};
	struct scratch *s = *state;
	char text[400], begins[64], name[MAILDROP_NAME_MAX];
	time_t now = time(NULL);

	for (size_t i = 0; i < sizeof(forms) / sizeof(*forms); i++) {
		size_t n = (size_t)snprintf(begins, sizeof(begins), "From %s ", forms[i].sender);
		struct tm tm = {0};
		int fd;

		put(s, "", O_TRUNC);
		assert_int_equal(
			deliver_with(s, forms[i].headers, (struct maildrop_quota){0}, name),
			MAILDROP_OK);
		assert_string_equal(name, "box");
		fd = openat(s->root, BOX, O_RDONLY | O_CLOEXEC);
		text[read(fd, text, sizeof(text) - 1)] = '\0';
		close(fd);
		assert_memory_equal(text, begins, n);
		assert_non_null(strptime(text + n, "%a %b %d %H:%M:%S %Y\n", &tm));
		assert_in_range(timegm(&tm), now - 60, now + 60);
	}
}

static struct maildrop_usage usage_of(struct scratch *s)
{
	struct maildrop_usage usage = {77, 77};

	assert_int_equal(maildrop_usage(&s->settings, s->root, BOX, &usage, NULL), MAILDROP_OK);
	return usage;
}

static void uses(struct scratch *s, uint64_t messages, uint64_t octets)
{
	struct maildrop_usage usage = usage_of(s);

	assert_int_equal(usage.messages, messages);
	assert_int_equal(usage.octets, octets);
}

#define PSEUDO \
	FROM "Subject: DON'T DELETE THIS MESSAGE -- FOLDER INTERNAL DATA\nX-IMAP: 1 2\n\nText\n\n"
/* of a message, what is behind its "From " line */
#define SIZE(message) (sizeof(message) - sizeof(FROM))

/* As the index has it, behind it, or where the file changed otherwise: the same is counted. */
static void what_is_used(void **state)
{
	struct scratch *s = *state;
	struct seen seen;

	uses(s, 0, 0); /* it is not there */
	put(s, "", 0);
	uses(s, 0, 0);
	put(s, PSEUDO ONE "\n" TWO "\n", O_TRUNC);
	uses(s, 2, SIZE(ONE) + SIZE(TWO)); /* no index */
	look(s, &seen);
	uses(s, 2, SIZE(ONE) + SIZE(TWO));
	put(s, THREE "\n" TWO "\n", O_APPEND);
	uses(s, 4, SIZE(ONE) + 2 * SIZE(TWO) + SIZE(THREE)); /* it grew */
	look(s, &seen);
	uses(s, 4, SIZE(ONE) + 2 * SIZE(TWO) + SIZE(THREE));
	delete (s, 1, 3, false); /* not swept yet */
	uses(s, 2, 2 * SIZE(TWO));
	put(s, TWO "\n", O_TRUNC);
	uses(s, 1, SIZE(TWO));
	put(s, PSEUDO, O_TRUNC);
	uses(s, 0, 0);
}

static ssize_t no_pread(int fd, void *buf, size_t n, off_t offset)
{
	(void)fd, (void)buf, (void)n, (void)offset;
	errno = EIO;
	return -1;
}

static void what_is_used_cannot_be_read(void **state)
{
	struct scratch *s = *state;
	struct maildrop_syscalls calls = maildrop_kernel;
	struct maildrop_usage usage = {77, 77};
	struct err err = {0};

	put(s, ONE "\n", 0);
	calls.pread = no_pread;
	s->settings.syscalls = &calls;
	assert_int_equal(maildrop_usage(&s->settings, s->root, BOX, &usage, &err), MAILDROP_TEMP);
	assert_non_null(strstr(err.text, "mailbox alice/box: cannot be read: Input/output error"));
	assert_int_equal(usage.messages, 77);
	assert_int_equal(deliver_with(s, "", (struct maildrop_quota){.max_messages = 99}, NULL),
			 MAILDROP_TEMP);
	s->settings.syscalls = NULL;
	assert_file(s, ONE "\n");
}

static void quotas_at_their_edge(void **state)
{
	static const char headers[] = "Return-Path: <b@c>\r\n";
	const uint64_t more = strlen(BODY) + strlen(headers);
	struct scratch *s = *state;
	uint64_t used;

	put(s, ONE "\n" TWO "\n", 0);
	used = usage_of(s).octets;
	assert_int_equal(deliver_with(s, headers,
				      (struct maildrop_quota){.max_octets = used + more - 1}, NULL),
			 MAILDROP_OVER_QUOTA);
	assert_string_equal(words, "mailbox alice/box: over quota");
	assert_int_equal(deliver_with(s, headers, (struct maildrop_quota){.max_messages = 2}, NULL),
			 MAILDROP_OVER_QUOTA);
	assert_int_equal(
		deliver_with(s, headers,
			     (struct maildrop_quota){.max_messages = 2, .max_octets = used + more},
			     NULL),
		MAILDROP_OVER_QUOTA);
	assert_file(s, ONE "\n" TWO "\n");
	assert_int_equal(
		deliver_with(s, headers,
			     (struct maildrop_quota){.max_messages = 3, .max_octets = used + more},
			     NULL),
		MAILDROP_OK);
}

/* ---- what cannot be done ---- */

static int one_failing_fsync(int fd)
{
	(void)fd;
	errno = EIO;
	return -1;
}

static void a_flush_that_fails(void **state)
{
	struct scratch *s = *state;
	struct maildrop_syscalls calls = maildrop_kernel;

	put(s, ONE "\n", 0);
	calls.fsync = one_failing_fsync;
	s->settings.syscalls = &calls;
	refused(s, MAILDROP_TEMP, "mailbox alice/box: cannot be flushed: Input/output error");
	s->settings.syscalls = NULL;
	assert_file(s, ONE "\n");
}

static ssize_t no_room(int fd, const void *buf, size_t n, off_t offset)
{
	(void)fd, (void)buf, (void)n, (void)offset;
	errno = ENOSPC;
	return -1;
}

static ssize_t no_quota(int fd, const void *buf, size_t n, off_t offset)
{
	(void)no_room(fd, buf, n, offset);
	errno = EDQUOT;
	return -1;
}

static void no_room_is_left(void **state)
{
	struct scratch *s = *state;
	struct maildrop_syscalls calls = maildrop_kernel;

	put(s, ONE "\n", 0);
	s->settings.syscalls = &calls;
	calls.pwrite = no_room;
	refused(s, MAILDROP_FULL, "cannot be appended to (make room on its filesystem): No space");
	calls.pwrite = no_quota;
	refused(s, MAILDROP_FULL, "cannot be appended to (make room on its filesystem): ");
	s->settings.syscalls = NULL;
	assert_file(s, ONE "\n");
}

/* A mailbox that may only be read. */
static int reading_openat(int dir, const char *path, int flags, mode_t mode)
{
	if (strcmp(path, "box") == 0 && (flags & O_ACCMODE) != O_RDONLY) {
		errno = EACCES;
		return -1;
	}
	return openat(dir, path, flags, mode);
}

static void a_mailbox_that_may_only_be_read(void **state)
{
	struct scratch *s = *state;
	struct maildrop_syscalls calls = maildrop_kernel;
	struct seen seen;

	put(s, ONE "\n" TWO "\n", 0);
	calls.openat = reading_openat;
	s->settings.syscalls = &calls;
	refused(s, MAILDROP_PERM, "mailbox alice/box: cannot be written to: Permission denied");
	uses(s, 2, SIZE(ONE) + SIZE(TWO));
	look(s, &seen);
	assert_int_equal(seen.count, 2);
	delete (s, 1, 0, true); /* it holds, but stays in the file */
	look(s, &seen);
	assert_int_equal(seen.count, 1);
	s->settings.syscalls = NULL;
	assert_file(s, ONE "\n" TWO "\n");
}

static void what_is_no_mbox(void **state)
{
	struct scratch *s = *state;

	put(s, "words\n", 0);
	refused(s, MAILDROP_PERM, "(it does not begin with a line \"From SENDER DATE\"");
	assert_file(s, "words\n");
}

/* Another program has it: the sender tries again. */
static void held_by_another_program(void **state)
{
	struct scratch *s = *state;
	int fd;

	put(s, ONE "\n", 0);
	fd = openat(s->root, BOX, O_RDWR | O_CLOEXEC);
	assert_int_equal(flock(fd, LOCK_EX), 0);
	refused(s, MAILDROP_TEMP, "the mailbox box is held by another program, by flock: try");
	close(fd);
	fd = openat(s->root, BOX ".lock", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	close(fd);
	refused(s, MAILDROP_TEMP, "is held by another program, by its lock file, .lock: try");
	assert_int_equal(unlinkat(s->root, BOX ".lock", 0), 0);
	assert_file(s, ONE "\n");
}

static int no_lock_at_all(int fd, int command, struct flock *lock)
{
	if (lock->l_type == F_UNLCK)
		return maildrop_kernel.lock(fd, command, lock);
	errno = ENOLCK;
	return -1;
}

/* That is no other program's lock: a person has to know why. */
static void a_lock_that_cannot_be_taken(void **state)
{
	struct maildrop_syscalls calls = maildrop_kernel;
	struct scratch *s = *state;

	put(s, ONE "\n", 0);
	calls.lock = no_lock_at_all;
	s->settings.syscalls = &calls;
	refused(s, MAILDROP_TEMP, "box cannot be locked by fcntl: No locks available");
	s->settings.syscalls = NULL;
	assert_file(s, ONE "\n");
}

/* A rewrite that was cut off, while a session has the mailbox that will finish it. */
static void a_journal_of_a_session(void **state)
{
	struct flock first = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1};
	struct scratch *s = *state;
	struct seen seen;
	int session;

	put(s, ONE "\n" TWO "\n" THREE "\n", 0);
	cut_off(s);
	session = openat(s->root, HOME "/.box.valija-lock", O_RDWR | O_CLOEXEC);
	assert_int_equal(fcntl(session, F_OFD_SETLK, &first), 0);
	refused(s, MAILDROP_TEMP, "");
	assert_int_equal(unlinkat(s->root, BOX ".lock", 0), 0);
	refused(s, MAILDROP_TEMP, "mailbox alice/box: is being put in order");
	close(session);
	assert_int_equal(deliver_with(s, "", (struct maildrop_quota){0}, NULL), MAILDROP_OK);
	look(s, &seen);
	assert_int_equal(seen.count, 3);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, scratch_end)
	const struct CMUnitTest tests[] = {
		TEST(the_envelope),
		TEST(what_is_used),
		TEST(what_is_used_cannot_be_read),
		TEST(quotas_at_their_edge),
		TEST(a_flush_that_fails),
		TEST(no_room_is_left),
		TEST(a_mailbox_that_may_only_be_read),
		TEST(what_is_no_mbox),
		TEST(held_by_another_program),
		TEST(a_lock_that_cannot_be_taken),
		TEST(a_journal_of_a_session),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
