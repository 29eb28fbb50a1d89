/* The process mta: logins of an MTA's clients, maps and quotas, what auth is asked for each, and
 * what is answered when auth is slow, busy or gone. The test plays the monitor, auth and the MTA.
 */
#include "role_test.h"
#include "unix_client.h"

#include "server/mta/fields.h"
#include "server/mta/mta.h"

#include <sys/resource.h>

enum {
	ANSWER_MS = 8 * 1000,
	CLIENT_MS = 300 * 1000,
	MAP_MS = 60 * 1000,
	POLICY_MS = 10 * 1000,
	IDLE_MS = 3600 * 1000,
	EXCHANGES_MAX = 64,
	FDS_RESERVED = 64,
};

#define HELLO "VERSION\t1\t2\nCPID\t99\n"

static struct role_peer *auth;
static int mta; /* a connection of it */
/* Of the next begin_service: a long timer is one, as that of a drain, which knows no time. */
static bool clock_runs;

/* ---- wraps, in the role's process ---- */

ssize_t __real_getrandom(void *buf, size_t size, unsigned flags);
ssize_t __wrap_getrandom(void *buf, size_t size, unsigned flags);

ssize_t __wrap_getrandom(void *buf, size_t size, unsigned flags)
{
	if (!role.shared || !role.shared->no_random)
		return __real_getrandom(buf, size, flags);
	errno = ENOSYS;
	return -1;
}

/* ---- what the test does ---- */

static void believe(uid_t uid)
{
	struct ipc_uids message = {.uids = {uid ^ 1, uid}, .count = 2};

	role_send(&role.monitor, IPC_PEER_UIDS, &message);
}

static void offer(const char *mechanisms)
{
	struct ipc_offer message = {.apop = 0};

	ROLE_SEND_TEXTS(auth, IPC_OFFER, &message, "EXTERNAL", mechanisms);
}

static void begin_service(enum config_service service)
{
	role_begin(&mta_role, false);
	if (!clock_runs)
		role_stop_clock();
	believe(geteuid());
	role_listen_unix(service);
	auth = role_peer(ROLE_AUTH, 0);
	role_go();
	offer("PLAIN");
	mta = role_dial_unix();
}

static void expect_greeting(int fd)
{
	read_until(fd, "\nDONE\n");
}

static int begin_sasl(void **state)
{
	(void)state;
	begin_service(SERVICE_SASL);
	expect_greeting(mta);
	say(mta, HELLO);
	return 0;
}

static int begin_sasl_running(void **state)
{
	clock_runs = true;
	return begin_sasl(state);
}

static int end(void **state)
{
	clock_runs = false;
	close(mta);
	return role_over(state);
}

/* The login that auth is asked for: its session and ticket. */
struct asked {
	uint64_t session, ticket;
};

static struct asked expect_start(void)
{
	const struct ipc_credentials *start;

	role_expect(auth, IPC_CONNECT);
	start = role_expect(auth, IPC_SASL_START);
	return (struct asked){start->session, start->ticket};
}

static void grant(struct asked asked, const char *user)
{
	struct ipc_granted message = {.session = asked.session, .ticket = asked.ticket};

	ROLE_SEND_TEXTS(auth, IPC_GRANTED, &message, user);
}

static void deny(struct asked asked, enum reason reason, uint32_t delay)
{
	struct ipc_denied message = {
		.session = asked.session, .ticket = asked.ticket, .reason = reason, .delay = delay};

	role_send(auth, IPC_DENIED, &message);
}

static void challenge(struct asked asked, const char *text)
{
	struct ipc_challenge message = {.session = asked.session};

	ROLE_SEND_TEXTS(auth, IPC_CHALLENGE, &message, text);
}

static void slow(struct asked asked)
{
	struct ipc_slow message = {.session = asked.session, .ticket = asked.ticket};

	role_send(auth, IPC_SLOW, &message);
}

static void expect_disconnect(struct asked asked)
{
	const struct ipc_session *message = role_expect(auth, IPC_DISCONNECT);

	assert_int_equal(message->session, asked.session);
}

static struct asked login(int fd, unsigned id)
{
	char text[64];

	snprintf(text, sizeof(text), "AUTH\t%u\tPLAIN\n", id);
	say(fd, text);
	return expect_start();
}

static void expect_failure(int fd, unsigned id, enum reason reason)
{
	char wanted[256];

	snprintf(wanted, sizeof(wanted), "FAIL\t%u\treason=%s\n", id, reason_row(reason)->words);
	expect(fd, wanted);
}

static void expect_failure_for_now(int fd, unsigned id)
{
	char wanted[256];

	snprintf(wanted, sizeof(wanted), "FAIL\t%u\treason=%s\tcode=temp_fail\ttemp\n", id,
		 reason_row(REASON_LOGIN_DOWN)->words);
	expect(fd, wanted);
}

static void map_ask(int fd, const char *question)
{
	char text[2048];

	snprintf(text, sizeof(text), "%zu:%s,", strlen(question), question);
	say(fd, text);
}

static void map_expect(int fd, const char *answer)
{
	char text[2048];

	snprintf(text, sizeof(text), "%zu:%s,", strlen(answer), answer);
	expect(fd, text);
}

/* ---- the greeting ---- */

static void test_greeting(void **state)
{
	const char *text;
	char rest[128];
	int second = role_dial_unix();

	(void)state;
	/* the mechanisms under TLS count: the MTA sees to that; none that binds to a connection */
	offer("PLAIN  CRAM-MD5 SCRAM-SHA-256-PLUS SCRAM-SHA-256");
	role_ping();
	read_until(second, "DONE\n");
	close(second);
	second = role_dial_unix();
	text = read_until(second, "\nSPID\t");
	assert_string_equal(text, "VERSION\t1\t2\nMECH\tPLAIN\tplaintext\n"
				  "MECH\tCRAM-MD5\tdictionary\tactive\n"
				  "MECH\tSCRAM-SHA-256\tdictionary\tactive\tmutual-auth\nSPID\t");
	snprintf(rest, sizeof(rest), "%d\nCUID\t3\nCOOKIE\t", (int)role.pid);
	assert_string_equal(read_until(second, "COOKIE\t"), rest);
	text = read_until(second, "DONE\n");
	assert_int_equal(strspn(text, "0123456789abcdef"), 32);
	assert_string_equal(text + 32, "\nDONE\n");
	expect_nothing(second);
	close(second);
}

