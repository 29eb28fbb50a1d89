/* An LMTP front whose keepers go, whose clients are idle, and that is drained: the test plays the
 * monitor, auth, two keepers and a client. */
#include "role_test.h"

#include "server/lmtp/lmtp.h"
#include "server/lmtp/spool.h"

#include <dirent.h>
#include <sys/syscall.h>

enum { IDLE_MS = 300 * 1000 };

static struct role_peer *auth, *keepers[2];
static uint64_t session;
static int client = -1;

static void say(const char *text)
{
	assert_int_equal(send(client, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* The next line; "": the connection is closed. */
static const char *line(void)
{
	static char text[1024];
	size_t used = 0;

	for (;;) {
		struct pollfd wait = {.fd = client, .events = POLLIN};

		assert_true(used < sizeof(text) - 1);
		assert_int_equal(poll(&wait, 1, ROLE_PATIENCE_MS), 1);
		if (recv(client, text + used, 1, 0) <= 0)
			return "";
		if (text[used++] == '\n')
			break;
	}
	text[used] = '\0';
	return text;
}

/* The last line of a reply begins so. */
static void reply(const char *wanted)
{
	const char *text;

	do
		text = line();
	while (text[0] && text[3] == '-');
	if (strncmp(text, wanted, strlen(wanted)) != 0)
		fail_msg("%s, not %s", text, wanted);
}

static void *stopped;

static int begin(void **state)
{
	(void)state;
	role_captures = true;
	role_begin(&lmtp_role, false);
	if (state == &stopped) {
		role_stop_clock();
		role_listen_unix(SERVICE_LMTP);
	} else {
		role_listen(SERVICE_LMTP);
	}
	auth = role_peer(ROLE_AUTH, 0);
	keepers[0] = role_peer(ROLE_KEEPER, 0);
	keepers[1] = role_peer(ROLE_KEEPER, 0);
	role_go();
	client = state == &stopped ? role_dial_unix() : role_dial();
	reply("220 ");
	say("LHLO x\r\n");
	reply("250 ");
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

/* A recipient with a part at each of the keepers of this set (1, 2 or 3), all of which are ready.
 */
static void recipient(unsigned set)
{
	const struct ipc_recipient *asked;
	struct ipc_resolved resolved = {.parts = set == 3 ? 2 : 1};
	struct ipc_recipient_answer ready = {.reason = REASON_OK};
	uint64_t instances[2] = {keepers[set == 2]->instance, keepers[1]->instance};

	say("RCPT TO:<anna@office.test>\r\n");
	asked = role_expect(auth, IPC_RCPT);
	session = resolved.session = ready.session = asked->session;
	resolved.transaction = ready.transaction = asked->transaction;
	resolved.index = ready.index = asked->index;
	role_send_raw(auth, IPC_RESOLVED, &resolved, sizeof(resolved), instances,
		      resolved.parts * sizeof(instances[0]), -1);
	for (unsigned i = 0; i < 2; i++)
		if (set & 1u << i)
			role_send(keepers[i], IPC_RCPT_READY, &ready);
	reply("250 ");
}

static void mail(void)
{
	say("MAIL FROM:<a@example.org>\r\n");
	reply("250 ");
}

static void data(void)
{
	say("DATA\r\n");
	reply("354 ");
	say("Subject: x\r\n\r\nbody\r\n.\r\n");
}

/* One keeper answers for a recipient of its DELIVER. */
static void delivered(unsigned keeper, unsigned n)
{
	const struct ipc_deliver *message = role_expect(keepers[keeper], IPC_DELIVER);
	struct ipc_recipient_answer answer = {.session = message->session,
					      .transaction = message->transaction};

	memcpy(&answer.index, ipc_tail(message) + n * sizeof(uint32_t), sizeof(uint32_t));
	role_send(keepers[keeper], IPC_DELIVERED, &answer);
}

static void test_a_keeper_goes_in_the_middle_of_a_delivery(void **state)
{
	(void)state;
	mail();
	recipient(1);
	data();
	role_expect(keepers[0], IPC_DELIVER);
	role_peer_dies(keepers[0]);
	reply("451 4.3.0 ");
	say("NOOP\r\n");
	reply("250 ");
	role_expect_log("<2>channel to keeper 0 is gone: ");
}

/* RCPT was answered 250, and its keeper is gone when the message is complete. */
static void test_a_keeper_goes_before_the_message_is_complete(void **state)
{
	(void)state;
	mail();
	recipient(1);
	role_peer_dies(keepers[0]);
	data();
	reply("451 4.3.0 ");
	say("NOOP\r\n");
	reply("250 ");
}

static void test_others_are_delivered_behind_a_keeper_that_went_early(void **state)
{
	(void)state;
	mail();
	recipient(1);
	recipient(2);
	role_peer_dies(keepers[0]);
	data();
	reply("451 4.3.0 ");
	delivered(1, 1);
	reply("250 2.1.5 ");
	say("NOOP\r\n");
	reply("250 ");
}

static void test_the_other_keepers_recipients_are_delivered(void **state)
{
	(void)state;
	mail();
	recipient(1);
	recipient(2);
	recipient(1);
	data();
	role_expect(keepers[0], IPC_DELIVER);
	role_peer_dies(keepers[0]);
	reply("451 4.3.0 ");
	delivered(1, 1);
	reply("250 2.1.5 ");
	reply("451 4.3.0 ");
	say("NOOP\r\n");
	reply("250 ");
}

/* Each part has to be delivered: the one that is not makes it 451, once. */
static void test_one_part_of_a_recipient_is_lost(void **state)
{
	(void)state;
	mail();
	recipient(3);
	data();
	delivered(1, 0);
	role_expect(keepers[0], IPC_DELIVER);
	role_peer_dies(keepers[0]);
	reply("451 4.3.0 ");
	say("NOOP\r\n");
	reply("250 2.0.0");
}

/* Before DATA, what was promised cannot be kept: the connection ends. */
static void test_a_keeper_goes_that_was_asked_nothing(void **state)
{
	(void)state;
	mail();
	recipient(1);
	role_peer_dies(keepers[1]);
	role_ping();
	data();
	delivered(0, 0);
	reply("250 2.1.5 ");
}

/* ---- auth goes ---- */

/* RCPT is under way at auth, which ends. */
static void test_auth_goes_before_it_answers(void **state)
{
	(void)state;
	mail();
	say("RCPT TO:<anna@office.test>\r\n");
	role_expect(auth, IPC_RCPT);
	role_peer_dies(auth);
	reply("451 4.3.0 ");
	say("RCPT TO:<anna@office.test>\r\n"); /* there is none to ask */
	reply("451 4.3.0 ");
	auth = role_peer(ROLE_AUTH, 0);
	role_ping();
	recipient(1);
	data();
	delivered(0, 0);
	reply("250 2.1.5 ");
}

/* The next auth is there before the end of the last one is seen. */
static void test_the_next_auth_comes_first(void **state)
{
	struct role_peer *last = auth;

	(void)state;
	mail();
	say("RCPT TO:<anna@office.test>\r\n");
	role_expect(auth, IPC_RCPT);
	auth = role_peer(ROLE_AUTH, 0);
	reply("451 4.3.0 ");
	recipient(1);
	role_peer_dies(last);
	role_ping();
	recipient(2); /* it asks the new one all the same */
	data();
	delivered(0, 0);
	delivered(1, 1);
	reply("250 2.1.5 ");
	reply("250 2.1.5 ");
}

/* auth has passed a recipient to a keeper that is gone: it says so, since it keeps no list. */
static void test_auth_says_that_a_keeper_is_gone(void **state)
{
	struct ipc_empty gone = {0};

	(void)state;
	mail();
	recipient(1);
	say("RCPT TO:<berta@office.test>\r\n");
	role_expect(auth, IPC_RCPT);
	role_send(auth, IPC_KEEPER_GONE, &gone);
	reply("451 4.3.0 ");
	data();
	delivered(0, 0);
	reply("250 2.1.5 ");
	say("NOOP\r\n");
	reply("250 ");
}

/* ---- deadlines ---- */

static bool client_is_told(void)
{
	struct pollfd wait = {.fd = client, .events = POLLIN};

	return poll(&wait, 1, 0) == 1;
}

static void test_an_idle_client_is_told(void **state)
{
	(void)state;
	role_advance(IDLE_MS - 1);
	say("NOOP\r\n"); /* from here on anew */
	reply("250 ");
	role_advance(IDLE_MS - 1);
	assert_false(client_is_told());
	role_advance(1);
	reply("421 4.4.2 ");
	assert_string_equal(line(), "");
}

static void test_a_client_that_is_idle_in_its_message(void **state)
{
	(void)state;
	mail();
	recipient(1);
	say("DATA\r\n");
	reply("354 ");
	role_advance(IDLE_MS - 1);
	assert_false(client_is_told());
	role_advance(1);
	reply("421 4.4.2 ");
	assert_string_equal(line(), "");
}

/* The client waits for the keepers: it is not idle. */
static void test_a_delivery_takes_longer_than_idle(void **state)
{
	(void)state;
	mail();
	recipient(1);
	data();
	role_advance(IDLE_MS);
	role_advance(IDLE_MS);
	assert_false(client_is_told());
	delivered(0, 0);
	reply("250 2.1.5 ");
	role_advance(IDLE_MS); /* now it is */
	reply("421 4.4.2 ");
}

/* A keeper does not answer RCPT: the client is cut, not told to be idle. */
static void test_a_recipient_takes_longer_than_idle(void **state)
{
	(void)state;
	mail();
	say("RCPT TO:<anna@office.test>\r\n");
	role_expect(auth, IPC_RCPT);
	role_advance(IDLE_MS);
	assert_string_equal(line(), "");
}

/* ---- what the log says of mail that was not taken ---- */

/* However it is sent: ten minutes, and a second for each 16 KiB of it. */
static void test_a_message_that_takes_too_long(void **state)
{
	static char octets[SPOOL_OCTETS_A_SECOND];

	(void)state;
	for (size_t i = 0; i < sizeof(octets); i++)
		octets[i] = i % 64 == 63 ? '\n' : i % 64 == 62 ? '\r' : 'x';
	mail();
	recipient(1);
	say("DATA\r\n");
	reply("354 ");
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(send(client, octets, sizeof(octets) / 2, MSG_NOSIGNAL),
				 sizeof(octets) / 2);
		role_settle(client);
		role_advance(SPOOL_TIME_MS / 3);
	}
	role_advance(1000);
	say("x\r\n");
	role_settle(client);
	assert_false(client_is_told());
	role_advance(1);
	say("\r\n");
	reply("421 4.4.2 ");
	assert_string_equal(line(), "");
}

static void refused_by_auth(enum reason reason)
{
	struct ipc_recipient_answer refused = {.reason = reason};
	const struct ipc_recipient *asked;

	say("RCPT TO:<Anna@office.test>\r\n");
	asked = role_expect(auth, IPC_RCPT);
	refused.session = asked->session;
	refused.transaction = asked->transaction;
	refused.index = asked->index;
	role_send(auth, IPC_RCPT_REFUSED, &refused);
}

static void test_refusals_in_the_log(void **state)
{
	(void)state;
	mail();
	refused_by_auth(REASON_NO_SUCH_USER);
	reply("550 5.1.1 no such user here\r\n");
	role_expect_log("<2>recipient-refused from=127.0.0.1 session=1-1 "
			"sender=\"a@example.org\" recipient=\"Anna@office.test\" reason=\"no such "
			"user here\"\n");
	refused_by_auth(REASON_OVER_QUOTA);
	reply("452 4.2.2 the mailbox is full, try again later\r\n");
	role_expect_log("recipient=\"Anna@office.test\" reason=\"the mailbox is full, try again "
			"later\"\n");
	say("RSET\r\n");
	reply("250 ");
	say("MAIL FROM:<>\r\n");
	reply("250 ");
	role_peer_dies(auth);
	role_ping();
	say("RCPT TO:<berta@office.test>\r\n");
	reply("451 4.3.0 the mail store is not available, try again later\r\n");
	role_expect_log(
		"sender=\"\" recipient=\"berta@office.test\" reason=\"the mail store is not "
		"available, try again later\"\n");
}

/* A recipient that waited for a keeper in vain: the next ones of the transaction do not. */
static void test_recipients_behind_one_that_waited(void **state)
{
	const struct ipc_recipient *asked;

	(void)state;
	mail();
	refused_by_auth(REASON_OWNERS_BUSY);
	reply("451 4.3.2 ");
	say("RCPT TO:<berta@office.test>\r\n");
	asked = role_expect(auth, IPC_RCPT);
	assert_int_equal(asked->held, IPC_HELD_ALL);
}

/* ---- a listening socket that is shut ---- */

static int listener_of_role(void)
{
	char path[64], link[64];

	/* the socket that listens, through the role's process */
	for (int fd = 3; fd < 64; fd++) {
		struct sockaddr_in address;
		socklen_t size = sizeof(address);
		int listens = 0, mine;
		socklen_t one = sizeof(listens);
		long pidfd;

		snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)role.pid, fd);
		if (readlink(path, link, sizeof(link)) <= 0)
			continue;
		pidfd = syscall(SYS_pidfd_open, role.pid, 0);
		mine = (int)syscall(SYS_pidfd_getfd, (int)pidfd, fd, 0);
		close((int)pidfd);
		if (mine < 0)
			continue;
		if (getsockopt(mine, SOL_SOCKET, SO_ACCEPTCONN, &listens, &one) == 0 && listens &&
		    getsockname(mine, (struct sockaddr *)&address, &size) == 0)
			return mine;
		close(mine);
	}
	return -1;
}

static unsigned descriptors_of_role(void)
{
	char path[64];
	unsigned count = 0;
	DIR *fds;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)role.pid);
	fds = opendir(path);
	assert_non_null(fds);
	while (readdir(fds))
		count++;
	closedir(fds);
	return count;
}

