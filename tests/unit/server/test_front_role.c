/* A POP3 front before a login: what it offers, its deadline, credits at auth, and its end; and what
 * becomes of a session whose maildrop another one wants. The test plays the monitor, auth, a keeper
 * and the clients. */
#include "role_test.h"

#include "maildrop/store.h"
#include "server/front/front.h"

enum { LOGIN_MS = 60 * 1000 };

static struct role_peer *auth, *keeper;
static int client;
static void *stopped;

/* ---- wraps, in the front's process ---- */

ssize_t __real_getrandom(void *buf, size_t size, unsigned flags);
ssize_t __wrap_getrandom(void *buf, size_t size, unsigned flags);
int __real_accept4(int fd, struct sockaddr *address, socklen_t *size, int flags);
int __wrap_accept4(int fd, struct sockaddr *address, socklen_t *size, int flags);
int __real_event_base_loop(void *base, int flags);
int __wrap_event_base_loop(void *base, int flags);

ssize_t __wrap_getrandom(void *buf, size_t size, unsigned flags)
{
	if (!role.shared || !role.shared->no_random)
		return __real_getrandom(buf, size, flags);
	errno = ENOSYS;
	return -1;
}

int __wrap_accept4(int fd, struct sockaddr *address, socklen_t *size, int flags)
{
	int error = role.shared->accept_error, got;

	if (error) {
		role.shared->accept_error = 0;
		errno = error;
		return -1;
	}
	got = __real_accept4(fd, address, size, flags);
	if (got >= 0 && ++role.shared->accepted > role.shared->accepted_most)
		role.shared->accepted_most = role.shared->accepted;
	return got;
}

int __wrap_event_base_loop(void *base, int flags)
{
	if (role.shared)
		role.shared->accepted = 0;
	return __real_event_base_loop(base, flags);
}

/* ---- what the test does ---- */

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

static int begin_logged(void **state)
{
	role_captures = true;
	return begin(state);
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
			    "UTF8\r\nLANG\r\nIMPLEMENTATION Valija\r\n.\r\n");
}

static void deny(uint64_t session, uint64_t of)
{
	struct ipc_denied message = {.session = session, .ticket = of, .reason = REASON_WRONG};

	role_send(auth, IPC_DENIED, &message);
	reply("-ERR [AUTH] ");
}