static void test_no_greeting_before_the_mechanisms_are_known(void **state)
{
	(void)state;
	role_begin(&mta_role, false);
	role_listen_unix(SERVICE_SASL);
	role_go();
	mta = role_dial_unix();
	say(mta, HELLO);
	expect_nothing(mta);
	auth = role_peer(ROLE_AUTH, 0);
	expect_nothing(mta);
	offer("LOGIN");
	expect(mta, "VERSION\t1\t2\nMECH\tLOGIN\tplaintext\nSPID");
	expect_greeting(mta);
	say(mta, "AUTH\t1\tLOGIN\n"); /* what came before the greeting was not lost */
	expect_start();
}

static void test_no_cookie(void **state)
{
	int second;

	(void)state;
	role.shared->no_random = true;
	second = role_dial_unix();
	expect_end(second);
	close(second);
	say(mta, "AUTH\t1\tPLAIN\n"); /* nor a ticket: no login */
	expect_end(mta);
}

/* ---- the handshake, and lines ---- */

/* A new connection that says this, behind the greeting, is closed: all it is told is said. */
static void is_closed_after(const char *text, const char *said)
{
	int fd = role_dial_unix();

	expect_greeting(fd);
	say(fd, text);
	assert_string_equal(read_until(fd, "no such octets"), said);
	close(fd);
}

/* It goes on: an exchange begins. */
static void goes_on_after(const char *text)
{
	int fd = role_dial_unix();

	expect_greeting(fd);
	say(fd, text);
	login(fd, 5);
	close(fd);
}

static void test_handshake(void **state)
{
	(void)state;
	goes_on_after(HELLO);
	goes_on_after("VERSION\t1\t9\nLATER\t1\nCPID\t1\n");
	is_closed_after("CPID\t1\n", "");
	is_closed_after("LATER\t1\n", "");
	is_closed_after("VERSION\t2\t0\n", "");
	is_closed_after("VERSION\t1\t2\nVERSION\t1\t2\n", "");
	is_closed_after("VERSION\t1\t2\nAUTH\t1\tPLAIN\n", "");
	is_closed_after("VERSION\t1\t2\nCPID\tx\n", "");
}

static void test_lines_behind_the_handshake(void **state)
{
	(void)state;
	goes_on_after(HELLO "LATER\t1\nCANCEL\t7\n\n");
	is_closed_after(HELLO "VERSION\t1\t2\n", "");
	is_closed_after(HELLO "CPID\t99\n", "");
	is_closed_after(HELLO "AUTH\tx\tPLAIN\n", "");
	is_closed_after(HELLO "CONT\t4294967295\t\nCPID\t1\n",
			"FAIL\t4294967295\treason=there is no such exchange\n");
	is_closed_after(HELLO "AUTH\t5\tPLAIN\nAUTH\t5\tPLAIN\n", ""); /* used twice */
	expect_disconnect(expect_start());
}

static void test_a_line_in_pieces(void **state)
{
	(void)state;
	say(mta, "AU");
	role_settle(mta);
	say(mta, "TH\t1\tPL");
	role_settle(mta);
	say(mta, "AIN\nAUTH\t2\tLOGIN\nAUT");
	expect_start();
	expect_start();
	role_settle(mta);
	say(mta, "H\t3\tPLAIN\n");
	expect_start();
}

/* A line of so many octets, without its end, in two pieces. */
static void say_long(int fd, size_t size)
{
	char line[FIELDS_LINE_MAX + 8];

	memset(line, 'x', sizeof(line));
	line[size] = '\n';
	say_octets(fd, line, 100);
	role_settle(fd);
	say_octets(fd, line + 100, size + 1 - 100);
}

static void test_long_lines(void **state)
{
	(void)state;
	say_long(mta, FIELDS_LINE_MAX);
	login(mta, 1);
	say_long(mta, FIELDS_LINE_MAX + 1);
	expect_end(mta);
}

static void test_what_is_not_read(void **state)
{
	static char lines[1 << 20];
	struct pollfd wait = {.fd = mta, .events = POLLOUT};
	size_t sent = 0;

	(void)state;
	for (size_t at = 0; at < sizeof(lines); at += 8)
		memcpy(lines + at, "CONT\t1\t\n", 8);
	assert_int_equal(fcntl(mta, F_SETFL, O_NONBLOCK), 0);
	while (sent < 16 * sizeof(lines) && poll(&wait, 1, 1000) == 1) {
		ssize_t n = send(mta, lines + sent % 8, sizeof(lines) - 8, MSG_NOSIGNAL);

		sent += n > 0 ? (size_t)n : 0;
	}
	assert_true(sent < 16 * sizeof(lines)); /* it stops reading, who takes no answers */
	role_ping();
}

/* ---- an exchange ---- */

static void expect_connect(uint64_t *session, const uint8_t address[16], bool loopback,
			   unsigned port)
{
	const struct ipc_connect *connect_ = role_expect(auth, IPC_CONNECT);

	assert_memory_equal(connect_->address, address, 16);
	assert_int_equal(connect_->loopback, loopback);
	assert_int_equal(connect_->port, port);
	assert_int_equal(connect_->resumed, 0);
	*session = connect_->session;
}

static void expect_credentials(enum ipc_type type, uint64_t session, const char *texts,
			       bool has_secret, bool tls)
{
	const struct ipc_credentials *message = role_expect(auth, type);

	assert_int_equal(message->session, session);
	assert_int_equal(message->head.tail, strlen(texts));
	assert_memory_equal(ipc_tail(message), texts, strlen(texts));
	assert_int_equal(message->has_secret, has_secret);
	assert_int_equal(message->tls, tls);
}

static const uint8_t client_address[16] = {[10] = 0xff, 0xff, 192, 0, 2, 7};
static const uint8_t here[16] = {[10] = 0xff, 0xff, 127, 0, 0, 1};
static const uint8_t nowhere[16];

static void test_what_auth_is_asked(void **state)
{
	uint64_t first, second;

	(void)state;
	say(mta, "AUTH\t1\tPLAIN\tservice=smtp\tsecured\trip=192.0.2.7\trport=4711\tresp=AGE=\n");
	expect_connect(&first, client_address, false, 4711);
	expect_credentials(IPC_SASL_START, first, "PLAINAGE=", true, true);
	say(mta, "AUTH\t2\tLOGIN\trip=127.0.0.1\n");
	expect_connect(&second, here, true, 0);
	expect_credentials(IPC_SASL_START, second, "LOGIN", false, false);
	assert_int_not_equal(first, second);
	say(mta, "AUTH\t3\tLOGIN\tresp==\n"); /* an empty one */
	expect_connect(&second, nowhere, true, 0);
	expect_credentials(IPC_SASL_START, second, "LOGIN", true, false);
}