static void test_a_listening_socket_that_was_shut(void **state)
{
	int listener = listener_of_role(), other;
	unsigned before;

	(void)state;
	if (listener < 0)
		skip(); /* no process may look into another here */
	before = descriptors_of_role();
	shutdown(listener, SHUT_RDWR);
	close(listener);
	role_expect(&role.monitor, IPC_LISTENER_DEAD);
	assert_int_equal(descriptors_of_role(), before - 1);
	role_expect_log(
		"<0>a listening socket of LMTP was shut; this process asks the monitor for a "
		"new one\n");
	role_expect_input();
	role_listen(SERVICE_LMTP);
	role_ping();
	other = client;
	client = role_dial();
	reply("220 ");
	close(client);
	client = other;
	say("NOOP\r\n"); /* those that are connected go on */
	reply("250 ");
}

/* ---- the spool ---- */

enum { MIB = 1024 * 1024 };

static void with_small_spool(struct config *config)
{
	config->lmtp_spool_size = 4 * MIB;
}

static int begin_with_small_spool(void **state)
{
	int rc;

	(void)state;
	role_configure = with_small_spool;
	rc = begin(&stopped);
	role_configure = NULL;
	return rc;
}

/* The monitor sends a file of the spool, which was asked for at the start; what it is. */
static struct stat spool_file(const char *name)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(2 * sizeof(int))] = {0};
	struct ipc_empty message = {.head.type = IPC_SPOOL_FILE};
	struct iovec part = {&message, sizeof(message)};
	struct msghdr packet = {.msg_iov = &part,
				.msg_iovlen = 1,
				.msg_control = control,
				.msg_controllen = sizeof(control)};
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&packet);
	int fds[2];
	struct stat st;

	fds[0] = openat(role.folder_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	fds[1] = openat(role.folder_fd, name, O_RDONLY | O_CLOEXEC);
	assert_true(fds[0] >= 0 && fds[1] >= 0);
	assert_int_equal(fstat(fds[1], &st), 0);
	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(sizeof(fds));
	memcpy(CMSG_DATA(cmsg), fds, sizeof(fds));
	assert_int_equal(sendmsg(role.monitor.fd, &packet, MSG_NOSIGNAL), sizeof(message));
	close(fds[0]);
	close(fds[1]);
	role_ping();
	return st;
}

