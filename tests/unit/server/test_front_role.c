/* A POP3 front before a login: what it offers, its deadline, credits at auth, and its end. The test
 * plays the monitor, auth and the clients. */
#include "role_test.h"

#include "server/front/front.h"

enum { LOGIN_MS = 60 * 1000 };

static struct role_peer *auth, *keeper;
static int client;
static void *stopped;

static void say(const char *text)
{
	assert_int_equal(send(client, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* What comes until text ends so; "" and the rest of it: the connection is closed. */
static const char *read_until(const char *end)
{
	static char text[4096];
	size_t used = 0;

	for (;;) {
		struct pollfd wait = {.fd = client, .events = POLLIN};

		assert_true(used < sizeof(text) - 1);
		assert_int_equal(poll(&wait, 1, ROLE_PATIENCE_MS), 1);
		if (recv(client, text + used, 1, 0) <= 0)
			break;
		text[++used] = '\0';
		if (used >= strlen(end) && strcmp(text + used - strlen(end), end) == 0)
			break;
	}
	text[used] = '\0';
	return text;
}

static void reply(const char *wanted)
{
	const char *text = read_until("\r\n");

	if (strncmp(text, wanted, strlen(wanted)) != 0)
		fail_msg("%s, not %s", text, wanted);
}

static uint64_t greeted(void)
{
	struct ipc_connected connected = {.reason = REASON_OK};
	const struct ipc_connect *connect_ = role_expect(auth, IPC_CONNECT);

	connected.session = connect_->session;
	ROLE_SEND_TEXTS(auth, IPC_CONNECTED, &connected, "");
	reply("+OK ");
	return connected.session;
}

static int begin(void **state)
{
	struct ipc_offer offer = {.apop = 0};

	role_begin(&front_role, false);
	if (state == &stopped)
		role_stop_clock();
	role_listen(SERVICE_POP3);
	auth = role_peer(ROLE_AUTH, 0);
	keeper = role_peer(ROLE_KEEPER, 0);
	role_go();
	ROLE_SEND_TEXTS(auth, IPC_OFFER, &offer, "PLAIN", "PLAIN");
	role_ping();
	client = role_dial();
	return 0;
}

static int begin_stopped(void **state)
{
	(void)state;
	return begin(&stopped);
}

static int end(void **state)
{
	close(client);
	return role_over(state);
}

static uint64_t password(void)
{
	const struct ipc_credentials *pass;

	say("USER anna\r\nPASS secret\r\n");
	reply("+OK");
	pass = role_expect(auth, IPC_PASS);
	return pass->ticket;
}

static void test_capabilities(void **state)
{
	(void)state;
	greeted();
	say("CAPA\r\n");
	assert_string_equal(read_until("\r\n.\r\n"),
			    "+OK the list follows\r\nTOP\r\nUIDL\r\nPIPELINING\r\nRESP-CODES\r\n"
			    "AUTH-RESP-CODE\r\nUSER\r\nSASL PLAIN\r\nEXPIRE NEVER\r\n"
			    "IMPLEMENTATION Valija\r\n.\r\n");
}

static void test_nobody_logs_in(void **state)
{
	(void)state;
	greeted();
	role_advance(LOGIN_MS - 1);
	say("NOOP\r\n"); /* no command makes it longer */
	reply("-ERR");
	role_advance(1);
	assert_string_equal(read_until("\r\n"), "");
	role_expect(auth, IPC_DISCONNECT);
}

/* Only the keeper that auth chose has the ticket. */
static void test_threat_29_a_keeper_without_the_ticket(void **state)
{
	uint64_t session = greeted();
	struct ipc_open_failed failed = {.session = session, .reason = REASON_IN_USE};

	(void)state;
	failed.ticket = password() + 1;
	role_send(keeper, IPC_OPEN_FAILED, &failed);
	role_ping();
	failed.ticket--;
	role_send(keeper, IPC_OPEN_FAILED, &failed);
	reply("-ERR [IN-USE]");
}

static void test_auth_goes_before_it_answers(void **state)
{
	(void)state;
	greeted();
	password();
	role_peer_dies(auth);
	reply("-ERR [SYS/TEMP]");
}

static void test_drain_ends_who_waits_for_nothing(void **state)
{
	(void)state;
	greeted();
	role_drain(3600 * 1000);
	assert_string_equal(read_until("\r\n"), "");
	assert_int_equal(role_ends(), 0);
}

static void test_drain_waits_for_an_answer_until_it_is_over(void **state)
{
	enum { DRAIN_MS = 5000, FAST = 20 };
	struct timespec began, now;
	long ms;

	(void)state;
	greeted();
	password();
	role.shared->speed = FAST;
	clock_gettime(CLOCK_MONOTONIC, &began);
	role_drain(DRAIN_MS);
	assert_string_equal(read_until("\r\n"), "");
	clock_gettime(CLOCK_MONOTONIC, &now);
	ms = (now.tv_sec - began.tv_sec) * 1000 + (now.tv_nsec - began.tv_nsec) / 1000000;
	assert_true(ms >= DRAIN_MS / FAST - 2);
	assert_int_equal(role_ends(), 0);
}

#define IN_FRONT(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_FRONT(test_capabilities),
		cmocka_unit_test_setup_teardown(test_nobody_logs_in, begin_stopped, end),
		IN_FRONT(test_threat_29_a_keeper_without_the_ticket),
		IN_FRONT(test_auth_goes_before_it_answers),
		IN_FRONT(test_drain_ends_who_waits_for_nothing),
		IN_FRONT(test_drain_waits_for_an_answer_until_it_is_over),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