static void test_who_is_not_believed(void **state)
{
	uint64_t session;
	int fd;

	(void)state;
	believe(geteuid() ^ 2);
	role_ping();
	fd = role_dial_unix();
	expect_greeting(fd);
	say(fd, HELLO "AUTH\t1\tPLAIN\tsecured\trip=192.0.2.7\trport=9\n");
	expect_connect(&session, nowhere, true, 0);
	expect_credentials(IPC_SASL_START, session, "PLAIN", false, false);
	say(fd, "AUTH\t2\tPLAIN\trip=192.0.2\n"); /* what is wrong there counts for nothing */
	expect_start();
	close(fd);
	say(mta, "AUTH\t1\tPLAIN\trip=192.0.2\n"); /* of the other connection it does */
	expect_end(mta);
}

static void test_a_login_in_steps(void **state)
{
	uint64_t session;
	struct asked asked;
	const struct ipc_credentials *response;

	(void)state;
	asked = login(mta, 7);
	session = asked.session;
	say(mta, "CONT\t7\tbefore\n"); /* out of order: passed over */
	role_settle(mta);
	challenge(asked, "VXNlcm5hbWU6");
	expect(mta, "CONT\t7\tVXNlcm5hbWU6\n");
	say(mta, "CONT\t7\tYW5uYQ==\n");
	expect_credentials(IPC_SASL_RESPONSE, session, "YW5uYQ==", true, false);
	challenge(asked, "");
	expect(mta, "CONT\t7\t\n");
	say(mta, "CONT\t7\t\n");
	response = role_expect(auth, IPC_SASL_RESPONSE);
	assert_int_equal(response->has_secret, 1);
	assert_int_not_equal(response->ticket, asked.ticket);
	asked.ticket = response->ticket;
	grant(asked, "an\tna");
	expect(mta, "OK\t7\tuser=an\001tna\n");
	expect_disconnect(asked);
	login(mta, 7); /* the number is free again */
}

static void test_one_of_several_exchanges(void **state)
{
	struct asked first = login(mta, 1), second = login(mta, 2), third = login(mta, 3);

	(void)state;
	say(mta, "CANCEL\t2\n");
	expect_disconnect(second);
	grant(second, "berta"); /* nobody waits for it */
	grant(first, "anna");
	expect(mta, "OK\t1\tuser=anna\n");
	grant(third, "carla");
	expect(mta, "OK\t3\tuser=carla\n");
}

static void test_sizes(void **state)
{
	static char line[FIELDS_LINE_MAX + 1];
	struct asked asked;
	int n = snprintf(line, sizeof(line), "AUTH\t1\t%065d\n", 0);

	(void)state;
	asked = login(mta, 9);
	say_octets(mta, line, (size_t)n);
	expect_failure(mta, 1, REASON_LOGIN_UNCHECKABLE);
	n = snprintf(line, sizeof(line), "AUTH\t1\t%064d\n", 0);
	say_octets(mta, line, (size_t)n);
	expect_start();
	n = snprintf(line, sizeof(line), "AUTH\t2\tPLAIN\tresp=%0*d\n", FIELDS_RESPONSE_MAX, 0);
	say_octets(mta, line, (size_t)n);
	expect_start();
	n = snprintf(line, sizeof(line), "AUTH\t3\tPLAIN\tresp=%0*d\n", FIELDS_RESPONSE_MAX + 1, 0);
	say_octets(mta, line, (size_t)n);
	expect_failure(mta, 3, REASON_LOGIN_UNCHECKABLE);
	challenge(asked, "eA==");
	expect(mta, "CONT\t9\teA==\n");
	n = snprintf(line, sizeof(line), "CONT\t9\t%0*d\n", FIELDS_RESPONSE_MAX, 0);
	say_octets(mta, line, (size_t)n);
	role_expect(auth, IPC_SASL_RESPONSE);
	challenge(asked, "eA==");
	expect(mta, "CONT\t9\teA==\n");
	n = snprintf(line, sizeof(line), "CONT\t9\t%0*d\n", FIELDS_RESPONSE_MAX + 1, 0);
	say_octets(mta, line, (size_t)n);
	expect_failure(mta, 9, REASON_WRONG);
}

/* ---- verdicts ---- */

static int64_t milliseconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * INT64_C(1000) + ts.tv_nsec / 1000000;
}

static void test_a_refusal_is_held_back(void **state)
{
	struct asked asked = login(mta, 1);
	int64_t since = milliseconds();

	(void)state;
	deny(asked, REASON_WRONG, 300);
	say(mta, "CONT\t1\tmore\n"); /* its verdict is there */
	expect_failure(mta, 1, REASON_WRONG);
	assert_true(milliseconds() - since >= 150); /* the loop took the time before */
	expect_disconnect(asked);
	asked = login(mta, 2);
	deny(asked, REASON_CLEAR_TEXT, 0);
	expect_failure(mta, 2, REASON_CLEAR_TEXT);
	expect_disconnect(asked);
}

static void test_no_longer_than_the_mta_waits(void **state)
{
	struct asked asked = login(mta, 1);

	(void)state;
	role_advance(ANSWER_MS - 50);
	deny(asked, REASON_WRONG, IPC_DELAY_MAX);
	expect_failure(mta, 1, REASON_WRONG); /* after 50 ms */
}

static void test_a_refusal_that_passes(void **state)
{
	struct asked asked = login(mta, 1), other = login(mta, 2);

	(void)state;
	deny(asked, REASON_LOGIN_BUSY, 0);
	expect_failure_for_now(mta, 1);
	expect_disconnect(asked);
	deny(other, REASON_LOGIN_BUSY, 0); /* the only one: no FAIL, which an MTA passes on */
	expect_end(mta);
	expect_disconnect(other);
}

static void test_auth_takes_no_more_of_that_address(void **state)
{
	struct asked asked = login(mta, 1), other = login(mta, 2);
	struct ipc_connected message = {.session = asked.session, .reason = REASON_OK};

	(void)state;
	ROLE_SEND_TEXTS(auth, IPC_CONNECTED, &message, "");
	expect_nothing(mta);
	message.reason = REASON_ADDRESS_CONNECTIONS;
	ROLE_SEND_TEXTS(auth, IPC_CONNECTED, &message, "");
	expect_failure_for_now(mta, 1);
	expect_disconnect(asked);
	grant(other, "berta");
	expect(mta, "OK\t2\tuser=berta\n");
}