/* A response may be much longer than a command. */
static void test_a_login_in_steps(void **state)
{
	enum { LONG = 6000 };
	static char response[LONG + 3];
	const struct ipc_credentials *message;
	struct ipc_challenge challenge = {.session = greeted()};

	(void)state;
	say("AUTH PLAIN\r\n");
	message = role_expect(auth, IPC_SASL_START);
	assert_int_equal(message->session, challenge.session);
	assert_int_equal(message->has_secret, 0);
	assert_int_equal(message->head.tail, 5);
	assert_memory_equal(ipc_tail(message), "PLAIN", 5);
	ROLE_SEND_TEXTS(auth, IPC_CHALLENGE, &challenge, "eHl6");
	reply("+ eHl6\r\n");
	memset(response, 'A', LONG);
	memcpy(response + LONG, "\r\n", 3);
	say(response);
	message = role_expect(auth, IPC_SASL_RESPONSE);
	assert_int_equal(message->session, challenge.session);
	assert_int_equal(message->has_secret, 1);
	assert_int_equal(message->head.tail, LONG);
	assert_memory_equal(ipc_tail(message), response, LONG);
	deny(challenge.session, message->ticket);
	say("AUTH PLAIN AGEAYg==\r\n"); /* in one step */
	message = role_expect(auth, IPC_SASL_START);
	assert_int_equal(message->has_secret, 1);
	assert_int_equal(message->head.tail, 13);
	assert_memory_equal(ipc_tail(message), "PLAINAGEAYg==", 13);
	deny(challenge.session, message->ticket);
	say("AUTH PLAIN\r\n");
	role_expect(auth, IPC_SASL_START);
	ROLE_SEND_TEXTS(auth, IPC_CHALLENGE, &challenge, "");
	reply("+ \r\n");
	say("*\r\n");
	reply("-ERR ");
	assert_int_equal(((const struct ipc_session *)role_expect(auth, IPC_SASL_CANCEL))->session,
			 challenge.session);
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

/* Without random octets there is no ticket, and without one no login. */
static void test_the_kernel_has_no_random_octets(void **state)
{
	(void)state;
	greeted();
	role.shared->no_random = true;
	say("USER anna\r\nPASS secret\r\n");
	reply("+OK");
	reply("-ERR [SYS/TEMP] logins cannot be checked now, try again later");
	role_ping();
	assert_false(role_speaks(auth, 0));
	role.shared->no_random = false;
	password();
}

/* Others have their turn: no more than so many connections are taken in one go. */
static void test_how_many_connections_a_turn_takes(void **state)
{
	enum { CLIENTS = 150, A_TURN = 64 };
	int clients[CLIENTS];

	(void)state;
	greeted();
	kill(role.pid, SIGSTOP);
	role.shared->accepted_most = 0;
	for (int i = 0; i < CLIENTS; i++)
		clients[i] = role_dial();
	kill(role.pid, SIGCONT);
	for (int i = 0; i < CLIENTS; i++)
		role_expect(auth, IPC_CONNECT);
	assert_int_equal(role.shared->accepted_most, A_TURN);
	for (int i = 0; i < CLIENTS; i++)
		close(clients[i]);
}

/* The kernel has no room: after a pause the connection is taken. */
static void test_descriptors_are_short(void **state)
{
	static const int errors[] = {EMFILE, ENFILE, ENOBUFS, ENOMEM, ECONNABORTED, EAGAIN};

	(void)state;
	greeted();
	for (unsigned i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		role.shared->accept_error = errors[i];
		close(client);
		client = role_dial();
		greeted();
		assert_int_equal(role.shared->accept_error, 0);
	}
	role_expect_log("cannot take more connections: Too many open files\n");
	role_expect_log("cannot take more connections: Cannot allocate memory\n");
	assert_null(strstr(role_log(), "connection abort"));
	assert_null(strstr(role_log(), "shut"));
}

static void test_a_socket_that_cannot_listen_any_more(void **state)
{
	(void)state;
	greeted();
	role.shared->accept_error = EINVAL;
	close(role_dial());
	role_expect(&role.monitor, IPC_LISTENER_DEAD);
	role_expect_log("a listening socket of POP3 was shut");
	role_ping();
}

/* Of the client, at its end. */
static unsigned own_port(void)
{
	struct sockaddr_in6 address = {.sin6_port = 0}; /* where it is in that of IPv4, too */
	socklen_t size = sizeof(address);

	assert_int_equal(getsockname(client, (struct sockaddr *)&address, &size), 0);
	return ntohs(address.sin6_port);
}

/* A client's address is said in one form, from whichever socket. */
static void test_addresses_of_clients(void **state)
{
	static const uint8_t four[16] = {[10] = 0xff, 0xff, 127, 0, 0, 1}, six[16] = {[15] = 1};
	struct ipc_listener message = {.service = SERVICE_POP3};
	struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_ANY_INIT};
	socklen_t size = sizeof(address);
	const struct ipc_connect *connect_;
	int fd, off = 0;

	(void)state;
	greeted();
	fd = socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0 || setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off)) < 0 ||
	    bind(fd, (struct sockaddr *)&address, size) < 0 || listen(fd, 16) < 0)
		skip(); /* no IPv6 here */
	getsockname(fd, (struct sockaddr *)&address, &size);
	role_send_raw(&role.monitor, IPC_LISTENER, &message, sizeof(message), NULL, 0, fd);
	close(fd);
	role_address.sin_port = address.sin6_port;
	close(client);
	client = role_dial(); /* IPv4, by the socket for both */
	connect_ = role_expect(auth, IPC_CONNECT);
	assert_memory_equal(connect_->address, four, 16);
	assert_int_equal(connect_->loopback, 1);
	assert_int_equal(connect_->port, own_port());
	close(client);
	client = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	address.sin6_addr = in6addr_loopback;
	assert_int_equal(connect(client, (struct sockaddr *)&address, sizeof(address)), 0);
	connect_ = role_expect(auth, IPC_CONNECT);
	assert_memory_equal(connect_->address, six, 16);
	assert_int_equal(connect_->loopback, 1);
	assert_int_equal(connect_->port, own_port());
}

