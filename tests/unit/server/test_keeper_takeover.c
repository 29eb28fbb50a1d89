/* A maildrop that two logins want, at a keeper: who has it, when its session ends for the other,
 * and what becomes of its requests. The test plays monitor, auth, fronts and the store. */
#include "fake_store.h"

#include "base/text.h"
#include "server/keeper/keeper.h"

enum { FIRST = 8, SECOND = 9, IDLE = 60000 };

static struct role_peer *auth, *front, *other_front;

static void take_over(struct config *config)
{
	config->takeover = true;
}

static int begin_as(void (*configure)(struct config *))
{
	fake_prepare();
	fake_shared->abilities = STORE_MAKES | STORE_QUOTA;
	fake_shared->try_open = MAILDROP_OK;
	role_configure = configure;
	role_begin(&keeper_role, false);
	auth = role_peer(ROLE_AUTH, 0);
	front = role_peer(ROLE_FRONT, 0);
	other_front = role_peer(ROLE_FRONT, 0);
	role_go();
	return 0;
}

static int begin_taking(void **state)
{
	(void)state;
	return begin_as(take_over);
}

static int begin_exclusive(void **state)
{
	(void)state;
	return begin_as(NULL);
}

static int begin_nodes(void **state)
{
	(void)state;
	fake_prepare();
	fake_shared->abilities = STORE_MAKES | STORE_QUOTA | STORE_NODES;
	fake_shared->try_open = MAILDROP_OK;
	role_configure = take_over;
	role_begin(&keeper_role, false);
	auth = role_peer(ROLE_AUTH, 0);
	front = role_peer(ROLE_FRONT, 0);
	other_front = role_peer(ROLE_FRONT, 0);
	role_go();
	return 0;
}

static int over(void **state)
{
	int rc = role_over(state);

	fake_over();
	return rc;
}

static void open_for(const struct role_peer *of, uint64_t session)
{
	struct ipc_open message = {.front = of->instance, .session = session, .ticket = session};

	ROLE_SEND_TEXTS(auth, IPC_OPEN, &message, "anna", "anna", "");
}

/* The first session has the maildrop. */
static void first_has_it(void)
{
	open_for(front, FIRST);
	role_expect(front, IPC_OPENED);
	fake_shared->try_open = MAILDROP_IN_USE;
}

static void answer_holder(uint64_t idle, uint32_t busy)
{
	struct ipc_holder message = {.session = FIRST,
				     .since = 1793923200,
				     .idle = idle,
				     .busy = busy,
				     .address = {[10] = 0xff, 0xff, 192, 0, 2, 1}};

	role_send(front, IPC_HOLDER, &message);
}

/* A second login, at another front; the first session's front says so of it. */
static void second_wants_it(uint64_t idle, uint32_t busy)
{
	const struct ipc_session *message;

	open_for(other_front, SECOND);
	message = role_expect(front, IPC_HOLDER_ASK);
	assert_int_equal(message->session, FIRST);
	answer_holder(idle, busy);
}

static void expect_refused(uint64_t idle)
{
	const struct ipc_open_in_use *message = role_expect(other_front, IPC_OPEN_IN_USE);

	assert_int_equal(message->session, SECOND);
	assert_int_equal(message->ticket, SECOND);
	assert_int_equal(message->since, 1793923200);
	assert_int_equal(message->idle, idle);
	assert_int_equal(message->address[12], 192);
	role_ping();
	assert_false(role_speaks(front, 0)); /* the first session goes on, and was asked once */
	assert_int_equal(fake_shared->open, 1);
}

static void expect_gone(uint64_t session, enum reason reason)
{
	const struct ipc_gone *message = role_expect(front, IPC_GONE);

	assert_int_equal(message->session, session);
	assert_int_equal(message->reason, reason);
}

static void fetch(uint64_t session)
{
	struct ipc_fetch message = {
		.session = session, .number = 1, .count = 1, .slot = IPC_NO_SLOT};

	role_send(front, IPC_FETCH, &message);
}

static void mark(uint64_t session)
{
	struct ipc_delete delete = {.session = session, .count = 1};
	uint32_t number = 2;

	role_send_raw(front, IPC_DELETE, &delete, sizeof(delete), &number, sizeof(number), -1);
}

static void commit(uint64_t session)
{
	struct ipc_commit message = {.session = session, .total = 1};

	role_send(front, IPC_COMMIT, &message);
}

/* ---- one keeper ---- */