static void test_no_answer(void **state)
{
	struct asked asked = login(mta, 1);

	(void)state;
	role_advance(ANSWER_MS - 1);
	expect_nothing(mta);
	role_advance(1);
	expect_end(mta);
	expect_disconnect(asked);
}

static void test_no_response_of_the_client(void **state)
{
	struct asked asked = login(mta, 1);

	(void)state;
	challenge(asked, "eA==");
	expect(mta, "CONT\t1\teA==\n");
	role_advance(CLIENT_MS - 1);
	expect_nothing(mta);
	role_advance(1);
	expect_failure(mta, 1, REASON_WRONG);
	expect_disconnect(asked);
}

static void test_an_answer_of_another_login(void **state)
{
	struct asked asked = login(mta, 1);

	(void)state;
	asked.session++;
	grant(asked, "nobody"); /* of none: it was given up, perhaps */
	expect_nothing(mta);
	asked.session--;
	asked.ticket++;
	grant(asked, "nobody");
	role_expect_cut(auth);
}

static void test_a_refusal_of_another_login(void **state)
{
	struct asked asked = login(mta, 1);

	(void)state;
	asked.ticket++;
	deny(asked, REASON_WRONG, 0);
	role_expect_cut(auth);
}

static void test_an_answer_that_was_given(void **state)
{
	struct asked asked = login(mta, 1);

	(void)state;
	challenge(asked, "eA==");
	expect(mta, "CONT\t1\teA==\n");
	challenge(asked, "eA==");
	role_expect_cut(auth);
}

static void test_slow_twice(void **state)
{
	struct asked asked = login(mta, 1);

	(void)state;
	slow(asked);
	expect_nothing(mta);
	slow(asked);
	role_expect_cut(auth);
}

static void test_slow_of_another_login(void **state)
{
	struct asked asked = login(mta, 1);

	(void)state;
	asked.ticket++;
	slow(asked);
	role_expect_cut(auth);
}

static uint64_t logins(const char *mechanism, enum counter_result result)
{
	pop3_span name = {mechanism, strlen(mechanism)};

	return role_counted(
		counters_login(SERVICE_SASL, counters_mechanism(name), TLS_NONE, result));
}

static void test_what_is_counted(void **state)
{
	const size_t wrong = COUNTER_LOGIN_FAILURES + SERVICE_SASL * LABELS_REASON + REASON_WRONG;

	(void)state;
	deny(login(mta, 1), REASON_WRONG, 0);
	expect_failure(mta, 1, REASON_WRONG);
	assert_int_equal(logins("PLAIN", RESULT_FAILED), 1);
	assert_int_equal(role_counted(wrong), 1);
	assert_int_equal(logins("PLAIN", RESULT_OK), 0);
	say(mta, "AUTH\t2\tSCRAM-SHA-256\n");
	grant(expect_start(), "anna");
	expect(mta, "OK\t2\tuser=anna\n");
	assert_int_equal(logins("SCRAM-SHA-256", RESULT_OK), 1);
	assert_int_equal(role_counted(wrong), 1);
	assert_int_equal(role_counted(COUNTER_CONNECTIONS + SERVICE_SASL), 1);
	assert_int_equal(role_counted(COUNTER_CONNECTIONS_NOW + SERVICE_SASL), 1);
	close(mta);
	mta = role_dial_unix();
	expect_greeting(mta);
	assert_int_equal(role_counted(COUNTER_CONNECTIONS + SERVICE_SASL), 2);
	for (int ms = 0; role_counted(COUNTER_CONNECTIONS_NOW + SERVICE_SASL) != 1; ms++) {
		assert_true(ms < ROLE_PATIENCE_MS);
		usleep(1000);
	}
}

/* ---- auth is gone ---- */

static void test_auth_dies(void **state)
{
	struct asked asked = login(mta, 1);
	struct role_peer *old = auth;
	int second = role_dial_unix(), third;

	(void)state;
	expect_greeting(second);
	say(second, HELLO);
	deny(login(second, 4), REASON_WRONG, 1);
	expect_failure(second, 4, REASON_WRONG);
	(void)asked;
	role_peer_dies(old);
	expect_end(mta);
	say(second, "AUTH\t5\tPLAIN\n");
	expect_end(second); /* nobody is asked */
	close(second);
	third = role_dial_unix();
	expect_nothing(third); /* no greeting, which would have old mechanisms */
	auth = role_peer(ROLE_AUTH, 0);
	offer("PLAIN");
	expect_greeting(third);
	say(third, HELLO);
	grant(login(third, 6), "anna");
	expect(third, "OK\t6\tuser=anna\n");
	close(third);
}

static void test_another_auth_before_the_end_of_the_old_one(void **state)
{
	struct asked asked;
	struct role_peer *old = auth;
	int second;

	(void)state;
	login(mta, 1);
	auth = role_peer(ROLE_AUTH, 0);
	expect_end(mta);
	offer("PLAIN");
	role_ping();
	second = role_dial_unix();
	expect_greeting(second);
	say(second, HELLO);
	asked = login(second, 1);
	deny(asked, REASON_WRONG, 0);
	expect_failure(second, 1, REASON_WRONG);
	asked = login(second, 2);
	role_peer_dies(old); /* its end is no end of the new one */
	expect_nothing(second);
	grant(asked, "anna");
	expect(second, "OK\t2\tuser=anna\n");
	close(second);
}

static void test_the_old_auth_answers(void **state)
{
	struct asked asked;
	struct role_peer *old = auth, *new;
	int second;

	(void)state;
	new = auth = role_peer(ROLE_AUTH, 0);
	offer("PLAIN");
	role_ping();
	second = role_dial_unix();
	expect_greeting(second);
	say(second, HELLO);
	asked = login(second, 1);
	auth = old;
	grant(asked, "berta");
	offer("LOGIN");
	expect_nothing(second);
	auth = new;
	grant(asked, "anna");
	expect(second, "OK\t1\tuser=anna\n");
	close(second);
}

static void test_a_verdict_stands_when_auth_dies(void **state)
{
	struct asked asked = login(mta, 1);

	(void)state;
	role.shared->speed = 1;
	deny(asked, REASON_WRONG, 900);
	role_ping();
	role_peer_dies(auth);
	expect_failure(mta, 1, REASON_WRONG);
}