/* auth says that all connections of the site are in use. */
static uint64_t refused(void)
{
	struct ipc_connected answer = {.reason = REASON_CONNECTIONS};

	answer.session = ((const struct ipc_connect *)role_expect(auth, IPC_CONNECT))->session;
	ROLE_SEND_TEXTS(auth, IPC_CONNECTED, &answer, "");
	return answer.session;
}

/* One that has not logged in has a while for that, then it gives way to a new one, once. */
static void test_one_that_has_not_logged_in_gives_way(void **state)
{
	enum { FAIR_MS = 1000 }; /* where an address has several; else twice as much */
	int first = client, second;
	uint64_t number;

	(void)state;
	greeted();
	role_advance(FAIR_MS - 1);
	client = second = role_dial();
	refused();
	reply("-ERR [SYS/TEMP] too many connections, try again later");
	close(second);
	client = first;
	role_expect(auth, IPC_DISCONNECT);
	role_advance(1);
	second = role_dial();
	client = second;
	number = refused();
	assert_int_equal(refused(), number); /* it is asked again, and refused again */
	reply("-ERR [SYS/TEMP] too many connections, try again later");
	close(second);
	client = first;
	assert_string_equal(read_until("\r\n"), "");
}

/* The next generation has begun: this one takes no client more, and serves those that it has. */
static void test_one_that_accepts_no_more(void **state)
{
	(void)state;
	greeted();
	role_stop_accepting();
	say("NOOP\r\n");
	reply("-ERR");
	role_drain(3600 * 1000);
	assert_string_equal(read_until("\r\n"), "");
	assert_int_equal(role_ends(), 0);
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

/* ---- a maildrop that another session wants ---- */

static void make_mail(void)
{
	for (const char *const *part = (const char *const[]){"", "/new", "/cur", "/tmp", NULL};
	     *part; part++) {
		char path[64];

		snprintf(path, sizeof(path), "mail/anna%s", *part);
		assert_int_equal(mkdirat(role.folder_fd, path, 0700), 0);
	}
	role_write("mail/anna/new/1.a", "A: 1\n\none\n");
	role_write("mail/anna/new/2.b", "A: 2\n\ntwo\n");
}

static void send_opened(uint64_t session, uint64_t ticket, struct maildrop *maildrop)
{
	char packet[sizeof(struct ipc_opened) + 4];
	char control[CMSG_SPACE(2 * sizeof(int))] = {0};
	struct iovec part = {packet, sizeof(packet)};
	struct msghdr header = {.msg_iov = &part,
				.msg_iovlen = 1,
				.msg_control = control,
				.msg_controllen = sizeof(control)};
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&header);
	struct ipc_opened message = {.session = session, .ticket = ticket};
	struct maildrop_snapshot snapshot;

	maildrop_snapshot(maildrop, &snapshot);
	message.head.type = IPC_OPENED;
	message.head.tail = message.head.texts[0] = 4;
	message.delta_size = snapshot.delta_size;
	message.octets = snapshot.octets;
	message.count = snapshot.count;
	memcpy(packet, &message, sizeof(message));
	memcpy(packet + sizeof(message), "anna", 4);
	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(2 * sizeof(int));
	memcpy(CMSG_DATA(cmsg), (int[]){snapshot.base_fd, snapshot.delta_fd}, 2 * sizeof(int));
	assert_int_equal(sendmsg(keeper->fd, &header, MSG_NOSIGNAL), sizeof(packet));
}

/* The client is in a session with two messages. */
static uint64_t logged_in(void)
{
	struct maildrop_settings settings = {.driver = store_driver(STORE_MAILDIR),
					     .host_name = "office.test"};
	uint64_t session = greeted(), ticket = password();
	struct maildrop *maildrop;
	struct err err = {0};

	make_mail();
	if (maildrop_open(&settings, role.mail_fd, "anna", &maildrop, &err) != MAILDROP_OK)
		fail_msg("%s", err.text);
	send_opened(session, ticket, maildrop);
	maildrop_close(maildrop);
	reply("+OK ");
	return session;
}