/* Lines of a message, so many octets. */
static void say_lines(size_t octets)
{
	char text[8192];

	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = i % 64 == 63 ? '\n' : i % 64 == 62 ? '\r' : 'x';
	for (size_t sent = 0; sent < octets; sent += sizeof(text))
		for (size_t at = 0; at < sizeof(text);) {
			ssize_t n = send(client, text + at, sizeof(text) - at, MSG_NOSIGNAL);

			assert_true(n > 0);
			at += (size_t)n;
		}
	role_settle(client);
}

static void begin_message(void)
{
	mail();
	recipient(1);
	say("DATA\r\n");
	reply("354 ");
}

/* The message that a keeper gets is that file. */
static void expect_delivery_of(const struct stat *file, size_t octets)
{
	struct stat st;

	say(".\r\n");
	delivered(0, 0);
	assert_int_equal(fstat(keepers[0]->fds[0], &st), 0);
	assert_int_equal(st.st_dev, file->st_dev);
	assert_int_equal(st.st_ino, file->st_ino);
	assert_int_equal(st.st_size, octets);
	reply("250 ");
}

/* Its size was not declared: it goes to the disk when it is too large for memory. */
static void test_a_message_that_outgrows_memory(void **state)
{
	struct stat file = spool_file("spool-1");

	(void)state;
	begin_message();
	say_lines(MIB + 65536);
	expect_delivery_of(&file, MIB + 65536);
}

