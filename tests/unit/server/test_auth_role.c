/* auth while a keeper does not come: what waits for one waits for 30 seconds at most. The test
 * plays the monitor, which starts none, and the fronts. */
#include "role_test.h"

#include "server/auth/auth.h"

enum {
	WAIT_MS = 30 * 1000,
	OWNER = 4711, /* of anna's mail */
	OTHER,        /* of berta's */
	SESSION = 8,
};

static struct role_peer *front, *lmtp;

/* The owners of homes; the test's own files are not asked for by this. */
int __wrap_fstatat(int fd, const char *restrict path, struct stat *restrict st, int flags);
int __wrap_fstatat64(int fd, const char *restrict path, struct stat *restrict st, int flags);

int __wrap_fstatat(int fd, const char *restrict path, struct stat *restrict st, int flags)
{
	(void)fd, (void)flags;
	*st = (struct stat){.st_mode = S_IFDIR | 0700,
			    .st_uid = strcmp(path, "anna") == 0 ? OWNER : OTHER};
	return 0;
}

int __wrap_fstatat64(int fd, const char *restrict path, struct stat *restrict st, int flags)
{
	return __wrap_fstatat(fd, path, st, flags);
}

static int begin(void **state)
{
	struct ipc_connect connect = {.session = SESSION, .loopback = 1};

	(void)state;
	role_begin(&auth_role, true);
	role_stop_clock();
	front = role_peer(ROLE_FRONT, 0);
	lmtp = role_peer(ROLE_LMTP, 0);
	role_go();
	memset(connect.address + 10, 0xff, 2);
	connect.address[12] = 127;
	connect.address[15] = 1;
	role_send(front, IPC_CONNECT, &connect);
	role_expect(front, IPC_CONNECTED);
	return 0;
}

static void expect_wanted(uint32_t uid)
{
	const struct ipc_owner *wanted = role_expect(&role.monitor, IPC_KEEPER_WANTED);

	assert_int_equal(wanted->uid, uid);
}

static void recipient_of(const char *address, uint32_t index)
{
	struct ipc_recipient message = {.session = SESSION, .transaction = 1, .index = index};

	ROLE_SEND_TEXTS(lmtp, IPC_RCPT, &message, address);
}

static void recipient(uint32_t index)
{
	recipient_of("anna@office.test", index);
}

static void expect_refused(uint32_t index)
{
	const struct ipc_recipient_answer *answer = role_expect(lmtp, IPC_RCPT_REFUSED);

	assert_int_equal(answer->index, index);
	assert_int_equal(answer->reason, REASON_STORE_DOWN);
}

static void log_in(uint64_t ticket)
{
	struct ipc_credentials message = {.session = SESSION, .ticket = ticket, .has_secret = 1};

	ROLE_SEND_TEXTS(front, IPC_PASS, &message, "anna", "secret");
	role_expect(front, IPC_SLOW);
}

static void expect_denied(uint64_t ticket)
{
	const struct ipc_denied *answer = role_expect(front, IPC_DENIED);

	assert_int_equal(answer->ticket, ticket);
	assert_int_equal(answer->reason, REASON_STORE_DOWN);
}

static bool is_answered(void)
{
	return role_speaks(front, 0) || role_speaks(lmtp, 0);
}

static void test_a_recipient_waits_for_thirty_seconds(void **state)
{
	(void)state;
	recipient(1);
	expect_wanted(OWNER);
	role_advance(WAIT_MS - 1);
	assert_false(is_answered());
	role_advance(1);
	expect_refused(1);
	recipient(2); /* the monitor is asked anew */
	expect_wanted(OWNER);
}

static void test_a_login_waits_for_thirty_seconds(void **state)
{
	(void)state;
	log_in(99);
	expect_wanted(OWNER);
	role_advance(WAIT_MS - 1);
	assert_false(is_answered());
	role_advance(1);
	expect_denied(99);
	log_in(100);
	expect_wanted(OWNER);
}

