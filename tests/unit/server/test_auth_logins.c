/* Logins at auth: what each verdict becomes for the front, the keeper and the log; delays and
 * bounds; messages of a hostile front. The test plays the monitor, a front and a keeper. */
#include "role_test.h"

#include "base/text.h"
#include "server/auth/auth.h"

#include <sysexits.h>

enum { TICKET = 77 };

static struct role_peer *front, *keeper;

static void settings(struct config *config)
{
	config->plain_without_tls = false;
	config->failure_delay_ms = 100;
	config->failure_delay_max_ms = 300;
	config->max_failures = 4;
	config->max_sessions_per_user = 2;
	config->max_connections = 3;
	config->max_connections_per_address = 2;
}

static void apop(struct config *config)
{
	settings(config);
	config->apop = true;
}

static int begin_with(void (*configure)(struct config *))
{
	role_configure = configure;
	role_captures = true;
	role_begin(&auth_role, false);
	role_stop_clock();
	front = role_peer(ROLE_FRONT, 0);
	keeper = role_peer(ROLE_KEEPER, 0);
	role_go();
	return 0;
}

static int begin(void **state)
{
	(void)state;
	return begin_with(settings);
}

static void login_delay(struct config *config)
{
	settings(config);
	config->login_delay_seconds = 60;
	config->login_delay_max = 600;
}

static int begin_login_delay(void **state)
{
	(void)state;
	return begin_with(login_delay);
}

static int begin_apop(void **state)
{
	(void)state;
	return begin_with(apop);
}

static int end(void **state)
{
	role_configure = NULL;
	return role_over(state);
}

/* From 10.0.0.HOST; HOST 0: loopback. */
static const struct ipc_connected *connected(uint64_t session, uint8_t host)
{
	struct ipc_connect message = {.session = session, .loopback = !host};
	const struct ipc_connected *answer;

	memset(message.address + 10, 0xff, 2);
	message.address[12] = host ? 10 : 127;
	message.address[15] = host ? host : 1;
	role_send(front, IPC_CONNECT, &message);
	answer = role_expect(front, IPC_CONNECTED);
	assert_int_equal(answer->session, session);
	return answer;
}

static void connect_one(uint64_t session, uint8_t host)
{
	assert_int_equal(connected(session, host)->reason, REASON_OK);
}

static void send_login(enum ipc_type type, uint64_t session, const char *user, const char *secret,
		       uint32_t tls)
{
	struct ipc_credentials message = {
		.session = session, .ticket = TICKET, .has_secret = secret != NULL, .tls = tls};

	ROLE_SEND_TEXTS(front, type, &message, user, secret ? secret : "");
}

static void pass(uint64_t session, const char *user, const char *secret)
{
	send_login(IPC_PASS, session, user, secret, TLS_1_3);
}

static void expect_denied(uint64_t session, enum reason reason, uint32_t delay, bool close)
{
	const struct ipc_denied *answer = role_expect(front, IPC_DENIED);

	assert_int_equal(answer->session, session);
	assert_int_equal(answer->ticket, TICKET);
	assert_int_equal(answer->reason, reason);
	assert_int_equal(answer->delay, delay);
	assert_int_equal(answer->close, close);
}

static void expect_open(uint64_t session, const char *user)
{
	const struct ipc_open *open = role_expect(keeper, IPC_OPEN);

	assert_int_equal(open->session, session);
	assert_int_equal(open->ticket, TICKET);
	assert_int_equal(open->front, front->instance);
	assert_int_equal(open->no_delete, 0);
	assert_true(span_equal(ipc_text(open, 0), (pop3_span){user, strlen(user)}));
	assert_true(span_equal(ipc_text(open, 1), (pop3_span){user, strlen(user)}));
	assert_int_equal(ipc_text(open, 2).size, 0);
}

static void disconnect(uint64_t session)
{
	struct ipc_session message = {.session = session};

	role_send(front, IPC_DISCONNECT, &message);
}

/* ---- verdicts ---- */