static void test_an_exclusive_site(void **state)
{
	(void)state;
	first_has_it();
	second_wants_it(100 * IDLE, 0);
	expect_refused(100 * IDLE);
}

static void test_not_idle_for_long_enough(void **state)
{
	(void)state;
	first_has_it();
	second_wants_it(IDLE - 1, 0);
	expect_refused(IDLE - 1);
}

static void test_a_command_under_way(void **state)
{
	(void)state;
	first_has_it();
	second_wants_it(IDLE, 1);
	expect_refused(IDLE);
}

static void test_a_front_that_does_not_answer(void **state)
{
	const struct ipc_open_failed *failed;

	(void)state;
	first_has_it();
	open_for(other_front, SECOND);
	role_expect(front, IPC_HOLDER_ASK);
	failed = role_expect(other_front, IPC_OPEN_FAILED);
	assert_int_equal(failed->reason, REASON_IN_USE);
	open_for(other_front, SECOND); /* the question is still open: it is not asked again */
	role_expect(other_front, IPC_OPEN_FAILED);
	assert_false(role_speaks(front, 0));
}

static void test_threat_109_an_idle_session_is_taken_over(void **state)
{
	const struct ipc_opened *opened;
	struct ipc_slice slice = {.session = FIRST, .size = 10, .number = 1, .by_value = 1};

	(void)state;
	first_has_it();
	mark(FIRST); /* and nothing of it is deleted */
	second_wants_it(IDLE, 0);
	expect_gone(FIRST, REASON_TAKEN_OVER);
	fake_shared->try_open = MAILDROP_OK;
	opened = role_expect(other_front, IPC_OPENED);
	assert_int_equal(opened->session, SECOND);
	assert_int_equal(fake_shared->open, 1);
	assert_int_equal(fake_shared->flags, STORE_TAKE_OVER);
	/* each later request of the first session gets its answer, and does nothing */
	mark(FIRST);
	commit(FIRST);
	expect_gone(FIRST, REASON_MAILDROP_TEMP);
	fetch(FIRST);
	expect_gone(FIRST, REASON_MAILDROP_TEMP);
	role_send(front, IPC_READ_SLICE, &slice);
	expect_gone(FIRST, REASON_MAILDROP_TEMP);
	role_ping();
	assert_int_equal(fake_shared->begun[FAKE_COMMIT], 0);
	assert_int_equal(fake_shared->begun[FAKE_FETCH], 0);
}

/* The lock is handed on when the store has closed, not before. */
static void test_a_taken_maildrop_that_closes_late(void **state)
{
	(void)state;
	fake_shared->try_close = false;
	first_has_it();
	second_wants_it(IDLE, 0);
	expect_gone(FIRST, REASON_TAKEN_OVER);
	fake_wait(&fake_shared->begun[FAKE_CLOSE], 1);
	assert_int_equal(fake_shared->open, 1);
	fake_shared->try_open = MAILDROP_OK;
	fake_end(FAKE_CLOSE, MAILDROP_OK);
	role_expect(other_front, IPC_OPENED);
	assert_int_equal(fake_shared->open, 1);
}

static void test_deletions_under_way_come_first(void **state)
{
	const struct ipc_committed *committed;

	(void)state;
	first_has_it();
	mark(FIRST);
	commit(FIRST);
	fake_wait(&fake_shared->begun[FAKE_COMMIT], 1);
	second_wants_it(IDLE, 0); /* whatever the front says */
	role_ping();
	fake_shared->try_open = MAILDROP_OK;
	fake_end(FAKE_COMMIT, MAILDROP_OK);
	committed = role_expect(front, IPC_COMMITTED);
	assert_int_equal(committed->reason, REASON_OK);
	role_expect(other_front, IPC_OPENED);
	assert_false(role_speaks(front, 0)); /* no GONE */
}

static void test_threat_109_a_message_that_is_being_read(void **state)
{
	(void)state;
	first_has_it();
	fetch(FIRST);
	fake_wait(&fake_shared->begun[FAKE_FETCH], 1);
	second_wants_it(IDLE, 0);
	expect_refused(IDLE);
}

static void test_an_answer_that_was_not_asked_for(void **state)
{
	(void)state;
	first_has_it();
	answer_holder(IDLE, 0);
	role_expect_cut(front);
	role_ping();
}

static void test_requests_of_no_session(void **state)
{
	struct ipc_session close_it = {.session = 77};

	(void)state;
	fetch(77);
	expect_gone(77, REASON_MAILDROP_TEMP);
	commit(77);
	expect_gone(77, REASON_MAILDROP_TEMP);
	mark(77);
	role_send(front, IPC_CLOSE, &close_it);
	role_ping();
	assert_false(role_speaks(front, 0));
}

