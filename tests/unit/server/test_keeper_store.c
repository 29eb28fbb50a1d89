/* A keeper and a store whose operations take time: what ends late, what nobody wants any more, what
 * comes in slices alone. The test plays monitor, auth, fronts and the store. */
#include "fake_store.h"

#include "server/keeper/keeper.h"

enum { SESSION = 8 };

static struct role_peer *auth, *front, *lmtp;

static void start(unsigned abilities, bool stop_clock)
{
	fake_prepare();
	fake_shared->abilities = abilities;
	role_begin(&keeper_role, false);
	if (stop_clock)
		role_stop_clock();
	auth = role_peer(ROLE_AUTH, 0);
	front = role_peer(ROLE_FRONT, 0);
	lmtp = role_peer(ROLE_LMTP, 0);
	role_go();
}

static int begin(void **state)
{
	(void)state;
	start(STORE_MAKES | STORE_QUOTA, false);
	return 0;
}

static int over(void **state)
{
	int rc = role_over(state);

	fake_over();
	return rc;
}

static void open_as(uint64_t session, uint32_t no_delete)
{
	struct ipc_open message = {
		.front = front->instance, .session = session, .ticket = 99, .no_delete = no_delete};

	ROLE_SEND_TEXTS(auth, IPC_OPEN, &message, "anna", "anna", "");
}

static void open_maildrop(uint64_t session)
{
	open_as(session, 0);
}

static void opened(uint64_t session)
{
	unsigned before = fake_shared->begun[FAKE_OPEN];

	open_maildrop(session);
	fake_wait(&fake_shared->begun[FAKE_OPEN], before + 1);
	fake_end(FAKE_OPEN, MAILDROP_OK);
	role_expect(front, IPC_OPENED);
}

static void close_session(uint64_t session)
{
	struct ipc_session message = {.session = session};

	role_send(front, IPC_CLOSE, &message);
	role_ping();
}

static void fetch(uint64_t session, uint32_t number)
{
	struct ipc_fetch message = {
		.session = session, .number = number, .count = 1, .slot = IPC_NO_SLOT};

	role_send(front, IPC_FETCH, &message);
}

/* ---- opening ---- */

static void test_an_opening_that_ends_late(void **state)
{
	const struct ipc_opened *message;

	(void)state;
	open_as(SESSION, 1);
	fake_wait(&fake_shared->begun[FAKE_OPEN], 1);
	role_ping();
	assert_false(role_speaks(front, 0) && role_next(front, &(const void *){NULL}) != IPC_ARENA);
	fake_end(FAKE_OPEN, MAILDROP_OK);
	message = role_expect(front, IPC_OPENED);
	assert_int_equal(message->session, SESSION);
	assert_int_equal(message->count, FAKE_COUNT);
	assert_int_equal(message->octets, FAKE_COUNT * FAKE_STORED);
	assert_int_equal(fake_shared->flags, STORE_NO_DELETE);
	assert_int_equal(fake_shared->session, SESSION);
}

static void test_an_opening_at_once(void **state)
{
	(void)state;
	fake_shared->try_open = MAILDROP_OK;
	open_maildrop(SESSION);
	role_expect(front, IPC_OPENED);
	assert_int_equal(fake_shared->begun[FAKE_OPEN], 0);
	close_session(SESSION);
	assert_int_equal(fake_shared->open, 0);
	assert_int_equal(fake_shared->left, 1);
}

/* The client leaves: the store is asked to stop, and ends the operation in either way. */
static void leaves_while_it_opens(int status)
{
	open_maildrop(SESSION);
	fake_wait(&fake_shared->begun[FAKE_OPEN], 1);
	close_session(SESSION);
	assert_int_equal(fake_shared->cancelled, 1);
	assert_int_equal(fake_shared->left, 0); /* not before it is done */
	fake_end(FAKE_OPEN, status);
}

static void test_a_cancelled_opening(void **state)
{
	(void)state;
	leaves_while_it_opens(MAILDROP_CANCELLED);
	fake_wait(&fake_shared->left, 1);
	assert_int_equal(fake_shared->open, 0);
	opened(SESSION); /* nothing is left of it */
}

