/* auth and the process of last logins. The test plays the monitor, a POP3 front, an MTA's process,
 * a keeper and that process; the day is the test's. */
#include "role_test.h"

#include "base/text.h"
#include "server/auth/auth.h"
#include "server/auth/last_login.h"
#include "users/last_logins.h"

static struct role_peer *front, *mta, *keeper, *logins;
static atomic_uint *today; /* of both processes */
static uint64_t ticket, session;

uint32_t __wrap_last_login_today(void);

uint32_t __wrap_last_login_today(void)
{
	return *today;
}

static int begin(void **state)
{
	(void)state;
	today = mmap(NULL, sizeof(*today), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		     0);
	assert_ptr_not_equal(today, MAP_FAILED);
	*today = 20000;
	session = 0;
	role_begin(&auth_role, false);
	front = role_peer(ROLE_FRONT, 0);
	mta = role_peer(ROLE_MTA, 0);
	keeper = role_peer(ROLE_KEEPER, 0);
	logins = role_peer(ROLE_LOGINS, 0);
	role_go();
	return 0;
}

static int over(void **state)
{
	munmap(today, sizeof(*today));
	return role_over(state);
}

static void connect_client(const struct role_peer *by)
{
	struct ipc_connect connect = {.session = ++session, .loopback = 1};

	memset(connect.address + 10, 0xff, 2);
	connect.address[12] = 127;
	connect.address[15] = 1;
	role_send(by, IPC_CONNECT, &connect);
}

static void log_in(const char *name, const char *password)
{
	struct ipc_credentials message = {.ticket = ++ticket, .has_secret = 1};

	connect_client(front);
	role_expect(front, IPC_CONNECTED);
	message.session = session;
	ROLE_SEND_TEXTS(front, IPC_PASS, &message, name, password);
}

static void log_in_well(const char *name)
{
	struct ipc_session close = {.session = 0};

	log_in(name, "secret");
	role_expect(keeper, IPC_OPEN);
	close.session = session;
	role_send(front, IPC_DISCONNECT, &close);
}

static void log_in_at_mta(const char *plain)
{
	struct ipc_credentials message = {.ticket = ++ticket, .has_secret = 1};

	connect_client(mta);
	role_expect(mta, IPC_CONNECTED);
	message.session = session;
	ROLE_SEND_TEXTS(mta, IPC_SASL_START, &message, "PLAIN", plain);
	role_expect(mta, IPC_GRANTED);
}

static void expect_row(const char *name, uint32_t day, bool at_mta)
{
	const struct ipc_logged_in *row = role_expect(logins, IPC_LOGGED_IN);

	assert_true(span_equal(ipc_text(row, 0), span_of(name)));
	assert_true(span_equal(ipc_text(row, 1), span_of("")));
	assert_int_equal(row->day, day);
	assert_int_equal(row->mta, at_mta);
}

/* All that auth has sent is taken: a row would be there. */
static void expect_no_row(void)
{
	role_ping();
	assert_false(role_speaks(logins, 0));
}

static void one_row_a_user_and_day(void **state)
{
	(void)state;
	log_in_well("anna");
	expect_row("anna", 20000, false);
	log_in_well("anna");
	log_in_well("ANNA"); /* the same user */
	expect_no_row();
	log_in_well("berta");
	expect_row("berta", 20000, false);
	expect_no_row();
}

static void one_row_a_service(void **state)
{
	(void)state;
	log_in_well("anna");
	expect_row("anna", 20000, false);
	log_in_at_mta("AGFubmEAc2VjcmV0"); /* NUL anna NUL secret */
	expect_row("anna", 20000, true);
	log_in_at_mta("AGFubmEAc2VjcmV0");
	expect_no_row();
}

static void a_new_day_is_a_new_row(void **state)
{
	(void)state;
	log_in_well("anna");
	expect_row("anna", 20000, false);
	++*today;
	log_in_well("anna");
	expect_row("anna", 20001, false);
	log_in_well("anna");
	expect_no_row();
	*today = 20000; /* the clock went back */
	log_in_well("anna");
	expect_row("anna", 20000, false);
}

static void a_refused_login_is_none(void **state)
{
	(void)state;
	log_in("anna", "wrong");
	role_expect(front, IPC_DENIED);
	log_in("nobody", "secret");
	role_expect(front, IPC_DENIED);
	expect_no_row();
}

/* Logins go on while the process is not there, and the first one afterwards is sent. */
static void nobody_waits_for_it(void **state)
{
	(void)state;
	role_peer_dies(logins);
	log_in_well("anna");
	log_in_well("berta");
	logins = role_peer(ROLE_LOGINS, 0);
	log_in_well("anna");
	expect_row("anna", 20000, false);
}

/* It sends nothing: there is no row for it. */
static void a_word_of_it_cuts_its_channel(void **state)
{
	struct ipc_session message = {.session = 1};

	(void)state;
	role_send(logins, IPC_DISCONNECT, &message);
	role_expect_cut(logins);
	log_in_well("anna");
}

/* ---- a process that does not read ---- */

static void no_packet(struct chan *chan, const void *data, size_t size, int *fds, unsigned fd_count)
{
	(void)chan, (void)data, (void)size, (void)fds, (void)fd_count;
}

static void no_end(struct chan *chan, const char *why)
{
	(void)chan, (void)why;
}

/* Its notes are dropped, and counted, and sent with a later login; logins do not wait. */
static void test_a_process_that_does_not_read(void **state)
{
	enum { QUEUE_MAX = 256 * 1024, MOST = 200000 };
	static const struct chan_handler handler = {.packet = no_packet, .broken = no_end};
	struct last_login_notes notes;
	static struct user user;
	struct peer peer = {.role = ROLE_LOGINS};
	struct err err;
	struct loop *loop = loop_create(&err);
	unsigned users = 0;
	int ends[2];

	(void)state;
	today = &(atomic_uint){20000};
	assert_int_equal(chan_pair(ends, &err), 0);
	chan_init(&peer.chan, loop, &ends[0], &handler, NULL, 4 * QUEUE_MAX);
	last_login_notes_init(&notes);
	last_login_up(&notes, &peer);
	while (!notes.dropped && users < MOST) { /* each is another user */
		snprintf(user.name, sizeof(user.name), "user%u", users++);
		last_login_note(&notes, &user, NULL, false);
	}
	assert_int_equal(notes.dropped, 1);
	assert_true(chan_queued(&peer.chan) > QUEUE_MAX);
	assert_true(chan_queued(&peer.chan) < QUEUE_MAX + 1024);
	last_login_note(&notes, &user, NULL, false); /* it was not sent: not known as such */
	assert_int_equal(notes.dropped, 2);
	last_login_tick(&notes);
	assert_int_equal(notes.dropped, 0);
	chan_finish(&peer.chan);
	close(ends[1]);
	hash_map_finish(&notes.sent);
	loop_destroy(loop);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, begin, over)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_process_that_does_not_read),
		TEST(one_row_a_user_and_day),
		TEST(one_row_a_service),
		TEST(a_new_day_is_a_new_row),
		TEST(a_refused_login_is_none),
		TEST(nobody_waits_for_it),
		TEST(a_word_of_it_cuts_its_channel),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