static void gone(uint64_t session)
{
	struct ipc_gone message = {.session = session, .reason = REASON_TAKEN_OVER};

	role_send(keeper, IPC_GONE, &message);
}

static void test_a_session_that_sleeps_loses_its_maildrop(void **state)
{
	(void)state;
	gone(logged_in());
	assert_string_equal(read_until("\r\n"), ""); /* as after a timeout: no reply */
	role_ping();
	gone(1); /* of no session */
	role_ping();
}

static void test_a_message_is_wanted_when_the_maildrop_is_lost(void **state)
{
	uint64_t session = logged_in();

	(void)state;
	say("RETR 1\r\n");
	role_expect(keeper, IPC_FETCH);
	gone(session);
	reply("-ERR [IN-USE]");
	assert_string_equal(read_until("\r\n"), "");
}

static void test_deletions_are_wanted_when_the_maildrop_is_lost(void **state)
{
	uint64_t session = logged_in();

	(void)state;
	say("DELE 1\r\nQUIT\r\n");
	reply("+OK");
	role_expect(keeper, IPC_DELETE);
	role_expect(keeper, IPC_COMMIT);
	gone(session);
	assert_non_null(strstr(read_until("\r\n"), "nothing was deleted"));
	assert_string_equal(read_until("\r\n"), "");
}

static const struct ipc_holder *ask(uint64_t session)
{
	struct ipc_session message = {.session = session};

	role_send(keeper, IPC_HOLDER_ASK, &message);
	return role_expect(keeper, IPC_HOLDER);
}

static void test_for_how_long_a_session_has_been_idle(void **state)
{
	static const uint8_t loopback[16] = {[10] = 0xff, 0xff, 127, 0, 0, 1};
	const struct ipc_holder *holder;
	uint64_t session = logged_in();

	(void)state;
	role_advance(59000);
	holder = ask(session);
	assert_int_equal(holder->session, session);
	assert_int_equal(holder->idle, 59000);
	assert_int_equal(holder->busy, 0);
	assert_memory_equal(holder->address, loopback, 16);
	assert_true(llabs((long long)holder->since + 59 - (long long)time(NULL)) <= 5);
	say("NOOP\r\n");
	reply("+OK");
	assert_int_equal(ask(session)->idle, 0);
	role_advance(1000);
	say("RETR 1\r\n"); /* it waits for the keeper */
	role_expect(keeper, IPC_FETCH);
	role_advance(2000);
	assert_int_equal(ask(session)->busy, 1);
}

static void test_what_a_refused_login_learns(void **state)
{
	uint64_t session = greeted();
	struct ipc_open_in_use message = {.session = session,
					  .ticket = password() + 1,
					  .since = 1793923200,
					  .idle = 61999,
					  .address = {[10] = 0xff, 0xff, 192, 0, 2, 1}};

	(void)state;
	role_send(keeper, IPC_OPEN_IN_USE, &message); /* not of the keeper that auth chose */
	message.ticket--;
	role_send(keeper, IPC_OPEN_IN_USE, &message);
	assert_string_equal(read_until("\r\n"),
			    "-ERR [IN-USE] another session has this maildrop open since "
			    "2026-11-06 00:00 UTC, from 192.0.2.1, idle for 61 seconds\r\n");
	message.ticket = password();
	message.since = UINT64_MAX;
	message.idle = UINT64_MAX;
	role_send(keeper, IPC_OPEN_IN_USE, &message);
	reply("-ERR [IN-USE] another session has this maildrop open since ");
}

static void login_delay(struct config *config)
{
	config->login_delay_seconds = 60;
	config->login_delay_max = 600;
}

static int begin_with_delays(void **state)
{
	int rc;

	role_configure = login_delay;
	rc = begin(state);
	role_configure = NULL;
	return rc;
}

static void expect_unopened(uint64_t session, uint64_t ticket)
{
	const struct ipc_unopened *message = role_expect(auth, IPC_UNOPENED);

	assert_int_equal(message->session, session);
	assert_int_equal(message->ticket, ticket);
}