static void test_each_waits_from_its_own_beginning(void **state)
{
	(void)state;
	recipient(1);
	expect_wanted(OWNER);
	role_advance(WAIT_MS / 2);
	recipient_of("berta@office.test", 2);
	expect_wanted(OTHER);
	role_advance(WAIT_MS / 2);
	expect_refused(1);
	role_advance(WAIT_MS / 2 - 1);
	assert_false(is_answered());
	role_advance(1);
	expect_refused(2);
}

/* Whose mail it is has to be found anew, and its keeper is asked for again: all of that is one
 * wait. */
static void test_a_deadline_is_kept_over_what_is_waited_for(void **state)
{
	struct role_peer *keeper;

	(void)state;
	recipient(1);
	expect_wanted(OWNER);
	role_advance(WAIT_MS - 1);
	keeper = role_peer(ROLE_KEEPER, OTHER); /* no help */
	role_ping();
	assert_false(is_answered() || role_speaks(keeper, 0));
	role_advance(1);
	expect_refused(1);
}

static void test_a_keeper_that_comes_gets_what_waits(void **state)
{
	const struct ipc_recipient_open *open;
	const struct ipc_open *login;
	struct role_peer *keeper;
	struct ipc_empty ping = {0};

	(void)state;
	recipient(1);
	expect_wanted(OWNER);
	log_in(99);
	role_send(&role.monitor, IPC_PING, &ping);
	role_expect(&role.monitor, IPC_PONG); /* it was asked for a keeper once */
	keeper = role_peer(ROLE_KEEPER, OWNER);
	role_expect(lmtp, IPC_RESOLVED);
	open = role_expect(keeper, IPC_RCPT_OPEN);
	assert_int_equal(open->index, 1);
	login = role_expect(keeper, IPC_OPEN);
	assert_int_equal(login->ticket, 99);
	/* and what it was passed is lost when it goes */
	role_peer_dies(keeper);
	expect_denied(99);
	role_expect(lmtp, IPC_KEEPER_GONE);
}

static void test_a_keeper_that_is_refused_is_waited_for_no_longer(void **state)
{
	struct ipc_owner other = {.uid = OTHER}, refused = {.uid = OWNER};

	(void)state;
	recipient(1);
	expect_wanted(OWNER);
	log_in(99);
	role_send(&role.monitor, IPC_KEEPER_REFUSED, &other);
	role_ping();
	assert_false(is_answered());
	role_send(&role.monitor, IPC_KEEPER_REFUSED, &refused);
	expect_refused(1);
	expect_denied(99);
}

static void test_no_more_than_so_many_wait(void **state)
{
	enum { WAITING_MAX = 1024 };

	(void)state;
	for (uint32_t i = 0; i < WAITING_MAX + 1; i++)
		recipient(i);
	expect_refused(WAITING_MAX);
	log_in(99); /* logins are counted by themselves */
	role_ping();
	assert_false(is_answered());
}

static void test_drained_without_fronts(void **state)
{
	(void)state;
	recipient(1);
	expect_wanted(OWNER);
	role_drain(1000);
	role_ping();
	assert_true(role_runs());
	role_peer_dies(front);
	role_ping();
	assert_true(role_runs());
	role_peer_dies(lmtp);
	assert_int_equal(role_ends(), 0);
}

#define IN_AUTH(test) cmocka_unit_test_setup_teardown(test, begin, role_over)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_AUTH(test_a_recipient_waits_for_thirty_seconds),
		IN_AUTH(test_a_login_waits_for_thirty_seconds),
		IN_AUTH(test_each_waits_from_its_own_beginning),
		IN_AUTH(test_a_deadline_is_kept_over_what_is_waited_for),
		IN_AUTH(test_a_keeper_that_comes_gets_what_waits),
		IN_AUTH(test_a_keeper_that_is_refused_is_waited_for_no_longer),
		IN_AUTH(test_no_more_than_so_many_wait),
		IN_AUTH(test_drained_without_fronts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