static void test_a_right_password(void **state)
{
	(void)state;
	connect_one(1, 9);
	pass(1, "Anna", "secret");
	expect_open(1, "anna");
	role_expect_log("<2>login from=10.0.0.9 session=2-1 mechanism=\"USER\" tls=\"TLSv1.3\" "
			"user=\"Anna\"\n");
	assert_int_equal(role_counted(COUNTER_HASHES), 0); /* that is no work */
	assert_int_equal(role_entered(COUNTER_LOGIN_STEPS + STEP_VERDICT * HISTOGRAM_SLOTS), 1);
	assert_int_equal(role_counted(COUNTER_REMEMBERED), 1);
	pass(1, "anna", "wrong");
	role_expect(front, IPC_DENIED);
	assert_int_equal(role_entered(COUNTER_LOGIN_STEPS + STEP_VERDICT * HISTOGRAM_SLOTS), 1);
}

/* The delay doubles up to its bound; then the connection is closed. */
static void test_wrong_passwords(void **state)
{
	static const uint32_t delays[] = {100, 200, 300, 300};

	(void)state;
	connect_one(1, 9);
	for (unsigned i = 0; i < 4; i++) {
		pass(1, i % 2 ? "nobody" : "anna", "wrong");
		expect_denied(1, REASON_WRONG, delays[i], i == 3);
	}
	role_expect_log("<2>login-refused from=10.0.0.9 session=2-1 mechanism=\"USER\" "
			"tls=\"TLSv1.3\" user=\"anna\" reason=\"");
	role_expect_log("user=\"nobody\" reason=\"");
	/* another connection of that address goes on where it was */
	connect_one(2, 9);
	pass(2, "anna", "wrong");
	expect_denied(2, REASON_WRONG, 300, false);
	connect_one(3, 8);
	pass(3, "anna", "wrong");
	expect_denied(3, REASON_WRONG, 100, false);
}

/* Proxies connect from there for all: only the connection is counted. */
static void test_wrong_passwords_from_this_machine(void **state)
{
	(void)state;
	for (uint64_t session = 1; session < 3; session++) {
		connect_one(session, 0);
		pass(session, "anna", "wrong");
		expect_denied(session, REASON_WRONG, 100, false);
		pass(session, "anna", "wrong");
		expect_denied(session, REASON_WRONG, 200, false);
	}
}

static void test_a_login_behind_a_wrong_one(void **state)
{
	(void)state;
	connect_one(1, 9);
	pass(1, "anna", "wrong");
	expect_denied(1, REASON_WRONG, 100, false);
	pass(1, "anna", "secret");
	expect_open(1, "anna");
}

/* ---- in clear text ---- */

static void test_no_password_in_clear_text(void **state)
{
	(void)state;
	connect_one(1, 9);
	send_login(IPC_PASS, 1, "anna", "secret", TLS_NONE);
	expect_denied(1, REASON_CLEAR_TEXT, 0, false);
	role_expect_log("<2>login-failed from=10.0.0.9 session=2-1 mechanism=\"USER\" tls=\"no\" "
			"user=\"anna\" reason=\"not in clear text: use TLS\"\n");
	send_login(IPC_SASL_START, 1, "PLAIN", "AGFubmEAc2VjcmV0", TLS_NONE);
	expect_denied(1, REASON_CLEAR_TEXT, 0, false);
	role_expect_log("mechanism=\"PLAIN\" tls=\"no\" user=\"\" reason=\"not in clear text: use "
			"TLS\"\n");
	send_login(IPC_SASL_START, 1, "SCRAM-SHA-256", NULL, TLS_NONE); /* it shows none */
	role_expect(front, IPC_CHALLENGE);
	/* on this machine it is no matter */
	connect_one(2, 0);
	send_login(IPC_PASS, 2, "anna", "secret", TLS_NONE);
	expect_open(2, "anna");
}

/* ---- SASL ---- */

static void test_sasl_in_one_step_and_in_two(void **state)
{
	const struct ipc_challenge *challenge;

	(void)state;
	connect_one(1, 9);
	send_login(IPC_SASL_START, 1, "PLAIN", "AGFubmEAc2VjcmV0", TLS_1_2);
	expect_open(1, "anna");
	role_expect_log("mechanism=\"PLAIN\" tls=\"TLSv1.2\" user=\"anna\"\n");
	connect_one(2, 9);
	send_login(IPC_SASL_START, 2, "PLAIN", NULL, TLS_1_2);
	challenge = role_expect(front, IPC_CHALLENGE);
	assert_int_equal(challenge->session, 2);
	assert_int_equal(ipc_text(challenge, 0).size, 0);
	send_login(IPC_SASL_RESPONSE, 2, "", "AGJlcnRhAHNlY3JldA==", TLS_NONE);
	expect_open(2, "berta");
}