static void test_a_response_for_an_auth_that_is_gone(void **state)
{
	struct asked asked = login(mta, 1);

	(void)state;
	challenge(asked, "eA==");
	expect(mta, "CONT\t1\teA==\n");
	role_peer_dies(auth);
	expect_end(mta);
}

/* ---- credits and room ---- */

static void say_logins(int fd, unsigned first, unsigned count)
{
	char text[32];

	for (unsigned i = 0; i < count; i++) {
		snprintf(text, sizeof(text), "AUTH\t%u\tPLAIN\n", first + i);
		say(fd, text);
	}
}

/* auth is asked for nothing, though mta did all that it could. */
static void expect_no_login(int fd)
{
	role_settle(fd);
	assert_false(role_speaks(auth, 0));
}

static void test_exchanges_of_a_connection(void **state)
{
	struct asked first;

	(void)state;
	say_logins(mta, 1, EXCHANGES_MAX + 1);
	first = expect_start();
	for (unsigned i = 1; i < EXCHANGES_MAX; i++)
		expect_start();
	expect_no_login(mta);
	grant(first, "anna");
	expect(mta, "OK\t1\tuser=anna\n");
	expect_start();
}

static void test_credits_at_auth(void **state)
{
	enum { CONNECTIONS = IPC_AUTH_CREDITS / EXCHANGES_MAX };
	int fds[CONNECTIONS];
	struct asked asked, first = {0, 0};

	(void)state;
	for (unsigned i = 0; i < CONNECTIONS; i++) {
		fds[i] = role_dial_unix();
		expect_greeting(fds[i]);
		say(fds[i], HELLO);
		say_logins(fds[i], 1, EXCHANGES_MAX);
		for (unsigned j = 0; j < EXCHANGES_MAX; j++) {
			asked = expect_start();
			if (i == 0 && j == 0)
				first = asked;
		}
	}
	say(mta, "AUTH\t1\tPLAIN\n");
	expect_no_login(mta);
	slow(first); /* its credit is free, though it goes on */
	expect_start();
	say(mta, "AUTH\t2\tPLAIN\n");
	expect_no_login(mta);
	grant(first, "anna"); /* its credit was given back before */
	expect(fds[0], "OK\t1\tuser=anna\n");
	expect_disconnect(first);
	expect_no_login(mta);
	deny(asked, REASON_WRONG, 0);
	expect_disconnect(asked);
	expect_start();
	say(mta, "AUTH\t3\tPLAIN\nCANCEL\t1\n");
	expect_no_login(mta); /* nothing is read, not the CANCEL either */
	for (unsigned i = 0; i < CONNECTIONS; i++)
		close(fds[i]);
}

static struct rlimit limit_before;

/* The process may have so many connections. */
static void begin_small(enum config_service service, unsigned connections)
{
	struct rlimit limit;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit_before), 0);
	limit = limit_before;
	limit.rlim_cur = FDS_RESERVED + connections;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	begin_service(service);
	setrlimit(RLIMIT_NOFILE, &limit_before);
}

static void test_exchanges_of_the_process(void **state)
{
	struct asked first;
	int second;

	(void)state;
	begin_small(SERVICE_SASL, 6);
	expect_greeting(mta);
	second = role_dial_unix();
	expect_greeting(second);
	say(second, HELLO);
	say(mta, HELLO);
	first = login(mta, 1);
	for (unsigned id = 2; id < 7; id++)
		challenge(login(mta, id), ""); /* uses no credit, but it is there */
	say(second, "AUTH\t9\tPLAIN\n");
	expect_no_login(second);
	grant(first, "anna");
	expect_start();
	close(second);
}

static void test_no_room_for_connections(void **state)
{
	int fds[2];

	(void)state;
	begin_small(SERVICE_SOCKETMAP, 2);
	map_ask(mta, "users a");
	role_expect(auth, IPC_WHOSE);
	fds[0] = role_dial_unix();
	map_ask(fds[0], "x");
	map_expect(fds[0], "PERM there is no map of that name");
	role_advance(5000);
	fds[1] = role_dial_unix();
	expect_end(fds[0]); /* the one that asks nothing gives way */
	map_ask(fds[1], "users b");
	role_expect(auth, IPC_WHOSE);
	close(fds[0]);
	close(fds[1]);
}

static void test_exchanges_do_not_give_way(void **state)
{
	int fds[2];

	(void)state;
	believe(0xffff);
	begin_small(SERVICE_SASL, 2);
	close(mta);
	believe(geteuid() ^ 2);
	role_ping();
	mta = role_dial_unix();
	expect_greeting(mta);
	say(mta, HELLO);
	login(mta, 1);
	fds[0] = role_dial_unix();
	expect_greeting(fds[0]);
	role_advance(5000);
	fds[1] = role_dial_unix();
	expect_end(fds[0]);
	expect_greeting(fds[1]);
	close(fds[0]);
	close(fds[1]);
}

static void test_a_believed_one_does_not_give_way(void **state)
{
	int fds[2];
	struct pollfd wait;

	(void)state;
	begin_small(SERVICE_SASL, 2);
	expect_greeting(mta);
	fds[0] = role_dial_unix();
	expect_greeting(fds[0]);
	role_advance(5000);
	fds[1] = role_dial_unix();
	expect_nothing(fds[1]); /* it waits for room */
	close(fds[0]);
	wait = (struct pollfd){.fd = fds[1], .events = POLLIN};
	assert_int_equal(poll(&wait, 1, ROLE_PATIENCE_MS), 1);
	expect_greeting(fds[1]);
	close(fds[1]);
}

/* Whoever is not believed comes from one network here: the last fifth of the room is for others. */
static void test_the_last_fifth_of_the_room(void **state)
{
	enum { ROOM = 20, CROWDED = 16, FAIR_MS = 1000 };
	int fds[ROOM];

	(void)state;
	begin_small(SERVICE_SOCKETMAP, ROOM);
	fds[0] = mta;
	for (unsigned i = 1; i < CROWDED; i++)
		fds[i] = role_dial_unix();
	role_ping();
	role_advance(FAIR_MS - 1);
	fds[CROWDED] = role_dial_unix();
	map_ask(fds[CROWDED], "x");
	map_expect(fds[CROWDED], "PERM there is no map of that name");
	expect_nothing(fds[0]); /* nobody has been there long enough */
	close(fds[CROWDED]);
	close(fds[CROWDED - 1]);
	for (int ms = 0; role_counted(COUNTER_CONNECTIONS_NOW + SERVICE_SOCKETMAP) != CROWDED - 1;
	     ms++) {
		assert_true(ms < ROLE_PATIENCE_MS);
		usleep(1000);
	}
	role_advance(1);
	for (unsigned i = CROWDED - 1; i <= CROWDED; i++) {
		fds[i] = role_dial_unix();
		map_ask(fds[i], "x");
		map_expect(fds[i], "PERM there is no map of that name");
		if (i < CROWDED)
			expect_nothing(fds[0]);
	}
	expect_end(fds[0]); /* the oldest, though there is room */
	expect_nothing(fds[1]);
	for (unsigned i = 1; i <= CROWDED; i++)
		close(fds[i]);
}