static void test_a_cancelled_opening_that_opens(void **state)
{
	(void)state;
	leaves_while_it_opens(MAILDROP_OK);
	fake_wait(&fake_shared->begun[FAKE_CLOSE], 1);
	assert_int_equal(fake_shared->open, 1);
	fake_end(FAKE_CLOSE, MAILDROP_OK);
	fake_wait(&fake_shared->left, 1);
	assert_int_equal(fake_shared->open, 0);
}

static void test_an_opening_without_an_end(void **state)
{
	const struct ipc_open_failed *failed;

	(void)state;
	over(state);
	start(STORE_MAKES | STORE_QUOTA, true);
	open_maildrop(SESSION);
	fake_wait(&fake_shared->begun[FAKE_OPEN], 1);
	role_advance(44000); /* three quarters of the minute to log in */
	assert_int_equal(fake_shared->cancelled, 0);
	role_advance(1001);
	failed = role_expect(front, IPC_OPEN_FAILED);
	assert_int_equal(failed->reason, REASON_MAILDROP_TEMP);
	assert_int_equal(fake_shared->cancelled, 1);
	fake_end(FAKE_OPEN, MAILDROP_OK); /* after all: it is closed again */
	fake_wait(&fake_shared->begun[FAKE_CLOSE], 1);
}

static void failing(int status, enum reason reason)
{
	const struct ipc_open_failed *failed;
	unsigned before = fake_shared->begun[FAKE_OPEN];

	open_maildrop(SESSION);
	fake_wait(&fake_shared->begun[FAKE_OPEN], before + 1);
	fake_end(FAKE_OPEN, status);
	failed = role_expect(front, IPC_OPEN_FAILED);
	assert_int_equal(failed->reason, reason);
}

static void test_openings_that_fail(void **state)
{
	(void)state;
	failing(MAILDROP_TEMP, REASON_MAILDROP_TEMP);
	failing(MAILDROP_PERM, REASON_MAILDROP_PERM);
	failing(MAILDROP_UNKNOWN, REASON_MAILDROP_TEMP);
	fake_shared->try_open = MAILDROP_IN_USE;
	open_maildrop(SESSION);
	assert_int_equal(
		((const struct ipc_open_failed *)role_expect(front, IPC_OPEN_FAILED))->reason,
		REASON_IN_USE);
	assert_true(fake_shared->hurried >= 1);
}

/* ---- bodies ---- */

static void test_a_message_in_slices(void **state)
{
	static const struct {
		uint64_t offset, wanted, got;
	} cases[] = {{0, 65536, 65536}, {65536, 65536, FAKE_STORED - 65536}, {99999, 5, 1}};
	const struct ipc_body_lent *body;

	(void)state;
	opened(SESSION);
	fetch(SESSION, 2);
	fake_wait(&fake_shared->begun[FAKE_FETCH], 1);
	fake_end(FAKE_FETCH, MAILDROP_OK);
	body = role_expect(front, IPC_BODY_SLICED);
	assert_int_equal(body->number, 2);
	assert_int_equal(body->stored, FAKE_STORED);
	role_ping();
	assert_int_equal(fake_shared->begun[FAKE_SLICE], 0); /* nothing is read unasked */
	for (unsigned i = 0; i < 3; i++) {
		struct ipc_slice message = {.session = SESSION,
					    .offset = cases[i].offset,
					    .size = cases[i].wanted,
					    .number = 2,
					    .by_value = 1};
		const struct ipc_slice *slice;

		role_send(front, IPC_READ_SLICE, &message);
		fake_wait(&fake_shared->begun[FAKE_SLICE], i + 1);
		fake_end(FAKE_SLICE, MAILDROP_OK);
		slice = role_expect(front, IPC_SLICE);
		assert_int_equal(slice->offset, cases[i].offset);
		assert_int_equal(slice->size, cases[i].got);
		for (uint64_t at = 0; at < slice->size; at++)
			assert_int_equal(ipc_tail(slice)[at], fake_octet(2, slice->offset + at));
	}
	assert_int_equal(fake_shared->sliced, FAKE_STORED + 1);
}