/* ---- another generation's keeper ---- */

static uint64_t expect_take(bool take)
{
	const struct ipc_take *message = role_expect(&role.monitor, IPC_TAKE);
	pop3_span path = ipc_text(message, 0);

	assert_int_equal(path.size, 4);
	assert_memory_equal(path.data, "anna", 4);
	assert_int_equal(message->idle, IDLE);
	assert_int_equal(message->take, take);
	return message->number;
}

static void send_taken(uint64_t number, bool taken)
{
	struct ipc_taken message = {.number = number,
				    .since = 1793923200,
				    .idle = 5,
				    .taken = taken,
				    .address = {[10] = 0xff, 0xff, 192, 0, 2, 1}};

	role_send(&role.monitor, IPC_TAKEN, &message);
}

static void ask_others(bool take, bool taken)
{
	uint64_t number;

	fake_shared->try_open = MAILDROP_IN_USE; /* by another process */
	open_for(other_front, SECOND);
	number = expect_take(take);
	send_taken(number + 1, true); /* of no question */
	send_taken(number, taken);
}

static void test_another_keeper_that_keeps_it(void **state)
{
	const struct ipc_open_in_use *message;

	(void)state;
	ask_others(false, false);
	message = role_expect(other_front, IPC_OPEN_IN_USE);
	assert_int_equal(message->since, 1793923200);
	assert_int_equal(message->idle, 5);
	send_taken(1, true); /* that login is over */
	role_ping();
}

static void test_another_keeper_that_hands_it_on(void **state)
{
	(void)state;
	ask_others(true, true);
	role_ping();
	fake_shared->try_open = MAILDROP_OK;
	role_expect(other_front, IPC_OPENED);
}

static void asked_by_another(bool take)
{
	struct ipc_take message = {.asker = 4711, .number = 5, .idle = 1000, .take = take};

	ROLE_SEND_TEXTS(&role.monitor, IPC_TAKE, &message, "anna");
}

static void expect_taken(uint64_t idle, bool taken)
{
	const struct ipc_taken *message = role_expect(&role.monitor, IPC_TAKEN);

	assert_int_equal(message->asker, 4711);
	assert_int_equal(message->number, 5);
	assert_int_equal(message->idle, idle);
	assert_int_equal(message->taken, taken);
}

/* What the other keeper's site says counts, not what this one's says. */
static void test_another_keeper_asks(void **state)
{
	(void)state;
	asked_by_another(true); /* for what is not in use: silence */
	role_ping();
	first_has_it();
	role_expect(&role.monitor, IPC_LOCATION);
	asked_by_another(false);
	role_expect(front, IPC_HOLDER_ASK);
	answer_holder(2000, 0);
	expect_taken(2000, false);
	asked_by_another(true);
	role_expect(front, IPC_HOLDER_ASK);
	answer_holder(999, 0);
	expect_taken(999, false);
	assert_false(role_speaks(front, 0));
	asked_by_another(true);
	role_expect(front, IPC_HOLDER_ASK);
	answer_holder(1000, 0);
	expect_taken(1000, true);
	expect_gone(FIRST, REASON_TAKEN_OVER);
	role_ping();
	assert_int_equal(fake_shared->open, 0);
	assert_int_equal(fake_shared->left, 1);
}

/* ---- another machine ---- */

static const struct store_holding holding = {.since = 1793923200,
					     .idle = 5,
					     .known = true,
					     .address = {[10] = 0xff, 0xff, 192, 0, 2, 1}};

static void ask_nodes(void)
{
	fake_shared->try_open = MAILDROP_IN_USE;
	open_for(other_front, SECOND);
	role_expect(&role.monitor, IPC_TAKE);
	fake_wait(&fake_shared->begun[FAKE_ASK], 1);
	assert_int_equal(fake_shared->asks.idle, IDLE);
	assert_true(fake_shared->asks.take);
	fake_shared->holding = holding;
}

static void test_another_machine_that_keeps_it(void **state)
{
	const struct ipc_open_in_use *message;

	(void)state;
	ask_nodes();
	fake_end(FAKE_ASK, MAILDROP_OK);
	message = role_expect(other_front, IPC_OPEN_IN_USE);
	assert_int_equal(message->since, 1793923200);
	assert_int_equal(message->idle, 5);
	assert_int_equal(message->address[12], 192);
}

