/* The process that makes lock files. The test plays the monitor and keepers; the folder of the
 * mailboxes is the role's mail folder, and mailboxes belong to the user of the test. */
#include "role_test.h"

#include "server/locker/locker.h"

#define KEY "0123456789abcdef0123456789abcdef"

static struct role_peer *keeper, *stranger;
static uint64_t number;

static int begin(void **state)
{
	(void)state;
	role_begin(&locker_role, false);
	role_directory(DIRECTORY_MAIL, 0, role.mail_fd);
	keeper = role_peer(ROLE_KEEPER, geteuid());
	stranger = role_peer(ROLE_KEEPER, geteuid() + 1);
	role_go();
	role_write("mail/box", "");
	role_write("mail/other", "");
	return 0;
}

static uint32_t ask(struct role_peer *from, enum ipc_lock_what what, const char *name,
		    const char *key)
{
	struct ipc_lock message = {.number = ++number, .what = what};
	const struct ipc_lock_answer *answer;

	ROLE_SEND_TEXTS(from, IPC_LOCK, &message, name, key);
	answer = role_expect(from, IPC_LOCK_ANSWER);
	assert_true(answer->number == number);
	return answer->errnum;
}

static bool is_there(const char *name)
{
	return faccessat(role.mail_fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* The locker has seen that a keeper is gone. */
static void expect_gone(const char *name)
{
	for (int ms = 0; is_there(name); ms++) {
		assert_true(ms < ROLE_PATIENCE_MS);
		usleep(1000);
	}
}

static const char *text_of(const char *name)
{
	static char text[512];
	int fd = openat(role.mail_fd, name, O_RDONLY | O_CLOEXEC);
	ssize_t n = read(fd, text, sizeof(text) - 1);

	assert_true(n >= 0);
	text[n] = '\0';
	close(fd);
	return text;
}

static void take_and_release(void **state)
{
	(void)state;
	assert_int_equal(ask(keeper, LOCK_TAKE, "box", ""), 0);
	assert_int_equal(atoi(text_of("box.lock")), role.pid);
	assert_int_equal(ask(keeper, LOCK_TAKE, "box", ""), EEXIST);
	assert_int_equal(ask(keeper, LOCK_TAKE, "other", KEY), 0);
	assert_non_null(strstr(text_of("other.lock"), "\nvalija " KEY "\n"));
	assert_int_equal(ask(keeper, LOCK_RELEASE, "box", ""), 0);
	assert_false(is_there("box.lock"));
	assert_int_equal(ask(keeper, LOCK_RELEASE, "box", ""), ENOENT);
	assert_true(is_there("other.lock"));
	assert_int_equal(ask(keeper, LOCK_TAKE, "box", ""), 0);
}

/* A mailbox of the asker's own uid, directly in the folder; a name and a key of their form. */
static void test_threat_132_nothing_else_is_given(void **state)
{
	static const char *const names[] = {"",           ".",        "..",      ".valija-root",
					    "none",       "folder",   "link",    "../users",
					    "folder/box", "box.lock", "box/box", "/etc/x"};
	static const char *const keys[] = {"x\njournal", "0\n", "ABC", KEY KEY "0"};
	char longest[260];

	(void)state;
	assert_int_equal(mkdirat(role.mail_fd, "folder", 0700), 0);
	role_write("mail/folder/box", "");
	assert_int_equal(symlinkat("box", role.mail_fd, "link"), 0);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		assert_int_not_equal(ask(keeper, LOCK_TAKE, names[i], ""), 0);
	memset(longest, 'a', sizeof(longest));
	longest[sizeof(longest) - 1] = '\0';
	assert_int_equal(ask(keeper, LOCK_TAKE, longest, ""), EINVAL);
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		assert_int_equal(ask(keeper, LOCK_TAKE, "box", keys[i]), EINVAL);
	assert_int_equal(ask(stranger, LOCK_TAKE, "box", ""), EPERM);
	assert_int_equal(ask(keeper, LOCK_TAKE, "box", ""), 0);
	/* another keeper neither removes nor marks it */
	assert_int_equal(ask(stranger, LOCK_RELEASE, "box", ""), ENOENT);
	assert_int_equal(ask(stranger, LOCK_MARK, "box", ""), ENOENT);
	assert_true(is_there("box.lock") && !is_there("folder.lock") && !is_there("link.lock"));
	assert_null(strstr(text_of("box.lock"), "journal"));
}

/* A lock of another program stays, also when the keeper's own was taken for stale meanwhile. */
static void test_threat_132_foreign_locks_stay(void **state)
{
	char text[300], host[256] = "";

	(void)state;
	gethostname(host, sizeof(host) - 1);
	snprintf(text, sizeof(text), "%d:%s\n", (int)getpid(), host);
	role_write("mail/box.lock", text);
	assert_int_equal(ask(keeper, LOCK_TAKE, "box", ""), EEXIST);
	assert_int_equal(ask(keeper, LOCK_RELEASE, "box", ""), ENOENT);
	assert_string_equal(text_of("box.lock"), text);
	assert_int_equal(ask(keeper, LOCK_TAKE, "other", ""), 0);
	assert_int_equal(unlinkat(role.mail_fd, "other.lock", 0), 0);
	role_write("mail/other.lock", text);
	assert_int_equal(ask(keeper, LOCK_RELEASE, "other", ""), 0);
	assert_string_equal(text_of("other.lock"), text);
}

/* What a keeper held goes with it, but for a lock with a journal behind it. */
static void test_threat_133_a_keeper_that_dies(void **state)
{
	struct role_peer *next;

	(void)state;
	assert_int_equal(ask(keeper, LOCK_TAKE, "other", KEY), 0);
	assert_int_equal(ask(keeper, LOCK_MARK, "other", ""), 0);
	assert_int_equal(ask(keeper, LOCK_TAKE, "box", ""), 0);
	role_peer_dies(keeper);
	expect_gone("box.lock");
	assert_non_null(strstr(text_of("other.lock"), "\njournal\n"));
	next = role_peer(ROLE_KEEPER, geteuid());
	assert_int_equal(ask(next, LOCK_TAKE, "other", ""), EUCLEAN);
	assert_int_equal(ask(next, LOCK_TAKE, "other", "ff"), EUCLEAN);
	/* the session that puts the mailbox in order */
	assert_int_equal(ask(next, LOCK_TAKE, "other", KEY), 0);
	assert_null(strstr(text_of("other.lock"), "\njournal\n"));
	assert_int_equal(ask(next, LOCK_RELEASE, "other", ""), 0);
	assert_false(is_there("other.lock"));
}

/* One keeper makes no more locks than it has threads. */
static void test_threat_132_locks_without_end(void **state)
{
	char name[32];

	(void)state;
	for (int i = 0; i < 256; i++) {
		snprintf(name, sizeof(name), "mail/box%d", i);
		role_write(name, "");
		assert_int_equal(ask(keeper, LOCK_TAKE, name + strlen("mail/"), ""), 0);
	}
	assert_int_equal(ask(keeper, LOCK_TAKE, "box", ""), EEXIST);
	assert_false(is_there("box.lock"));
	role_peer_dies(keeper);
	expect_gone("box255.lock");
	expect_gone("box0.lock");
}

static void it_ends_with_its_keepers(void **state)
{
	(void)state;
	role_drain(1000);
	role_ping();
	role_peer_dies(keeper);
	role_peer_dies(stranger);
	assert_int_equal(role_ends(), 0);
}

/* It exited before it read its first answer: what it had asked for before is carried out still. */
static void packets_of_a_keeper_that_exited(void **state)
{
	struct ipc_lock take = {.number = ++number, .what = LOCK_TAKE};
	struct ipc_lock mark = {.number = ++number, .what = LOCK_MARK};

	(void)state;
	role_ping();
	kill(role.pid, SIGSTOP);
	ROLE_SEND_TEXTS(keeper, IPC_LOCK, &take, "box", KEY);
	ROLE_SEND_TEXTS(keeper, IPC_LOCK, &mark, "box", "");
	role_peer_dies(keeper);
	kill(role.pid, SIGCONT);
	/* the monitor's channel may be read before the keeper's: some turns of the loop later */
	for (unsigned turn = 0; turn < 1000 && !is_there("box.lock"); turn++)
		role_ping();
	role_ping();
	assert_true(is_there("box.lock"));
	assert_non_null(strstr(text_of("box.lock"), "journal\n"));
}

static void no_sandbox(void **state)
{
	(void)state;
	role_begin(&locker_role, false);
	role_directory(DIRECTORY_MAIL, 0, role.mail_fd);
	role_expect_no_start();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(take_and_release, begin, role_over),
		cmocka_unit_test_setup_teardown(test_threat_132_nothing_else_is_given, begin,
						role_over),
		cmocka_unit_test_setup_teardown(test_threat_132_foreign_locks_stay, begin,
						role_over),
		cmocka_unit_test_setup_teardown(test_threat_132_locks_without_end, begin,
						role_over),
		cmocka_unit_test_setup_teardown(test_threat_133_a_keeper_that_dies, begin,
						role_over),
		cmocka_unit_test_setup_teardown(packets_of_a_keeper_that_exited, begin, role_over),
		cmocka_unit_test_setup_teardown(it_ends_with_its_keepers, begin, role_over),
		cmocka_unit_test_teardown(no_sandbox, role_over),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