static void test_one_that_is_alone_has_two_seconds(void **state)
{
	enum { FAIR_MS = 2000 };
	int second;

	(void)state;
	role_captures = true;
	begin_small(SERVICE_SOCKETMAP, 1);
	role_ping();
	second = role_dial_unix();
	role_advance(FAIR_MS - 1);
	expect_nothing(mta);
	role_expect_log("connections are short (1 are open, all in use or new): others wait "
			"(try: a higher LimitNOFILE=)\n");
	role_advance(1);
	expect_end(mta);
	role_expect_log("connections are short (1 are open): for each new one the oldest that has "
			"not logged in is ended (1 so far)\n");
	map_ask(second, "x");
	map_expect(second, "PERM there is no map of that name");
	close(second);
}

/* ---- idle connections, and the end ---- */

static void test_idle(void **state)
{
	struct asked asked;

	(void)state;
	role_settle(mta);
	role_advance(IDLE_MS - 1);
	say(mta, "LATER\t1\n"); /* a line begins it again */
	role_settle(mta);
	role_advance(IDLE_MS - 1);
	asked = login(mta, 1);
	role_advance(ANSWER_MS - 1); /* it is not idle with an exchange */
	grant(asked, "anna");
	expect(mta, "OK\t1\tuser=anna\n");
	role_advance(IDLE_MS - 1);
	expect_nothing(mta);
	role_advance(1);
	expect_end(mta);
}

static void test_idle_from_the_beginning(void **state)
{
	int fd = role_dial_unix();

	(void)state;
	expect_greeting(fd);
	role_advance(IDLE_MS);
	expect_end(fd);
	close(fd);
}

static void test_a_half_closed_connection(void **state)
{
	struct asked asked = login(mta, 1);

	(void)state;
	assert_int_equal(shutdown(mta, SHUT_WR), 0);
	role_ping();
	grant(asked, "anna");
	expect(mta, "OK\t1\tuser=anna\n");
	expect_end(mta);
}

static void test_drain(void **state)
{
	struct asked asked = login(mta, 1);
	int second = role_dial_unix();

	(void)state;
	expect_greeting(second);
	role_drain(ROLE_PATIENCE_MS);
	expect_end(second);
	expect_nothing(mta);
	grant(asked, "anna");
	expect(mta, "OK\t1\tuser=anna\n");
	close(second);
	close(mta);
	mta = -1;
	assert_int_equal(role_ends(), 0);
}

static void test_a_drain_that_is_over(void **state)
{
	(void)state;
	login(mta, 1);
	role_drain(1);
	expect_end(mta);
	assert_int_equal(role_ends(), 0);
}

/* ---- maps ---- */

static int begin_map(void **state)
{
	(void)state;
	begin_service(SERVICE_SOCKETMAP);
	return 0;
}

static int begin_map_running(void **state)
{
	clock_runs = true;
	return begin_map(state);
}

static void with_domains(struct config *config)
{
	snprintf(config->domains, sizeof(config->domains), "office.test other.test");
	snprintf(config->realm, sizeof(config->realm), "realm.test");
	snprintf(config->domain_aliases, sizeof(config->domain_aliases), "alias.test=office.test");
}

static int begin_domains(void **state)
{
	role_configure = with_domains;
	begin_map(state);
	role_configure = NULL;
	return 0;
}

static uint64_t expect_question(enum ipc_type type, const char *address)
{
	const struct ipc_recipient *message = role_expect(auth, type);

	assert_int_equal(message->head.tail, strlen(address));
	assert_memory_equal(ipc_tail(message), address, strlen(address));
	return message->session;
}

static void tell(uint64_t question, enum reason reason, const char *text)
{
	struct ipc_whose_answer message = {.session = question, .reason = reason};

	ROLE_SEND_TEXTS(auth, IPC_WHOSE_ANSWER, &message, text);
}

static void map_expect_failure(int fd)
{
	char text[256];

	snprintf(text, sizeof(text), "TEMP %s", reason_row(REASON_USERS_DOWN)->words);
	map_expect(fd, text);
}

static void test_maps(void **state)
{
	(void)state;
	map_ask(mta, "users anna@office.test");
	tell(expect_question(IPC_WHOSE, "anna@office.test"), REASON_OK, "anna,berta");
	map_expect(mta, "OK here"); /* their names are for senders only */
	map_ask(mta, "senders anna@office.test");
	tell(expect_question(IPC_WHOSE, "anna@office.test"), REASON_OK, "anna,berta");
	map_expect(mta, "OK anna,berta");
	map_ask(mta, "users two words");
	tell(expect_question(IPC_WHOSE, "two words"), REASON_NO_SUCH_USER, "");
	map_expect(mta, "NOTFOUND ");
	map_ask(mta, "users anna");
	tell(expect_question(IPC_WHOSE, "anna"), REASON_USERS_DOWN, "");
	map_expect_failure(mta);
}

static void test_keys_that_are_no_address(void **state)
{
	char text[640];

	(void)state;
	map_ask(mta, "users @office.test");
	map_expect(mta, "NOTFOUND ");
	map_ask(mta, "users ");
	map_expect(mta, "NOTFOUND ");
	map_ask(mta, "users");
	map_expect(mta, "NOTFOUND ");
	map_ask(mta, "senders @office.test");
	map_expect(mta, "NOTFOUND ");
	say_octets(mta, "9:users a\0b,", 12);
	map_expect(mta, "NOTFOUND ");
	snprintf(text, sizeof(text), "users %0513d", 0);
	map_ask(mta, text);
	map_expect(mta, "NOTFOUND ");
	snprintf(text, sizeof(text), "users %0512d", 0);
	map_ask(mta, text);
	expect_question(IPC_WHOSE, text + 6);
}