static void test_threat_109_another_machine_that_hands_it_on(void **state)
{
	const struct ipc_opened *opened;

	(void)state;
	ask_nodes();
	fake_shared->holding.taken = true;
	fake_end(FAKE_ASK, MAILDROP_OK);
	role_ping();
	assert_int_equal(fake_shared->open, 0); /* the lock counts, not what was said */
	fake_shared->try_open = MAILDROP_OK;
	opened = role_expect(other_front, IPC_OPENED);
	assert_int_equal(opened->session, SECOND);
}

static void test_machines_that_do_not_answer(void **state)
{
	(void)state;
	ask_nodes();
	role_expect(other_front, IPC_OPEN_FAILED); /* after some seconds */
	fake_end(FAKE_ASK, MAILDROP_TEMP);         /* that login is over */
	role_ping();
}

/* What the front says of a session that another machine asks for. */
static void asked_by_a_machine(bool take, uint64_t idle, uint32_t busy)
{
	unsigned before = fake_shared->answered;

	fake_end(FAKE_ASKED, take);
	role_expect(front, IPC_HOLDER_ASK);
	answer_holder(idle, busy);
	fake_wait(&fake_shared->answered, before + 1);
	assert_true(fake_shared->answer.known);
	assert_int_equal(fake_shared->answer.idle, idle);
	assert_int_equal(fake_shared->answer.address[12], 192);
}

static void test_threat_109_another_machine_asks(void **state)
{
	(void)state;
	first_has_it();
	role_expect(&role.monitor, IPC_LOCATION);
	asked_by_a_machine(false, 100 * IDLE, 0);
	assert_false(fake_shared->answer.taken);
	asked_by_a_machine(true, FAKE_ASKED_IDLE - 1, 0);
	assert_false(fake_shared->answer.taken);
	asked_by_a_machine(true, FAKE_ASKED_IDLE, 1);
	assert_false(fake_shared->answer.taken);
	assert_false(role_speaks(front, 0));
	mark(FIRST);
	asked_by_a_machine(true, FAKE_ASKED_IDLE, 0);
	assert_true(fake_shared->answer.taken);
	expect_gone(FIRST, REASON_TAKEN_OVER);
	role_ping();
	assert_int_equal(fake_shared->open, 0);
	assert_int_equal(fake_shared->begun[FAKE_COMMIT], 0);
}

/* Whoever asks does not wait for a front that hangs longer than its session lives. */
static void test_a_session_that_ends_while_a_machine_asks(void **state)
{
	struct ipc_session close_it = {.session = FIRST};

	(void)state;
	first_has_it();
	fake_end(FAKE_ASKED, true);
	fake_end(FAKE_ASKED, true);
	role_expect(front, IPC_HOLDER_ASK);
	assert_int_equal(fake_shared->answered, 0);
	role_send(front, IPC_CLOSE, &close_it);
	fake_wait(&fake_shared->answered, 2);
	assert_false(fake_shared->answer.known);
	assert_false(fake_shared->answer.taken);
}

/* ---- orders for all machines ---- */

static void put_told(const char *octets, size_t size)
{
	memcpy(fake_shared->octets, octets, size);
	fake_shared->size = size;
	fake_end(FAKE_TOLD, 0);
}

static void test_orders_go_out_and_come_in(void **state)
{
	struct ipc_nodes order = {.id = 0x1122334455667788, .what = NODES_KICK, .uid = 1000};
	const struct ipc_nodes *message;

	(void)state;
	ROLE_SEND_TEXTS(auth, IPC_NODES, &order, "anna");
	fake_wait(&fake_shared->told, 1);
	fake_end(FAKE_TOLD, 0); /* as another machine hears it */
	message = role_expect(auth, IPC_NODES);
	assert_int_equal(message->id, order.id);
	assert_int_equal(message->what, NODES_KICK);
	assert_int_equal(message->uid, 1000);
	assert_true(span_equal(ipc_text(message, 0), SPAN_LITERAL("anna")));
	order.what = NODES_FLUSH;
	ROLE_SEND_TEXTS(auth, IPC_NODES, &order, "");
	fake_wait(&fake_shared->told, 2);
	fake_end(FAKE_TOLD, 0);
	message = role_expect(auth, IPC_NODES);
	assert_int_equal(message->what, NODES_FLUSH);
	assert_int_equal(ipc_text(message, 0).size, 0);
}