/* A message on the disk that does not grow gives way to one that does. */
static void test_a_slow_message_on_the_disk_gives_way(void **state)
{
	struct stat files[2] = {spool_file("spool-1"), spool_file("spool-2")};
	int slow = client;

	(void)state;
	begin_message();
	say_lines(MIB + 65536);
	role_advance(SPOOL_STEP_MS + 1);
	client = role_dial_unix();
	reply("220 ");
	say("LHLO y\r\n");
	reply("250 ");
	begin_message();
	say_lines(2 * MIB + 65536);
	expect_delivery_of(&files[0], 2 * MIB + 65536);
	close(client);
	client = slow;
	say(".\r\n");
	reply("452 4.3.1 ");
	say("NOOP\r\n");
	reply("250 ");
}

/* ---- the end ---- */

static uint32_t max_recipients;

static void with_recipients(struct config *config)
{
	config->lmtp_max_recipients = max_recipients;
}

static int begin_with_recipients(void **state)
{
	int rc;

	role_configure = with_recipients;
	rc = begin(state);
	role_configure = NULL;
	return rc;
}

static int begin_with_two(void **state)
{
	max_recipients = 2;
	return begin_with_recipients(state);
}

static int begin_with_any(void **state)
{
	max_recipients = 10 * IPC_RECIPIENTS_MAX;
	return begin_with_recipients(state);
}