static void test_maps_that_there_are_not(void **state)
{
	static const char none[] = "PERM there is no map of that name";

	(void)state;
	map_ask(mta, "user anna");
	map_expect(mta, none);
	map_ask(mta, "");
	map_expect(mta, none);
	map_ask(mta, "domains office.test"); /* none is named: none is ours for sure */
	map_expect(mta, "NOTFOUND ");
}

static void test_domains(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		static const char *const ours[] = {"domains office.test", "domains OTHER.test",
						   "domains realm.test", "domains alias.test"};

		map_ask(mta, ours[i]);
		map_expect(mta, "OK here");
	}
	for (unsigned i = 0; i < 4; i++) {
		static const char *const others[] = {"domains office.tes", "domains office.test ",
						     "domains", "domains alias.test=office.test"};

		map_ask(mta, others[i]);
		map_expect(mta, "NOTFOUND ");
	}
}

static void test_several_questions_at_once(void **state)
{
	uint64_t question;

	(void)state;
	say(mta, "7:users a,7:users b,3:x y,");
	question = expect_question(IPC_WHOSE, "a");
	expect_no_login(mta); /* one at a time */
	tell(question, REASON_OK, "");
	map_expect(mta, "OK here");
	tell(question, REASON_OK, ""); /* it was answered */
	question = expect_question(IPC_WHOSE, "b");
	tell(question, REASON_NO_SUCH_USER, "");
	map_expect(mta, "NOTFOUND ");
	map_expect(mta, "PERM there is no map of that name");
}

/* An answer that the MTA has not taken yet is not lost for the next one. */
static void test_answers_that_are_not_taken(void **state)
{
	enum { QUESTIONS = 20000 };
	static const char answer[] = "33:PERM there is no map of that name,";
	static char questions[4 * QUESTIONS];

	(void)state;
	for (size_t at = 0; at < sizeof(questions); at += 4)
		memcpy(questions + at, "1:x,", 4);
	say_octets(mta, questions, sizeof(questions));
	role_ping();
	for (unsigned i = 0; i < QUESTIONS; i++)
		expect(mta, answer);
	expect_nothing(mta);
}

static void test_a_question_in_pieces(void **state)
{
	(void)state;
	say(mta, "7:us");
	role_settle(mta);
	say(mta, "ers a");
	role_settle(mta);
	say(mta, ",7:use");
	tell(expect_question(IPC_WHOSE, "a"), REASON_OK, "");
	map_expect(mta, "OK here");
	say(mta, "rs b,");
	expect_question(IPC_WHOSE, "b");
}

static void test_no_netstring(void **state)
{
	(void)state;
	say(mta, "7:users a;");
	expect_end(mta);
}

static void test_no_netstring_behind_one(void **state)
{
	(void)state;
	say(mta, "7:users a,x");
	tell(expect_question(IPC_WHOSE, "a"), REASON_OK, "");
	map_expect(mta, "OK here");
	expect_end(mta);
}

static void test_a_map_without_auth(void **state)
{
	(void)state;
	map_ask(mta, "users a");
	expect_question(IPC_WHOSE, "a");
	role_peer_dies(auth);
	map_expect_failure(mta);
	map_ask(mta, "users a");
	map_expect_failure(mta);
	auth = role_peer(ROLE_AUTH, 0);
	role_ping();
	map_ask(mta, "users a");
	tell(expect_question(IPC_WHOSE, "a"), REASON_OK, "");
	map_expect(mta, "OK here");
}

static void test_no_answer_for_a_map(void **state)
{
	uint64_t question;

	(void)state;
	map_ask(mta, "users a");
	question = expect_question(IPC_WHOSE, "a");
	role_advance(MAP_MS - 1);
	expect_nothing(mta);
	role_advance(1);
	map_expect_failure(mta);
	tell(question, REASON_OK, "");
	expect_nothing(mta);
}

static void test_questions_use_credits(void **state)
{
	static int fds[IPC_AUTH_CREDITS];
	struct rlimit limit;
	uint64_t first = 0;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	if (limit.rlim_cur < IPC_AUTH_CREDITS + 2 * FDS_RESERVED) {
		print_message("a limit of %lu descriptors is too low for this test\n",
			      (unsigned long)limit.rlim_cur);
		skip();
	}
	for (unsigned i = 0; i < IPC_AUTH_CREDITS; i++) {
		uint64_t question;

		fds[i] = role_dial_unix();
		map_ask(fds[i], "users a");
		question = expect_question(IPC_WHOSE, "a");
		first = i ? first : question;
	}
	map_ask(mta, "users b");
	role_settle(fds[0]);
	role_ping();
	assert_false(role_speaks(auth, 0));
	tell(first, REASON_OK, "");
	map_expect(fds[0], "OK here");
	expect_question(IPC_WHOSE, "b");
	for (unsigned i = 0; i < IPC_AUTH_CREDITS; i++)
		close(fds[i]);
}

static void test_a_connection_goes_before_its_answer(void **state)
{
	uint64_t question;

	(void)state;
	map_ask(mta, "users a");
	question = expect_question(IPC_WHOSE, "a");
	shutdown(mta, SHUT_WR); /* half closed: it still waits */
	role_settle(mta);
	tell(question, REASON_OK, "");
	map_expect(mta, "OK here");
	expect_end(mta);
	close(mta);
	mta = role_dial_unix();
	map_ask(mta, "users b");
	question = expect_question(IPC_WHOSE, "b");
	close(mta);
	role_ping();
	tell(question, REASON_OK, "");
	role_ping();
	mta = role_dial_unix();
	map_ask(mta, "users c");
	expect_question(IPC_WHOSE, "c");
}

static void test_an_idle_map(void **state)
{
	(void)state;
	map_ask(mta, "x");
	map_expect(mta, "PERM there is no map of that name");
	role_advance(IDLE_MS - 1);
	map_ask(mta, "x"); /* begins it again */
	map_expect(mta, "PERM there is no map of that name");
	role_advance(IDLE_MS - 1);
	expect_nothing(mta);
	role_advance(1);
	expect_end(mta);
}

static void test_a_map_drains(void **state)
{
	int second = role_dial_unix();
	uint64_t question;

	(void)state;
	map_ask(second, "x");
	map_expect(second, "PERM there is no map of that name");
	map_ask(mta, "users a");
	question = expect_question(IPC_WHOSE, "a");
	role_drain(ROLE_PATIENCE_MS);
	expect_end(second);
	expect_nothing(mta);
	tell(question, REASON_OK, "");
	map_expect(mta, "OK here");
	close(second);
	close(mta);
	mta = -1;
	assert_int_equal(role_ends(), 0);
}