static void test_a_mechanism_that_is_none(void **state)
{
	(void)state;
	connect_one(1, 9);
	send_login(IPC_SASL_START, 1, "NONE", "AA==", TLS_1_3);
	role_expect(front, IPC_DENIED);
	role_ping();
}

/* A response without a question, two attempts at once: a hostile front loses its client alone. */
static void test_out_of_order(void **state)
{
	(void)state;
	connect_one(1, 9);
	send_login(IPC_SASL_RESPONSE, 1, "", "AGFubmEAc2VjcmV0", TLS_1_3);
	role_ping();
	assert_false(role_speaks(front, 0));
	send_login(IPC_SASL_START, 1, "PLAIN", NULL, TLS_1_3);
	role_expect(front, IPC_CHALLENGE);
	pass(1, "anna", "secret");
	role_ping();
	assert_false(role_speaks(front, 0) || role_speaks(keeper, 0));
	send_login(IPC_SASL_RESPONSE, 1, "", "AGFubmEAc2VjcmV0", TLS_1_3);
	expect_open(1, "anna");
	pass(99, "anna", "secret"); /* no such session */
	role_ping();
	assert_false(role_speaks(front, 0) || role_speaks(keeper, 0));
}

static void begin_exchange(uint64_t session)
{
	/* n,,n=anna,r=abc */
	send_login(IPC_SASL_START, session, "SCRAM-SHA-256", "biwsbj1hbm5hLHI9YWJj", TLS_1_3);
}

static void give_up(uint64_t session)
{
	struct ipc_session cancel = {.session = session};

	role_send(front, IPC_SASL_CANCEL, &cancel);
}

/* An exchange that is given up behind its first step has cost something: the next one waits. */
static void test_exchanges_that_are_given_up(void **state)
{
	(void)state;
	connect_one(1, 9);
	begin_exchange(1);
	role_expect(front, IPC_CHALLENGE);
	give_up(1);
	role_expect_log("<2>login-given-up from=10.0.0.9 session=2-1 mechanism=\"SCRAM-SHA-256\" "
			"tls=\"TLSv1.3\" user=\"anna\"\n");
	begin_exchange(1); /* one may be an accident */
	role_expect(front, IPC_CHALLENGE);
	give_up(1);
	begin_exchange(1);
	role_expect(front, IPC_SLOW);
	role_ping();
	assert_false(role_speaks(front, 0));
	role.shared->clock += 1000;
	role_expect(front, IPC_CHALLENGE);
	/* it is not counted when nothing was done for it */
	send_login(IPC_SASL_RESPONSE, 1, "", "AA==", TLS_1_3);
	role_expect(front, IPC_DENIED);
}

/* One that waits is gone with its client. */
static void test_a_client_that_leaves_while_it_waits(void **state)
{
	(void)state;
	connect_one(1, 9);
	for (int i = 0; i < 2; i++) {
		begin_exchange(1);
		role_expect(front, IPC_CHALLENGE);
		give_up(1);
	}
	begin_exchange(1);
	role_expect(front, IPC_SLOW);
	disconnect(1);
	role_advance(2000);
	assert_false(role_speaks(front, 0));
	assert_true(role_runs());
}

/* ---- bounds ---- */

static void test_sessions_of_a_user(void **state)
{
	(void)state;
	connect_one(1, 9);
	connect_one(2, 9);
	connect_one(3, 8);
	for (uint64_t session = 1; session < 3; session++) {
		pass(session, "anna", "secret");
		expect_open(session, "anna");
	}
	pass(3, "ANNA", "secret");
	expect_denied(3, REASON_USER_SESSIONS, 0, false);
	role_expect_log("user=\"ANNA\" reason=\"too many sessions of this user\"\n");
	pass(3, "berta", "secret");
	expect_open(3, "berta");
	disconnect(1);
	pass(3, "anna", "secret"); /* its keeper refused the maildrop: the front alone knows */
	expect_open(3, "anna");
}

/* ---- LOGIN-DELAY ---- */