static void test_as_many_recipients_as_are_set(void **state)
{
	(void)state;
	mail();
	recipient(1);
	recipient(1);
	say("RCPT TO:<anna@office.test>\r\n");
	reply("452 ");
}

/* Whatever the configuration says, a DELIVER has room for so many. */
static void test_as_many_recipients_as_a_packet_has(void **state)
{
	(void)state;
	mail();
	for (unsigned i = 0; i < IPC_RECIPIENTS_MAX; i++)
		recipient(1);
	say("RCPT TO:<anna@office.test>\r\n");
	reply("452 ");
	say("RSET\r\n");
	reply("250 ");
}

/* The next generation has begun: this one takes no client more, and serves those that it has. */
static void test_one_that_accepts_no_more(void **state)
{
	(void)state;
	role_stop_accepting();
	say("NOOP\r\n");
	reply("250 ");
	role_drain(3600 * 1000);
	reply("421 4.3.2 ");
	assert_int_equal(role_ends(), 0);
}

static void test_drain_ends_an_idle_session_at_once(void **state)
{
	(void)state;
	role_drain(3600 * 1000);
	reply("421 4.3.2 ");
	assert_string_equal(line(), "");
	assert_int_equal(role_ends(), 0);
}

static void test_drain_lets_a_delivery_end(void **state)
{
	(void)state;
	mail();
	recipient(1);
	data();
	role_drain(3600 * 1000);
	role_ping();
	delivered(0, 0);
	reply("250 2.1.5 ");
	reply("421 4.3.2 ");
	assert_int_equal(role_ends(), 0);
}

