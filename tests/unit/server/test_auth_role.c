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

static void expect_refused_for(uint32_t index, enum reason reason)
{
	const struct ipc_recipient_answer *answer = role_expect(lmtp, IPC_RCPT_REFUSED);

	assert_int_equal(answer->index, index);
	assert_int_equal(answer->reason, reason);
}

/* It has waited until its deadline. */
static void expect_refused(uint32_t index)
{
	expect_refused_for(index, REASON_OWNERS_BUSY);
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

/* In a transaction that keeps other keepers from ending. */
static void test_a_recipient_that_holds_keepers_waits_for_five_seconds(void **state)
{
	enum { HOLDING_MS = 5000 };
	struct ipc_recipient message = {
		.session = SESSION, .transaction = 1, .index = 1, .held = 1};

	(void)state;
	ROLE_SEND_TEXTS(lmtp, IPC_RCPT, &message, "anna@office.test");
	expect_wanted(OWNER);
	role_advance(HOLDING_MS - 1);
	assert_false(is_answered());
	role_advance(1);
	expect_refused_for(1, REASON_TOO_MANY_OWNERS);
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
	expect_refused_for(1, REASON_STORE_DOWN);
	expect_denied(99);
}

static void test_no_more_than_so_many_wait(void **state)
{
	enum { WAITING_MAX = 8 * IPC_AUTH_CREDITS }; /* as in auth/keepers.c */

	(void)state;
	for (uint32_t i = 0; i < WAITING_MAX + 1; i++)
		recipient(i);
	expect_refused_for(WAITING_MAX, REASON_STORE_DOWN);
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

/* ---- whether there is room for a message, as an MTA asks ---- */

enum { ANSWER_MS = 5000 };

static struct role_peer *mta;

static void with_quota(struct config *config)
{
	config->quota_messages = 10;
	config->quota_octets = 5000;
}

static int begin_mta(void **state)
{
	begin(state);
	mta = role_peer(ROLE_MTA, 0);
	role_expect(mta, IPC_OFFER);
	return 0;
}

static int begin_quota(void **state)
{
	role_configure = with_quota;
	begin_mta(state);
	role_configure = NULL;
	return 0;
}

static void ask_room(uint64_t number, const char *address)
{
	struct ipc_recipient message = {.session = number, .size = 77};

	ROLE_SEND_TEXTS(mta, IPC_QUOTA, &message, address);
}

static void expect_room(uint64_t number, enum reason reason)
{
	const struct ipc_whose_answer *answer = role_expect(mta, IPC_WHOSE_ANSWER);

	assert_int_equal(answer->session, number);
	assert_int_equal(answer->reason, reason);
}

/* The number of the question there. */
static uint64_t expect_usage(struct role_peer *keeper)
{
	const struct ipc_usage *usage = role_expect(keeper, IPC_USAGE);

	assert_int_equal(usage->size, 77);
	assert_int_equal(usage->quota_messages, 10);
	assert_int_equal(usage->quota_octets, 5000);
	assert_int_equal(usage->root, 0);
	assert_int_equal(usage->head.tail, 8);
	assert_memory_equal(ipc_tail(usage), "annaanna", 8);
	return usage->number;
}

static void tell_usage(const struct role_peer *keeper, uint64_t number, enum reason reason)
{
	struct ipc_usage_answer message = {.number = number, .reason = reason};

	role_send(keeper, IPC_USAGE_ANSWER, &message);
}

static void test_room_in_a_mailbox(void **state)
{
	static const enum reason reasons[] = {REASON_OK, REASON_OVER_QUOTA, REASON_OVER_QUOTA_PERM,
					      REASON_MAILDROP_TEMP};
	struct role_peer *keeper;

	(void)state;
	ask_room(1, "anna@office.test");
	expect_wanted(OWNER);
	keeper = role_peer(ROLE_KEEPER, OWNER);
	for (unsigned i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
		if (i > 0)
			ask_room(1 + i, "anna@office.test");
		tell_usage(keeper, expect_usage(keeper), reasons[i]);
		expect_room(1 + i, reasons[i]);
	}
	ask_room(9, "nobody@office.test");
	expect_room(9, REASON_NO_SUCH_USER);
}

static void test_a_mailbox_without_a_quota(void **state)
{
	(void)state;
	ask_room(1, "anna@office.test");
	expect_room(1, REASON_OK); /* no keeper is asked, or started */
	role_ping();
	ask_room(2, "anna@office.test");
	expect_room(2, REASON_OK);
}

static void test_a_keeper_that_does_not_answer(void **state)
{
	struct role_peer *keeper = role_peer(ROLE_KEEPER, OWNER);
	uint64_t number;

	(void)state;
	ask_room(1, "anna@office.test");
	number = expect_usage(keeper);
	role_advance(ANSWER_MS - 1);
	assert_false(role_speaks(mta, 0));
	role_advance(1);
	expect_room(1, REASON_STORE_DOWN);
	tell_usage(keeper, number, REASON_OK); /* late, but asked for */
	role_ping();
	assert_false(role_speaks(mta, 0));
	ask_room(2, "anna@office.test");
	tell_usage(keeper, expect_usage(keeper), REASON_OK);
	expect_room(2, REASON_OK);
}

static void test_no_keeper_comes_for_a_question(void **state)
{
	struct ipc_owner refused = {.uid = OWNER};

	(void)state;
	ask_room(1, "anna@office.test");
	expect_wanted(OWNER);
	role_advance(ANSWER_MS - 1);
	assert_false(role_speaks(mta, 0));
	role_advance(1);
	expect_room(1, REASON_STORE_DOWN);
	ask_room(2, "anna@office.test");
	expect_wanted(OWNER);
	role_send(&role.monitor, IPC_KEEPER_REFUSED, &refused);
	expect_room(2, REASON_STORE_DOWN);
}

static void test_a_keeper_goes_that_was_asked_for_room(void **state)
{
	struct role_peer *keeper = role_peer(ROLE_KEEPER, OWNER), *other;

	(void)state;
	other = role_peer(ROLE_KEEPER, OTHER);
	ask_room(1, "anna@office.test");
	expect_usage(keeper);
	role_peer_dies(other);
	role_ping();
	assert_false(role_speaks(mta, 0));
	role_peer_dies(keeper);
	expect_room(1, REASON_STORE_DOWN);
}

static void test_an_answer_about_room_that_was_not_asked_for(void **state)
{
	struct role_peer *keeper = role_peer(ROLE_KEEPER, OWNER), *other;
	uint64_t number;

	(void)state;
	other = role_peer(ROLE_KEEPER, OTHER);
	ask_room(1, "anna@office.test");
	number = expect_usage(keeper);
	tell_usage(other, number, REASON_OVER_QUOTA); /* of another keeper */
	role_expect_cut(other);
	assert_false(role_speaks(mta, 0));
	tell_usage(keeper, number, REASON_OK);
	expect_room(1, REASON_OK);
	tell_usage(keeper, number, REASON_OK); /* twice */
	role_expect_cut(keeper);
}

static void test_questions_about_room_at_a_keeper(void **state)
{
	struct role_peer *keeper = role_peer(ROLE_KEEPER, OWNER);
	uint64_t first = 0;

	(void)state;
	for (uint64_t i = 0; i < IPC_USAGE_CREDITS; i++) {
		ask_room(i, "anna@office.test");
		if (i == 0)
			first = expect_usage(keeper);
		else
			expect_usage(keeper);
	}
	ask_room(IPC_USAGE_CREDITS, "anna@office.test");
	expect_room(IPC_USAGE_CREDITS, REASON_STORE_DOWN);
	tell_usage(keeper, first, REASON_OK);
	expect_room(0, REASON_OK);
	ask_room(1000, "anna@office.test");
	expect_usage(keeper);
}

static void test_questions_about_room_of_all(void **state)
{
	enum { PARTS_MAX = 512 };

	(void)state;
	for (uint64_t i = 0; i < PARTS_MAX; i++)
		ask_room(i, "anna@office.test"); /* its keeper is being started */
	role_ping();
	assert_false(role_speaks(mta, 0));
	ask_room(PARTS_MAX, "anna@office.test");
	expect_room(PARTS_MAX, REASON_STORE_DOWN);
}

static void test_an_mta_goes_while_it_asks(void **state)
{
	struct role_peer *keeper = role_peer(ROLE_KEEPER, OWNER);
	uint64_t number;

	(void)state;
	ask_room(1, "anna@office.test");
	number = expect_usage(keeper);
	role_peer_dies(mta);
	mta = role_peer(ROLE_MTA, 0);
	role_ping();
	tell_usage(keeper, number, REASON_OK);
	ask_room(2, "anna@office.test");
	tell_usage(keeper, expect_usage(keeper), REASON_OK);
	expect_room(2, REASON_OK);
}

#define IN_AUTH(test) cmocka_unit_test_setup_teardown(test, begin, role_over)

#define WITH_QUOTA(test) cmocka_unit_test_setup_teardown(test, begin_quota, role_over)

static void test_no_start_without_a_sandbox(void **state)
{
	(void)state;
	role_begin(&auth_role, false);
	role_expect_no_start();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_no_start_without_a_sandbox, role_over),
		WITH_QUOTA(test_room_in_a_mailbox),
		cmocka_unit_test_setup_teardown(test_a_mailbox_without_a_quota, begin_mta,
						role_over),
		WITH_QUOTA(test_a_keeper_that_does_not_answer),
		WITH_QUOTA(test_no_keeper_comes_for_a_question),
		WITH_QUOTA(test_a_keeper_goes_that_was_asked_for_room),
		WITH_QUOTA(test_an_answer_about_room_that_was_not_asked_for),
		WITH_QUOTA(test_questions_about_room_at_a_keeper),
		WITH_QUOTA(test_questions_about_room_of_all),
		WITH_QUOTA(test_an_mta_goes_while_it_asks),
		IN_AUTH(test_a_recipient_waits_for_thirty_seconds),
		IN_AUTH(test_a_recipient_that_holds_keepers_waits_for_five_seconds),
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