static void test_bans_go_out_and_come_in(void **state)
{
	struct ipc_ban ban = {.act = BAN_ADD,
			      .seconds = 3600,
			      .uid = 1000,
			      .bits = 120,
			      .flags = BAN_FORCE,
			      .address = {[10] = 0xff, 0xff, 192, 0, 2}};
	const struct ipc_ban *message;

	(void)state;
	ROLE_SEND_TEXTS(&role.monitor, IPC_NODES_BAN, &ban, "guesses");
	fake_wait(&fake_shared->told, 1);
	fake_end(FAKE_TOLD, 0);
	message = role_expect(&role.monitor, IPC_NODES_BAN);
	assert_int_equal(message->act, BAN_ADD);
	assert_int_equal(message->seconds, 3600);
	assert_int_equal(message->uid, 1000);
	assert_int_equal(message->bits, 120);
	assert_int_equal(message->flags, BAN_FORCE);
	assert_memory_equal(message->address, ban.address, sizeof(ban.address));
	assert_true(span_equal(ipc_text(message, 0), SPAN_LITERAL("guesses")));
}

/* What another machine tells is another program's: it ends no process of this one. */
static void test_threat_80_orders_that_make_no_sense(void **state)
{
	char octets[STORE_TELL_MAX] = "";

	(void)state;
	put_told("", 0);
	put_told("Z later", 7);
	put_told("K1234567", 8);          /* too short */
	put_told("K1234567890ab", 13);    /* nobody is meant */
	put_told("B\xff\xff\xff\xff", 5); /* too short */
	octets[0] = 'B';                  /* for no time */
	put_told(octets, 40);
	octets[1] = 1;
	octets[9] = (char)200; /* bits */
	put_told(octets, 40);
	octets[9] = 8;
	octets[13] = (char)0x80; /* flags */
	put_told(octets, 40);
	octets[13] = 0;
	put_told(octets, sizeof(octets)); /* too many words */
	octets[0] = 'F';
	put_told(octets, sizeof(octets));
	role_ping();
	assert_false(role_speaks(auth, 0));
	assert_false(role_speaks(&role.monitor, 0));
}

/* ---- the store ends a session ---- */

static void test_events_of_the_store(void **state)
{
	static const struct {
		enum store_event event;
		enum reason reason;
	} cases[] = {{STORE_LOST, REASON_MAILDROP_TEMP},
		     {STORE_TAKEN, REASON_TAKEN_OVER},
		     {STORE_WRONG, REASON_MAILDROP_TEMP}};

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		fake_shared->try_open = MAILDROP_OK;
		open_for(front, FIRST + i);
		role_expect(front, IPC_OPENED);
		mark(FIRST + i);
		role_ping();
		fake_end(FAKE_EVENT, cases[i].event);
		expect_gone(FIRST + i, cases[i].reason);
		commit(FIRST + i);
		expect_gone(FIRST + i, REASON_MAILDROP_TEMP);
	}
	assert_int_equal(fake_shared->begun[FAKE_COMMIT], 0);
	assert_int_equal(fake_shared->open, 0);
}

#define TAKING(test) cmocka_unit_test_setup_teardown(test, begin_taking, over)
#define NODES(test) cmocka_unit_test_setup_teardown(test, begin_nodes, over)
#define EXCLUSIVE(test) cmocka_unit_test_setup_teardown(test, begin_exclusive, over)

int main(void)
{
	const struct CMUnitTest tests[] = {
		EXCLUSIVE(test_an_exclusive_site),
		TAKING(test_not_idle_for_long_enough),
		TAKING(test_a_command_under_way),
		TAKING(test_a_front_that_does_not_answer),
		TAKING(test_threat_109_an_idle_session_is_taken_over),
		TAKING(test_a_taken_maildrop_that_closes_late),
		TAKING(test_deletions_under_way_come_first),
		TAKING(test_threat_109_a_message_that_is_being_read),
		TAKING(test_an_answer_that_was_not_asked_for),
		TAKING(test_requests_of_no_session),
		EXCLUSIVE(test_another_keeper_that_keeps_it),
		TAKING(test_another_keeper_that_hands_it_on),
		EXCLUSIVE(test_another_keeper_asks),
		NODES(test_another_machine_that_keeps_it),
		NODES(test_threat_109_another_machine_that_hands_it_on),
		NODES(test_machines_that_do_not_answer),
		NODES(test_threat_109_another_machine_asks),
		NODES(test_a_session_that_ends_while_a_machine_asks),
		NODES(test_orders_go_out_and_come_in),
		NODES(test_bans_go_out_and_come_in),
		NODES(test_threat_80_orders_that_make_no_sense),
		EXCLUSIVE(test_events_of_the_store),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