/* The time of the drain is over: what is open is cut. */
static void test_drain_cuts_what_takes_longer(void **state)
{
	enum { DRAIN_MS = 5000, FAST = 20 };
	struct timespec began, now;
	long ms;

	(void)state;
	mail();
	recipient(1);
	data();
	role.shared->speed = FAST;
	clock_gettime(CLOCK_MONOTONIC, &began);
	role_drain(DRAIN_MS);
	assert_string_equal(line(), "");
	clock_gettime(CLOCK_MONOTONIC, &now);
	ms = (now.tv_sec - began.tv_sec) * 1000 + (now.tv_nsec - began.tv_nsec) / 1000000;
	assert_true(ms >= DRAIN_MS / FAST - 2);
	assert_int_equal(role_ends(), 0);
}

#define IN_LMTP(test) cmocka_unit_test_setup_teardown(test, begin, end)
#define STOPPED(test) cmocka_unit_test_setup_teardown(test, begin_stopped, end)

static void test_no_start_without_a_sandbox(void **state)
{
	(void)state;
	role_begin(&lmtp_role, false);
	role_expect_no_start();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_no_start_without_a_sandbox, role_over),
		IN_LMTP(test_a_keeper_goes_in_the_middle_of_a_delivery),
		IN_LMTP(test_a_keeper_goes_before_the_message_is_complete),
		IN_LMTP(test_others_are_delivered_behind_a_keeper_that_went_early),
		IN_LMTP(test_the_other_keepers_recipients_are_delivered),
		IN_LMTP(test_one_part_of_a_recipient_is_lost),
		IN_LMTP(test_a_keeper_goes_that_was_asked_nothing),
		IN_LMTP(test_auth_goes_before_it_answers),
		IN_LMTP(test_the_next_auth_comes_first),
		IN_LMTP(test_auth_says_that_a_keeper_is_gone),
		STOPPED(test_an_idle_client_is_told),
		STOPPED(test_a_client_that_is_idle_in_its_message),
		STOPPED(test_a_delivery_takes_longer_than_idle),
		STOPPED(test_a_recipient_takes_longer_than_idle),
		cmocka_unit_test_setup_teardown(test_a_message_that_takes_too_long, begin_stopped,
						end),
		IN_LMTP(test_refusals_in_the_log),
		IN_LMTP(test_recipients_behind_one_that_waited),
		IN_LMTP(test_a_listening_socket_that_was_shut),
		cmocka_unit_test_setup_teardown(test_a_message_that_outgrows_memory,
						begin_with_small_spool, end),
		cmocka_unit_test_setup_teardown(test_a_slow_message_on_the_disk_gives_way,
						begin_with_small_spool, end),
		cmocka_unit_test_setup_teardown(test_as_many_recipients_as_are_set, begin_with_two,
						end),
		cmocka_unit_test_setup_teardown(test_as_many_recipients_as_a_packet_has,
						begin_with_any, end),
		IN_LMTP(test_one_that_accepts_no_more),
		IN_LMTP(test_drain_ends_an_idle_session_at_once),
		IN_LMTP(test_drain_lets_a_delivery_end),
		IN_LMTP(test_drain_cuts_what_takes_longer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