/* ---- policy ---- */

#define REQUEST "request=smtpd_access_policy\nprotocol_state=RCPT\n"

static int begin_policy(void **state)
{
	(void)state;
	begin_service(SERVICE_POLICY);
	return 0;
}

static void test_policy(void **state)
{
	static const struct {
		enum reason reason;
		const char *action;
	} rows[] = {
		{REASON_OK, "action=DUNNO\n\n"},
		{REASON_OVER_QUOTA, "action=452 4.2.2 the mailbox is full, try again later\n\n"},
		{REASON_OVER_QUOTA_PERM, "action=552 5.2.2 the mailbox is full\n\n"},
		{REASON_NO_SUCH_USER, "action=DUNNO\n\n"},
		{REASON_USERS_DOWN, "action=DUNNO\n\n"},
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct ipc_recipient *message;

		say(mta, REQUEST "size=12345\nrecipient=anna@office.test\n\n");
		message = role_expect(auth, IPC_QUOTA);
		assert_int_equal(message->size, 12345);
		assert_int_equal(message->head.tail, 16);
		assert_memory_equal(ipc_tail(message), "anna@office.test", 16);
		tell(message->session, rows[i].reason, "");
		assert_string_equal(read_until(mta, "\n\n"), rows[i].action);
	}
}

static void test_policy_asks_about_nobody(void **state)
{
	const struct ipc_recipient *message;

	(void)state;
	say(mta, REQUEST "\n" REQUEST "recipient=anna\n\n");
	assert_string_equal(read_until(mta, "\n\n"), "action=DUNNO\n\n");
	message = role_expect(auth, IPC_QUOTA);
	assert_int_equal(message->size, 0);
	role_advance(POLICY_MS - 1);
	expect_nothing(mta);
	role_advance(1);
	assert_string_equal(read_until(mta, "\n\n"), "action=DUNNO\n\n");
	role_peer_dies(auth);
	role_ping();
	say(mta, REQUEST "recipient=anna\n\n");
	assert_string_equal(read_until(mta, "\n\n"), "action=DUNNO\n\n");
}

static void test_no_policy_request(void **state)
{
	char line[4096];

	(void)state;
	memset(line, 'x', sizeof(line) - 1);
	line[sizeof(line) - 2] = '\n';
	line[sizeof(line) - 1] = '\0';
	for (unsigned i = 0; i < 17; i++)
		(void)!send(mta, line, sizeof(line) - 1, MSG_NOSIGNAL); /* closed meanwhile */
	expect_end(mta);
}

#define AT_SASL(test) cmocka_unit_test_setup_teardown(test, begin_sasl, end)
#define AT_MAP(test) cmocka_unit_test_setup_teardown(test, begin_map, end)
#define AT_POLICY(test) cmocka_unit_test_setup_teardown(test, begin_policy, end)

static void test_no_start_without_a_sandbox(void **state)
{
	(void)state;
	mta = -1;
	role_begin(&mta_role, false);
	role_expect_no_start();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_no_start_without_a_sandbox, end),
		AT_SASL(test_greeting),
		cmocka_unit_test_teardown(test_no_greeting_before_the_mechanisms_are_known, end),
		AT_SASL(test_no_cookie),
		AT_SASL(test_handshake),
		AT_SASL(test_lines_behind_the_handshake),
		AT_SASL(test_a_line_in_pieces),
		AT_SASL(test_long_lines),
		AT_SASL(test_what_is_not_read),
		AT_SASL(test_what_auth_is_asked),
		AT_SASL(test_who_is_not_believed),
		AT_SASL(test_a_login_in_steps),
		AT_SASL(test_one_of_several_exchanges),
		AT_SASL(test_sizes),
		AT_SASL(test_a_refusal_is_held_back),
		AT_SASL(test_no_longer_than_the_mta_waits),
		AT_SASL(test_a_refusal_that_passes),
		AT_SASL(test_auth_takes_no_more_of_that_address),
		AT_SASL(test_no_answer),
		AT_SASL(test_no_response_of_the_client),
		AT_SASL(test_an_answer_of_another_login),
		AT_SASL(test_a_refusal_of_another_login),
		AT_SASL(test_an_answer_that_was_given),
		AT_SASL(test_slow_twice),
		AT_SASL(test_slow_of_another_login),
		AT_SASL(test_what_is_counted),
		AT_SASL(test_auth_dies),
		AT_SASL(test_another_auth_before_the_end_of_the_old_one),
		AT_SASL(test_the_old_auth_answers),
		AT_SASL(test_a_verdict_stands_when_auth_dies),
		AT_SASL(test_a_response_for_an_auth_that_is_gone),
		AT_SASL(test_exchanges_of_a_connection),
		AT_SASL(test_credits_at_auth),
		cmocka_unit_test_teardown(test_exchanges_of_the_process, end),
		cmocka_unit_test_teardown(test_no_room_for_connections, end),
		cmocka_unit_test_teardown(test_exchanges_do_not_give_way, end),
		cmocka_unit_test_teardown(test_a_believed_one_does_not_give_way, end),
		cmocka_unit_test_teardown(test_the_last_fifth_of_the_room, end),
		cmocka_unit_test_teardown(test_one_that_is_alone_has_two_seconds, end),
		AT_SASL(test_idle),
		AT_SASL(test_idle_from_the_beginning),
		AT_SASL(test_a_half_closed_connection),
		cmocka_unit_test_setup_teardown(test_drain, begin_sasl_running, end),
		AT_SASL(test_a_drain_that_is_over),
		AT_MAP(test_maps),
		AT_MAP(test_keys_that_are_no_address),
		AT_MAP(test_maps_that_there_are_not),
		cmocka_unit_test_setup_teardown(test_domains, begin_domains, end),
		AT_MAP(test_several_questions_at_once),
		AT_MAP(test_answers_that_are_not_taken),
		AT_MAP(test_a_question_in_pieces),
		AT_MAP(test_no_netstring),
		AT_MAP(test_no_netstring_behind_one),
		AT_MAP(test_a_map_without_auth),
		AT_MAP(test_no_answer_for_a_map),
		AT_MAP(test_questions_use_credits),
		AT_MAP(test_a_connection_goes_before_its_answer),
		AT_MAP(test_an_idle_map),
		cmocka_unit_test_setup_teardown(test_a_map_drains, begin_map_running, end),
		AT_POLICY(test_policy),
		AT_POLICY(test_policy_asks_about_nobody),
		AT_POLICY(test_no_policy_request),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