static void test_a_slice_that_fails(void **state)
{
	struct ipc_slice message = {.session = SESSION, .size = 10, .number = 1, .by_value = 1};
	const struct ipc_body_failed *failed;

	(void)state;
	opened(SESSION);
	role_send(front, IPC_READ_SLICE, &message);
	fake_wait(&fake_shared->begun[FAKE_SLICE], 1);
	fake_end(FAKE_SLICE, MAILDROP_GONE);
	failed = role_expect(front, IPC_BODY_FAILED);
	assert_int_equal(failed->number, 1);
	assert_int_equal(failed->reason, REASON_MESSAGE_GONE);
}

/* The maildrop is closed behind what is under way, which nobody wants any more. */
static void test_a_client_that_leaves_while_a_message_is_read(void **state)
{
	(void)state;
	opened(SESSION);
	fetch(SESSION, 1);
	fake_wait(&fake_shared->begun[FAKE_FETCH], 1);
	close_session(SESSION);
	assert_int_equal(fake_shared->cancelled, 1);
	fake_wait(&fake_shared->begun[FAKE_CLOSE], 1);
	fake_end(FAKE_FETCH, MAILDROP_CANCELLED);
	fake_end(FAKE_CLOSE, MAILDROP_OK);
	fake_wait(&fake_shared->left, 1);
	opened(SESSION);
}

/* ---- deletions ---- */

static void commit(uint64_t session)
{
	struct ipc_delete delete = {.session = session, .count = 2};
	struct ipc_commit message = {.session = session, .total = 2};
	uint32_t numbers[] = {1, 3};

	role_send_raw(front, IPC_DELETE, &delete, sizeof(delete), numbers, sizeof(numbers), -1);
	role_send(front, IPC_COMMIT, &message);
}

static void committing(uint64_t session, int status, enum reason reason)
{
	unsigned before = fake_shared->begun[FAKE_COMMIT];
	const struct ipc_committed *message;

	opened(session);
	commit(session);
	fake_wait(&fake_shared->begun[FAKE_COMMIT], before + 1);
	fake_end(FAKE_COMMIT, status);
	message = role_expect(front, IPC_COMMITTED);
	assert_int_equal(message->session, session);
	assert_int_equal(message->reason, reason);
}

static void test_ways_in_which_deletions_end(void **state)
{
	(void)state;
	committing(SESSION, MAILDROP_OK, REASON_OK);
	committing(SESSION + 1, MAILDROP_LOST, REASON_NOTHING_DELETED);
	committing(SESSION + 2, MAILDROP_UNKNOWN, REASON_NOT_DELETED);
	committing(SESSION + 3, MAILDROP_TEMP, REASON_NOT_DELETED);
}

/* A commit is never cancelled, and a close follows it. */
static void test_a_front_that_dies_while_deletions_are_under_way(void **state)
{
	(void)state;
	opened(SESSION);
	commit(SESSION);
	fake_wait(&fake_shared->begun[FAKE_COMMIT], 1);
	role_peer_dies(front);
	fake_wait(&fake_shared->begun[FAKE_CLOSE], 1);
	assert_int_equal(fake_shared->cancelled, 0);
	fake_end(FAKE_COMMIT, MAILDROP_OK);
	fake_end(FAKE_CLOSE, MAILDROP_OK);
	fake_wait(&fake_shared->left, 1);
}

static void test_a_draining_keeper_waits_for_the_store(void **state)
{
	(void)state;
	fake_shared->try_close = false;
	opened(SESSION);
	role_peer_dies(front);
	role_peer_dies(lmtp);
	fake_wait(&fake_shared->begun[FAKE_CLOSE], 1);
	role_drain(1000);
	fake_wait(&fake_shared->hurried, 1);
	role_ping();
	assert_true(role_runs());
	fake_end(FAKE_CLOSE, MAILDROP_OK);
	assert_int_equal(role_ends(), 0);
}

/* ---- deliveries ---- */

static void recipient(uint32_t index)
{
	struct ipc_recipient_open message = {.front = lmtp->instance,
					     .session = SESSION,
					     .transaction = 1,
					     .index = index,
					     .quota_messages = 5};

	ROLE_SEND_TEXTS(auth, IPC_RCPT_OPEN, &message, "anna", "anna", "anna@office.test");
}