/* auth takes the login back, in front of the client's next one. */
static void test_a_login_without_a_maildrop_is_taken_back(void **state)
{
	uint64_t session = greeted();
	struct ipc_open_failed failed = {.session = session, .reason = REASON_STORE_DOWN};
	struct ipc_open_in_use in_use = {.session = session, .since = 1793923200};

	(void)state;
	failed.ticket = password();
	role_send(keeper, IPC_OPEN_FAILED, &failed);
	reply("-ERR [SYS/TEMP]");
	expect_unopened(session, failed.ticket);
	in_use.ticket = password();
	role_send(keeper, IPC_OPEN_IN_USE, &in_use);
	reply("-ERR [IN-USE]");
	expect_unopened(session, in_use.ticket);
}

/* The same in Spanish, and with what is longest in it. */
static void test_a_refused_login_in_spanish(void **state)
{
	uint64_t session = greeted();
	struct ipc_open_in_use message = {.session = session,
					  .since = UINT64_MAX,
					  .idle = UINT64_MAX,
					  .address = {0x20, 1, 0xd, 0xb8, 0xff, 0xff, 0xff, 0xff,
						      0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
						      0xff}};
	struct ipc_denied denied = {.session = session, .reason = REASON_LOGIN_DELAY};

	(void)state;
	say("LANG es\r\n");
	reply("+OK es ");
	message.ticket = password();
	role_send(keeper, IPC_OPEN_IN_USE, &message);
	assert_string_equal(
		read_until("\r\n"),
		"-ERR [IN-USE] otra sesi\303\263n tiene abierto este buz\303\263n desde "
		"1969-12-31 23:59 UTC, desde la direcci\303\263n "
		"2001:db8:ffff:ffff:ffff:ffff:ffff:ffff, inactiva desde hace "
		"307445734561825 minutos\r\n");
	role_ping();
	assert_false(role_speaks(auth, 0)); /* there is no LOGIN-DELAY here */
	denied.ticket = password();
	role_send(auth, IPC_DENIED, &denied);
	reply("-ERR [LOGIN-DELAY] la \303\272ltima identificaci\303\263n ");
}

#define IN_FRONT(test) cmocka_unit_test_setup_teardown(test, begin, end)

static void test_no_start_without_a_sandbox(void **state)
{
	(void)state;
	role_begin(&front_role, false);
	role_expect_no_start();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_no_start_without_a_sandbox, role_over),
		IN_FRONT(test_capabilities),
		IN_FRONT(test_a_login_in_steps),
		cmocka_unit_test_setup_teardown(test_nobody_logs_in, begin_stopped, end),
		IN_FRONT(test_threat_29_a_keeper_without_the_ticket),
		cmocka_unit_test_setup_teardown(test_a_login_without_a_maildrop_is_taken_back,
						begin_with_delays, end),
		IN_FRONT(test_a_refused_login_in_spanish),
		IN_FRONT(test_auth_goes_before_it_answers),
		cmocka_unit_test_setup_teardown(test_one_that_has_not_logged_in_gives_way,
						begin_stopped, end),
		IN_FRONT(test_the_kernel_has_no_random_octets),
		IN_FRONT(test_how_many_connections_a_turn_takes),
		cmocka_unit_test_setup_teardown(test_descriptors_are_short, begin_logged, end),
		cmocka_unit_test_setup_teardown(test_a_socket_that_cannot_listen_any_more,
						begin_logged, end),
		IN_FRONT(test_addresses_of_clients),
		IN_FRONT(test_one_that_accepts_no_more),
		IN_FRONT(test_drain_ends_who_waits_for_nothing),
		IN_FRONT(test_drain_waits_for_an_answer_until_it_is_over),
		IN_FRONT(test_a_session_that_sleeps_loses_its_maildrop),
		IN_FRONT(test_a_message_is_wanted_when_the_maildrop_is_lost),
		IN_FRONT(test_deletions_are_wanted_when_the_maildrop_is_lost),
		cmocka_unit_test_setup_teardown(test_for_how_long_a_session_has_been_idle,
						begin_stopped, end),
		IN_FRONT(test_what_a_refused_login_learns),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