/* Only the right secret meets it, and it counts as no failure. */
static void test_too_soon_after_the_last_login(void **state)
{
	(void)state;
	connect_one(1, 9);
	connect_one(2, 9);
	connect_one(3, 8);
	pass(1, "anna", "secret");
	expect_open(1, "anna");
	disconnect(1);
	pass(2, "anna", "wrong");
	expect_denied(2, REASON_WRONG, 100, false);
	for (int i = 0; i < 6; i++) { /* more than max_failures */
		pass(2, "Anna", "secret");
		expect_denied(2, REASON_LOGIN_DELAY, 0, false);
		role_expect_log("<2>login-refused from=10.0.0.9 session=2-2 mechanism=\"USER\" "
				"tls=\"TLSv1.3\" user=\"Anna\" reason=\"too soon after the last "
				"login\"\n");
	}
	pass(2, "anna", "wrong"); /* its second failure */
	expect_denied(2, REASON_WRONG, 200, false);
	pass(3, "berta", "secret");
	expect_open(3, "berta");
	role_advance(59999);
	pass(2, "anna", "secret");
	expect_denied(2, REASON_LOGIN_DELAY, 0, false);
	role_advance(1); /* tries in between have not moved it */
	pass(2, "anna", "secret");
	expect_open(2, "anna");
}

/* A maildrop that was in use: the next try is no second login. The front of another session, or of
 * another attempt, cannot say so. */
static void test_a_login_without_a_maildrop_does_not_count(void **state)
{
	struct ipc_unopened message = {.session = 1, .ticket = TICKET};

	(void)state;
	connect_one(1, 9);
	connect_one(2, 9);
	pass(1, "anna", "secret");
	expect_open(1, "anna");
	message.session = 2;
	role_send(front, IPC_UNOPENED, &message);
	message.session = 1;
	message.ticket = TICKET + 1;
	role_send(front, IPC_UNOPENED, &message);
	pass(2, "anna", "secret");
	expect_denied(2, REASON_LOGIN_DELAY, 0, false);
	message.ticket = TICKET;
	role_send(front, IPC_UNOPENED, &message);
	pass(1, "anna", "secret");
	expect_open(1, "anna");
	pass(2, "anna", "secret");
	expect_denied(2, REASON_LOGIN_DELAY, 0, false);
	assert_true(role_runs());
}

static void test_connections(void **state)
{
	(void)state;
	connect_one(1, 9);
	connect_one(2, 9);
	assert_int_equal(connected(3, 9)->reason, REASON_ADDRESS_CONNECTIONS);
	role_expect_log(
		"<2>connection-refused from=10.0.0.9 session=2-3 reason=\"too many connections "
		"from your address\"\n");
	connect_one(4, 8);
	assert_int_equal(connected(5, 7)->reason, REASON_CONNECTIONS);
	role_expect_log("session=2-5 reason=\"too many connections, try again later\"\n");
	disconnect(1);
	connect_one(6, 9);
	pass(3, "anna", "secret"); /* it was refused */
	role_ping();
	assert_false(role_speaks(front, 0) || role_speaks(keeper, 0));
}

static void resume(const struct role_peer *from, uint64_t session)
{
	struct ipc_connect message = {.session = session, .resumed = 1};

	role_send(from, IPC_CONNECT, &message);
}

static void test_connections_of_a_hostile_front(void **state)
{
	(void)state;
	connect_one(1, 9);
	resume(front, 1); /* that number is in use */
	role_expect_cut(front);
	role_expect_log("a session number was used twice");
	front = role_peer(ROLE_FRONT, 0);
	role_expect(front, IPC_OFFER);
	resume(front, 5); /* it was started after auth */
	role_expect_cut(front);
	role_expect_log("it resumes connections, but is new");
}

/* All that the front had is gone with it. */
static void test_a_front_that_goes(void **state)
{
	(void)state;
	connect_one(1, 9);
	connect_one(2, 9);
	for (uint64_t session = 1; session < 3; session++) {
		pass(session, "anna", "secret");
		expect_open(session, "anna");
	}
	role_peer_dies(front);
	role_expect(&role.monitor, IPC_PEER_LOST);
	front = role_peer(ROLE_FRONT, 0);
	connect_one(1, 9);
	connect_one(2, 9);
	pass(2, "anna", "secret");
	expect_open(2, "anna");
}

/* ---- what is on offer ---- */

static void expect_offer(bool with_apop, const char *clear, const char *tls)
{
	const void *message;
	const struct ipc_offer *offer;

	assert_int_equal(role_next(front, &message), IPC_OFFER);
	offer = message;
	assert_int_equal(offer->apop, with_apop);
	if (clear)
		assert_true(span_equal(ipc_text(offer, 0), (pop3_span){clear, strlen(clear)}));
	if (tls)
		assert_true(span_equal(ipc_text(offer, 1), (pop3_span){tls, strlen(tls)}));
}

