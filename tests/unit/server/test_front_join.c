/* A login whose mail moves here: a keeper has opened what is here, a connector what is there. The
 * test plays both, auth, the monitor and the client. */
#include "role_test.h"

#include "maildrop/maildir/maildir.h"
#include "maildrop/maildrop.h"
#include "server/front/front.h"

#include <sys/mman.h>

static struct role_peer *auth, *keeper, *connector;
static struct maildrop *here, *there;
static uint64_t session, ticket;
static int client;

static void say(const char *text)
{
	assert_int_equal(send(client, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* A line; "": the connection is closed. */
static const char *line(void)
{
	static char text[1024];
	size_t used = 0;

	while (used < sizeof(text) - 1 && (!used || text[used - 1] != '\n')) {
		struct pollfd wait = {.fd = client, .events = POLLIN};

		assert_int_equal(poll(&wait, 1, ROLE_PATIENCE_MS), 1);
		if (recv(client, text + used, 1, 0) <= 0)
			break;
		used++;
	}
	text[used] = '\0';
	return text;
}

static void reply(const char *wanted)
{
	const char *text = line();

	if (strncmp(text, wanted, strlen(wanted)) != 0)
		fail_msg("%s, not %s", text, wanted);
}

static void open_mail(const char *name, const char *const *files, struct maildrop **ret)
{
	struct maildrop_settings settings = {.driver = &maildir_driver, .host_name = "x"};
	char path[128];
	struct err err = {0};

	for (const char *const *part = (const char *const[]){"", "/new", "/cur", "/tmp", NULL};
	     *part; part++) {
		snprintf(path, sizeof(path), "mail/%s%s", name, *part);
		assert_int_equal(mkdirat(role.folder_fd, path, 0700), 0);
	}
	for (; *files; files++) {
		snprintf(path, sizeof(path), "mail/%s/new/%s", name, *files);
		role_write(path, "A: 1\n\n");
	}
	if (maildrop_open(&settings, role.mail_fd, name, ret, &err) != MAILDROP_OK)
		fail_msg("%s", err.text);
}

static int bad_base = -1; /* lent in the place of a base */

static void opened_as(struct role_peer *from, struct maildrop *maildrop, enum ipc_part part,
		      uint64_t with_ticket)
{
	char packet[sizeof(struct ipc_opened) + 4], control[CMSG_SPACE(2 * sizeof(int))] = {0};
	struct iovec octets = {packet, sizeof(packet)};
	struct msghdr header = {.msg_iov = &octets,
				.msg_iovlen = 1,
				.msg_control = control,
				.msg_controllen = sizeof(control)};
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&header);
	struct ipc_opened message = {.session = session,
				     .ticket = with_ticket,
				     .part = part,
				     .remote = part == PART_THERE};
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
	if (bad_base >= 0)
		snapshot.base_fd = bad_base;
	memcpy(CMSG_DATA(cmsg), (int[]){snapshot.base_fd, snapshot.delta_fd}, 2 * sizeof(int));
	assert_int_equal(sendmsg(from->fd, &header, MSG_NOSIGNAL), sizeof(packet));
}

static void opened_here(void)
{
	opened_as(keeper, here, PART_HERE, ticket);
}

static void opened_there(void)
{
	opened_as(connector, there, PART_THERE, ticket);
}

static void ask_login(void)
{
	const struct ipc_credentials *pass;

	say("USER anna\r\nPASS secret\r\n");
	reply("+OK");
	pass = role_expect(auth, IPC_PASS);
	ticket = pass->ticket;
}

static int begin_with(const char *const *files_there)
{
	struct ipc_offer offer = {.apop = 0};
	struct ipc_connected connected = {.reason = REASON_OK};

	role_captures = true;
	role_begin(&front_role, false);
	open_mail("here", (const char *const[]){"1.a", "2.b", NULL}, &here);
	open_mail("there", files_there, &there);
	role_listen(SERVICE_POP3);
	auth = role_peer(ROLE_AUTH, 0);
	keeper = role_peer(ROLE_KEEPER, 0);
	connector = role_peer(ROLE_CONNECTOR, 0);
	role_go();
	ROLE_SEND_TEXTS(auth, IPC_OFFER, &offer, "PLAIN", "PLAIN");
	role_ping();
	client = role_dial();
	session = ((const struct ipc_connect *)role_expect(auth, IPC_CONNECT))->session;
	connected.session = session;
	ROLE_SEND_TEXTS(auth, IPC_CONNECTED, &connected, "");
	reply("+OK ");
	ask_login();
	return 0;
}

static int begin(void **state)
{
	(void)state;
	return begin_with((const char *const[]){"3.c", NULL});
}

static int begin_same(void **state)
{
	(void)state;
	return begin_with((const char *const[]){"3.c", "2.b", NULL});
}

static int end(void **state)
{
	close(client);
	maildrop_close(here);
	maildrop_close(there);
	return role_over(state);
}

static void is_in(void)
{
	reply("+OK");
	say("STAT\r\nUIDL 2\r\nUIDL 3\r\n");
	reply("+OK 3 ");
	reply("+OK 2 2.b\r\n");
	reply("+OK 3 3.c\r\n");
}

/* ---- the login ---- */

static void test_the_part_that_is_here_comes_first(void **state)
{
	(void)state;
	opened_here();
	role_ping();
	opened_there();
	is_in();
}

static void test_the_part_that_is_there_comes_first(void **state)
{
	(void)state;
	opened_there();
	role_ping();
	opened_here();
	is_in();
}

static void test_a_part_without_the_ticket(void **state)
{
	(void)state;
	opened_as(keeper, here, PART_HERE, ticket + 1);
	role_expect(keeper, IPC_CLOSE);
	opened_here();
	opened_there();
	is_in();
}

static void test_a_keeper_that_opens_twice(void **state)
{
	(void)state;
	opened_here();
	opened_here();
	role_expect_cut(keeper);
	assert_string_equal(line(), "");
}

/* What is open is closed, and another login can open it. */
static void test_the_other_part_cannot_be_opened(void **state)
{
	struct ipc_open_failed failed = {
		.session = session, .ticket = ticket, .reason = REASON_STORE_DOWN};

	(void)state;
	opened_here();
	role_ping();
	role_send(connector, IPC_OPEN_FAILED, &failed);
	role_expect(keeper, IPC_CLOSE);
	reply("-ERR [SYS/TEMP]");
	ask_login();
	opened_there();
	opened_here();
	is_in();
}

static void test_auth_denies_after_a_part(void **state)
{
	struct ipc_denied denied = {
		.session = session, .ticket = ticket, .reason = REASON_STORE_DOWN, .delay = 10};

	(void)state;
	opened_here();
	role_ping();
	role_send(auth, IPC_DENIED, &denied);
	role_expect(keeper, IPC_CLOSE);
	opened_there(); /* it is late */
	role_expect(connector, IPC_CLOSE);
	reply("-ERR [SYS/TEMP]");
}

static void test_auth_dies_after_a_part(void **state)
{
	(void)state;
	opened_here();
	role_ping();
	role_peer_dies(auth);
	role_expect(keeper, IPC_CLOSE);
	reply("-ERR [SYS/TEMP]");
}

static void test_the_keeper_dies_before_the_other_part(void **state)
{
	(void)state;
	opened_here();
	role_ping();
	role_peer_dies(keeper);
	assert_string_equal(line(), "");
	role_ping();
	opened_there();
	role_expect(connector, IPC_CLOSE);
}

static void test_the_client_goes_before_the_other_part(void **state)
{
	const struct linger reset = {.l_onoff = 1};

	(void)state;
	opened_here();
	role_ping();
	assert_int_equal(setsockopt(client, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)), 0);
	close(client);
	role_expect(keeper, IPC_CLOSE);
	client = role_dial();
	opened_there();
	role_expect(connector, IPC_CLOSE);
}

/* Another login wants what is here. */
static void test_a_part_is_taken_over(void **state)
{
	struct ipc_session ask = {.session = session};
	struct ipc_gone gone = {.session = session, .reason = REASON_TAKEN_OVER};

	(void)state;
	opened_here();
	role_ping();
	role_send(keeper, IPC_HOLDER_ASK, &ask);
	assert_int_equal(((const struct ipc_holder *)role_expect(keeper, IPC_HOLDER))->busy, 1);
	role_send(keeper, IPC_GONE, &gone);
	role_expect(keeper, IPC_CLOSE);
	role_ping();
}

static void test_an_answer_that_nobody_asked_for(void **state)
{
	struct ipc_committed committed = {.session = session, .reason = REASON_OK};

	(void)state;
	opened_here();
	role_ping();
	role_send(keeper, IPC_COMMITTED, &committed);
	role_expect_cut(keeper);
	assert_string_equal(line(), "");
}

static void test_one_id_in_both(void **state)
{
	(void)state;
	opened_here();
	opened_there();
	reply("-ERR [SYS/PERM]");
	role_expect(keeper, IPC_CLOSE);
	role_expect(connector, IPC_CLOSE);
}

/* Its keeper builds it anew for the next login. */
static void expect_index_wrong(struct role_peer *from)
{
	role_expect(from, IPC_INDEX_WRONG);
	reply("-ERR [SYS/TEMP]");
	role_expect(keeper, IPC_CLOSE);
	close(bad_base);
	bad_base = -1;
}

static void test_an_index_of_here_that_is_none(void **state)
{
	(void)state;
	opened_there();
	role_ping();
	bad_base = memfd_create("base", MFD_CLOEXEC);
	opened_here();
	expect_index_wrong(keeper);
	role_expect(connector, IPC_CLOSE);
}

static void test_an_index_of_there_that_is_none(void **state)
{
	(void)state;
	opened_here();
	role_ping();
	bad_base = memfd_create("base", MFD_CLOEXEC);
	opened_there();
	expect_index_wrong(connector);
	role_expect(connector, IPC_CLOSE);
}

/* ---- QUIT ---- */

static void expect_deletion(struct role_peer *from, uint32_t number)
{
	const struct ipc_delete *deletion = role_expect(from, IPC_DELETE);
	uint32_t got;

	assert_int_equal(deletion->count, 1);
	memcpy(&got, ipc_tail(deletion), sizeof(got));
	assert_int_equal(got, number);
	assert_int_equal(((const struct ipc_commit *)role_expect(from, IPC_COMMIT))->total, 1);
}

static void committed(struct role_peer *from, enum reason reason)
{
	struct ipc_committed message = {.session = session, .reason = reason};

	role_send(from, IPC_COMMITTED, &message);
}

static void mark_both(void)
{
	opened_here();
	opened_there();
	is_in();
	say("DELE 2\r\nDELE 3\r\nQUIT\r\n");
	reply("+OK");
	reply("+OK");
}

static void test_deletions_are_made_there_first(void **state)
{
	char octet;

	(void)state;
	mark_both();
	expect_deletion(connector, 1);
	role_ping();
	assert_int_equal(recv(keeper->fd, &octet, 1, MSG_PEEK | MSG_DONTWAIT), -1);
	committed(connector, REASON_OK);
	expect_deletion(keeper, 2);
	committed(keeper, REASON_OK);
	role_expect(keeper, IPC_CLOSE);
	role_expect(connector, IPC_CLOSE);
	reply("+OK");
}

static void test_deletions_that_are_refused_there(void **state)
{
	(void)state;
	mark_both();
	expect_deletion(connector, 1);
	committed(connector, REASON_NOT_DELETED);
	role_expect(keeper, IPC_CLOSE); /* and nothing before it */
	reply("-ERR [SYS/TEMP]");
}

static void test_deletions_that_are_refused_here(void **state)
{
	(void)state;
	mark_both();
	expect_deletion(connector, 1);
	committed(connector, REASON_OK);
	expect_deletion(keeper, 2);
	committed(keeper, REASON_NOT_DELETED);
	reply("-ERR [SYS/TEMP]");
}

static void test_the_keeper_dies_while_it_is_deleted_there(void **state)
{
	(void)state;
	mark_both();
	expect_deletion(connector, 1);
	role_peer_dies(keeper);
	assert_string_equal(line(), "");
	committed(connector, REASON_OK); /* to nobody */
	role_ping();
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_the_part_that_is_here_comes_first),
		TEST(test_the_part_that_is_there_comes_first),
		TEST(test_a_part_without_the_ticket),
		TEST(test_a_keeper_that_opens_twice),
		TEST(test_the_other_part_cannot_be_opened),
		TEST(test_auth_denies_after_a_part),
		TEST(test_auth_dies_after_a_part),
		TEST(test_the_keeper_dies_before_the_other_part),
		TEST(test_the_client_goes_before_the_other_part),
		TEST(test_a_part_is_taken_over),
		TEST(test_an_answer_that_nobody_asked_for),
		cmocka_unit_test_setup_teardown(test_one_id_in_both, begin_same, end),
		TEST(test_an_index_of_here_that_is_none),
		TEST(test_an_index_of_there_that_is_none),
		TEST(test_deletions_are_made_there_first),
		TEST(test_deletions_that_are_refused_there),
		TEST(test_deletions_that_are_refused_here),
		TEST(test_the_keeper_dies_while_it_is_deleted_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