static void deliver(uint32_t index)
{
	static const char text[] = "Subject: one\r\n\r\nbody\r\n";
	struct ipc_deliver message = {
		.session = SESSION, .size = sizeof(text) - 1, .transaction = 1, .count = 1};
	int fd = memfd_create("message", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	assert_int_equal(write(fd, text, sizeof(text) - 1), sizeof(text) - 1);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK), 0);
	role_send_raw(lmtp, IPC_DELIVER, &message, sizeof(message), &index, sizeof(index), fd);
	close(fd);
}

static void delivering(uint32_t index, int status, enum reason reason)
{
	unsigned before = fake_shared->begun[FAKE_DELIVER];
	const struct ipc_recipient_answer *answer;

	deliver(index);
	fake_wait(&fake_shared->begun[FAKE_DELIVER], before + 1);
	fake_end(FAKE_DELIVER, status);
	answer = role_expect(lmtp, IPC_DELIVERED);
	assert_int_equal(answer->index, index);
	assert_int_equal(answer->reason, reason);
}

static void test_a_store_that_counts_and_makes(void **state)
{
	(void)state;
	recipient(1);
	fake_wait(&fake_shared->begun[FAKE_USAGE], 1);
	fake_end(FAKE_USAGE, MAILDROP_OK);
	role_expect(lmtp, IPC_RCPT_READY);
	deliver(1);
	fake_wait(&fake_shared->begun[FAKE_DELIVER], 1);
	fake_end(FAKE_DELIVER, MAILDROP_ABSENT);
	assert_int_equal(
		((const struct ipc_location *)role_expect(&role.monitor, IPC_LOCATION))->ask,
		LOCATION_MAKE);
}

/* It is not asked for what it cannot do. */
static void test_a_store_that_neither_counts_nor_makes(void **state)
{
	over(state);
	start(0, false);
	for (uint32_t i = 1; i <= 4; i++) {
		recipient(i);
		role_expect(lmtp, IPC_RCPT_READY);
	}
	delivering(1, MAILDROP_ABSENT, REASON_MAILDROP_TEMP);
	delivering(2, MAILDROP_OK, REASON_OK);
	delivering(3, MAILDROP_UNKNOWN, REASON_MAILDROP_TEMP);
	delivering(4, MAILDROP_FULL, REASON_DISK_FULL);
	assert_int_equal(fake_shared->begun[FAKE_USAGE], 0);
	assert_int_equal(fake_shared->begun[FAKE_MAKE], 0);
}

static void test_a_root_that_is_away(void **state)
{
	struct ipc_root message = {.away = 1};

	(void)state;
	role_send(&role.monitor, IPC_ROOT_AWAY, &message);
	role_ping();
	assert_true(fake_shared->away);
	recipient(1);
	role_expect(lmtp, IPC_RCPT_REFUSED);
	message.away = 0;
	role_send(&role.monitor, IPC_ROOT_AWAY, &message);
	role_ping();
	assert_false(fake_shared->away);
}

#define IN_KEEPER(test) cmocka_unit_test_setup_teardown(test, begin, over)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_KEEPER(test_an_opening_that_ends_late),
		IN_KEEPER(test_an_opening_at_once),
		IN_KEEPER(test_a_cancelled_opening),
		IN_KEEPER(test_a_cancelled_opening_that_opens),
		IN_KEEPER(test_an_opening_without_an_end),
		IN_KEEPER(test_openings_that_fail),
		IN_KEEPER(test_a_message_in_slices),
		IN_KEEPER(test_a_slice_that_fails),
		IN_KEEPER(test_a_client_that_leaves_while_a_message_is_read),
		IN_KEEPER(test_ways_in_which_deletions_end),
		IN_KEEPER(test_a_front_that_dies_while_deletions_are_under_way),
		IN_KEEPER(test_a_draining_keeper_waits_for_the_store),
		IN_KEEPER(test_a_store_that_counts_and_makes),
		IN_KEEPER(test_a_store_that_neither_counts_nor_makes),
		IN_KEEPER(test_a_root_that_is_away),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