static void test_apop(void **state)
{
	pop3_span stamp;
	char text[200];

	(void)state;
	expect_offer(true, NULL, NULL);
	stamp = ipc_text(connected(1, 9), 0);
	assert_true(stamp.size > 20 && stamp.size < sizeof(text));
	memcpy(text, stamp.data, stamp.size);
	text[stamp.size] = '\0';
	assert_int_equal(strspn(text + 1, "0123456789abcdef"), 32);
	assert_true(text[0] == '<' && text[33] == '.');
	assert_string_equal(text + stamp.size - 13, "@office.test>");
	send_login(IPC_APOP, 1, "anna", "00000000000000000000000000000000", TLS_NONE);
	expect_denied(1, REASON_WRONG, 100, false);
	role_expect_log("mechanism=\"APOP\" tls=\"no\" user=\"anna\" reason=\"");
}

/* The users file decides; it is looked at every five seconds. */
static void test_the_offer_follows_the_users_file(void **state)
{
	(void)state;
	expect_offer(true, NULL, NULL);
	role_write("users", "anna:$5$abc$x\n");
	role_advance(5000);
	assert_true(role_speaks(front, ROLE_PATIENCE_MS));
	expect_offer(false, NULL, NULL);
	role_advance(5000);
	assert_false(role_speaks(front, 0)); /* nothing new */
}

static void test_no_stamps_without_apop(void **state)
{
	(void)state;
	expect_offer(false, NULL, NULL);
	assert_int_equal(ipc_text(connected(1, 9), 0).size, 0);
}

/* ---- a start that fails ---- */

static void expect_failed(uint32_t code, const char *words)
{
	const struct ipc_failed *failed;
	struct ipc_empty start;
	char text[IPC_TEXT_MAX + 1];

	memset(&start, 0, sizeof(start));
	role_send(&role.monitor, IPC_START, &start);
	failed = role_expect(&role.monitor, IPC_FAILED);
	assert_int_equal(failed->code, code);
	assert_int_equal(span_copy(ipc_text(failed, 0), text, sizeof(text)), 0);
	if (!strstr(text, words))
		fail_msg("%s", text);
	assert_int_not_equal(role_ends(), 0);
}

static void test_users_that_are_wrong(void **state)
{
	(void)state;
	role_captures = true;
	role_begin(&auth_role, false);
	role_write("users", "anna\n");
	expect_failed(EX_CONFIG, "users:1: ");
}

static void test_no_users_file(void **state)
{
	(void)state;
	role_captures = true;
	role_begin(&auth_role, false);
	assert_int_equal(unlinkat(role.folder_fd, "users", 0), 0);
	expect_failed(EX_NOINPUT, "users: No such file or directory");
}

#define IN_AUTH(test) cmocka_unit_test_setup_teardown(test, begin, end)
#define APOP(test) cmocka_unit_test_setup_teardown(test, begin_apop, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_AUTH(test_a_right_password),
		IN_AUTH(test_wrong_passwords),
		IN_AUTH(test_wrong_passwords_from_this_machine),
		IN_AUTH(test_a_login_behind_a_wrong_one),
		IN_AUTH(test_no_password_in_clear_text),
		IN_AUTH(test_sasl_in_one_step_and_in_two),
		IN_AUTH(test_a_mechanism_that_is_none),
		IN_AUTH(test_out_of_order),
		IN_AUTH(test_exchanges_that_are_given_up),
		IN_AUTH(test_a_client_that_leaves_while_it_waits),
		IN_AUTH(test_sessions_of_a_user),
		cmocka_unit_test_setup_teardown(test_too_soon_after_the_last_login,
						begin_login_delay, end),
		cmocka_unit_test_setup_teardown(test_a_login_without_a_maildrop_does_not_count,
						begin_login_delay, end),
		IN_AUTH(test_connections),
		IN_AUTH(test_connections_of_a_hostile_front),
		IN_AUTH(test_a_front_that_goes),
		APOP(test_apop),
		APOP(test_the_offer_follows_the_users_file),
		IN_AUTH(test_no_stamps_without_apop),
		cmocka_unit_test_teardown(test_users_that_are_wrong, end),
		cmocka_unit_test_teardown(test_no_users_file, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
