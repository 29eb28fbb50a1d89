/* A POP3 session behind its login: listings from a real index, bodies in each of the ways that a
 * keeper sends them, deletions, and the line at the end. The test plays the monitor, auth, the
 * keeper and the client. */
#include "role_test.h"

#include "base/text.h"
#include "maildrop/maildir/maildir.h"
#include "maildrop/maildrop.h"
#include "server/front/front.h"

enum { IDLE_MS = 600 * 1000, TRIM_MS = 5000 };

static struct role_peer *auth, *keeper;
static struct maildrop *maildrop;
static uint64_t session, ticket;
static int client;

static void say(const char *text)
{
	assert_int_equal(send(client, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* What comes until text ends so; "" and the rest of it: the connection is closed. */
static const char *read_until(const char *end)
{
	static char text[65536];
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
	assert_string_equal(read_until("\r\n"), wanted);
}

static bool has_something(void)
{
	struct pollfd wait = {.fd = client, .events = POLLIN};

	return poll(&wait, 1, 0) == 1;
}

static void expect_closed(void)
{
	assert_string_equal(read_until("\r\n"), "");
}

/* ---- a session that is logged in ---- */

static void send_two_fds(const struct role_peer *to, void *message, size_t size, const char *text,
			 const int fds[2])
{
	char packet[1024], control[CMSG_SPACE(2 * sizeof(int))] = {0};
	struct iovec part = {packet, size + strlen(text)};
	struct msghdr header = {.msg_iov = &part,
				.msg_iovlen = 1,
				.msg_control = control,
				.msg_controllen = sizeof(control)};
	struct ipc_head *head = message;
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&header);

	head->type = IPC_OPENED;
	head->tail = head->texts[0] = (uint16_t)strlen(text);
	memcpy(packet, message, size);
	memcpy(packet + size, text, strlen(text));
	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(2 * sizeof(int));
	memcpy(CMSG_DATA(cmsg), fds, 2 * sizeof(int));
	assert_int_equal(sendmsg(to->fd, &header, MSG_NOSIGNAL), size + strlen(text));
}

static void opened(int base_fd)
{
	struct ipc_opened message = {.session = session, .ticket = ticket};
	struct maildrop_snapshot snapshot;
	int fds[2];

	maildrop_snapshot(maildrop, &snapshot);
	message.count = snapshot.count;
	message.octets = snapshot.octets;
	message.delta_size = snapshot.delta_size;
	fds[0] = base_fd >= 0 ? base_fd : snapshot.base_fd;
	fds[1] = snapshot.delta_fd;
	send_two_fds(keeper, &message, sizeof(message), "anna", fds);
}

static void begin_with(unsigned count, bool stops)
{
	struct maildrop_settings settings = {.driver = &maildir_driver, .host_name = "x"};
	struct ipc_offer offer = {.apop = 0};
	struct ipc_connected connected = {.reason = REASON_OK};
	struct err err = {.text = ""};
	char name[64], text[64];

	role_captures = true;
	role_begin(&front_role, false);
	if (stops)
		role_stop_clock();
	for (const char *const *path =
		     (const char *const[]){"mail/anna", "mail/anna/new", "mail/anna/cur",
					   "mail/anna/tmp", NULL};
	     *path; path++)
		assert_int_equal(mkdirat(role.folder_fd, *path, 0700), 0);
	for (unsigned i = 1; i <= count; i++) {
		snprintf(name, sizeof(name), "mail/anna/new/%u.id%u", 1000000 + i, i);
		snprintf(text, sizeof(text), "A: %03u\n\n%0*u\n", i, (int)(i % 3 + 1), 0);
		role_write(name, text);
	}
	if (maildrop_open(&settings, role.mail_fd, "anna", &maildrop, &err) != MAILDROP_OK)
		fail_msg("%s", err.text);
	role_listen(SERVICE_POP3);
	auth = role_peer(ROLE_AUTH, 0);
	keeper = role_peer(ROLE_KEEPER, 0);
	role_go();
	ROLE_SEND_TEXTS(auth, IPC_OFFER, &offer, "PLAIN", "PLAIN");
	role_ping();
	client = role_dial();
	session = ((const struct ipc_connect *)role_expect(auth, IPC_CONNECT))->session;
	connected.session = session;
	ROLE_SEND_TEXTS(auth, IPC_CONNECTED, &connected, "");
	assert_int_equal(strncmp(read_until("\r\n"), "+OK ", 4), 0);
	say("USER anna\r\nPASS secret\r\n");
	assert_int_equal(strncmp(read_until("\r\n"), "+OK", 3), 0);
	ticket = ((const struct ipc_credentials *)role_expect(auth, IPC_PASS))->ticket;
}

static void log_in(unsigned count)
{
	begin_with(count, false);
	opened(-1);
	assert_int_equal(strncmp(read_until("\r\n"), "+OK", 3), 0);
}

static int begin(void **state)
{
	(void)state;
	log_in(3);
	return 0;
}

static int begin_many(void **state)
{
	(void)state;
	log_in(300);
	return 0;
}

static int begin_stopped(void **state)
{
	(void)state;
	begin_with(3, true);
	opened(-1);
	assert_int_equal(strncmp(read_until("\r\n"), "+OK", 3), 0);
	return 0;
}

static int begin_not_opened(void **state)
{
	(void)state;
	begin_with(3, false);
	return 0;
}

static int end(void **state)
{
	int rc;

	close(client);
	rc = role_over(state);
	maildrop_close(maildrop);
	return rc;
}

static uint64_t expect_session(enum ipc_type type)
{
	const struct ipc_session *message = role_expect(keeper, type);

	return message->session;
}

static void quit(const char *ending)
{
	say("QUIT\r\n");
	reply("+OK bye\r\n");
	assert_int_equal(expect_session(IPC_CLOSE), session);
	expect_closed();
	role_expect_log(ending);
}

/* ---- listings ---- */

static void test_listings(void **state)
{
	(void)state;
	say("STAT\r\n");
	reply("+OK 3 42\r\n");
	say("LIST\r\n");
	assert_string_equal(read_until("\r\n.\r\n"), "+OK 3 messages (42 octets)\r\n1 14\r\n"
						     "2 15\r\n3 13\r\n.\r\n");
	say("LIST 2\r\n");
	reply("+OK 2 15\r\n");
	say("UIDL\r\n");
	assert_int_equal(strncmp(read_until("\r\n.\r\n"), "+OK 3 messages (42 octets)\r\n1 ", 30),
			 0);
	say("UIDL 3\r\n");
	assert_int_equal(strncmp(read_until("\r\n"), "+OK 3 ", 6), 0);
	say("DELE 2\r\n");
	assert_int_equal(strncmp(read_until("\r\n"), "+OK", 3), 0);
	say("LIST\r\n");
	assert_string_equal(read_until("\r\n.\r\n"), "+OK 2 messages (27 octets)\r\n1 14\r\n"
						     "3 13\r\n.\r\n");
	say("STAT\r\n");
	reply("+OK 2 27\r\n");
	say("RSET\r\nSTAT\r\n");
	assert_int_equal(strncmp(read_until("\r\n"), "+OK", 3), 0);
	reply("+OK 3 42\r\n");
	quit("top=0 top-octets=0 retr=0 retr-octets=0 dele=0 dele-octets=0 left=3 seconds=0 "
	     "user=\"anna\" reason=\"quit\"");
}

static void test_a_long_listing(void **state)
{
	unsigned number, octets, expected = 1;
	char *rest, *line;

	(void)state;
	for (int uidl = 0; uidl < 2; uidl++) {
		say(uidl ? "UIDL\r\n" : "LIST\r\n");
		rest = strdup(read_until("\r\n.\r\n"));
		assert_non_null(rest);
		line = strstr(rest, "\r\n") + 2;
		for (expected = 1; expected <= 300; expected++) {
			assert_int_equal(sscanf(line, "%u", &number), 1);
			assert_int_equal(number, expected);
			if (!uidl) {
				assert_int_equal(sscanf(line, "%u %u", &number, &octets), 2);
				assert_int_equal(octets, 13 + expected % 3);
			}
			line = strstr(line, "\r\n") + 2;
		}
		assert_string_equal(line, ".\r\n");
		free(rest);
	}
}

/* An index that cannot be: the keeper makes it anew, the client is told, or cut. */
static void test_a_damaged_index(void **state)
{
	int fd = memfd_create("base", MFD_CLOEXEC);

	(void)state;
	assert_int_equal(ftruncate(fd, 100000), 0);
	opened(fd);
	close(fd);
	assert_int_equal(strncmp(read_until("\r\n"), "+OK", 3), 0);
	for (int i = 0; i < 4; i++) {
		say((const char *const[]){"LIST\r\n", "UIDL 1\r\n", "DELE 1\r\n", "LIST 2\r\n"}[i]);
		assert_int_equal(strncmp(read_until("\r\n"), "-ERR [SYS/TEMP] ", 16), 0);
		assert_int_equal(expect_session(IPC_INDEX_WRONG), session);
	}
	role_expect_log("index-wrong ");
	role_expect_log("user=\"anna\" reason=\"");
	quit("left=3");
}

/* The first lines are good and out: the client must not take what came for all. */
static void test_an_index_that_is_damaged_further_on(void **state)
{
	struct maildrop_snapshot snapshot;
	static char octets[1 << 16];
	int fd = memfd_create("base", MFD_CLOEXEC);
	ssize_t size;

	(void)state;
	begin_with(300, false);
	maildrop_snapshot(maildrop, &snapshot);
	size = pread(snapshot.base_fd, octets, sizeof(octets), 0);
	assert_in_range(size, 3 * 4096, sizeof(octets) - 1);
	octets[2 * 4096 + 100] ^= 1; /* in the second block of records */
	assert_int_equal(write(fd, octets, (size_t)size), size);
	opened(fd);
	close(fd);
	assert_int_equal(strncmp(read_until("\r\n"), "+OK", 3), 0);
	say("LIST\r\n");
	assert_int_equal(expect_session(IPC_INDEX_WRONG), session);
	assert_null(strstr(read_until("\r\n.\r\n"), "\r\n.\r\n"));
	role_expect_log("reason=\"the index is damaged\"");
}

/* ---- deletions ---- */

static void delete_all_and_quit(void)
{
	const struct ipc_delete *deletion;
	const struct ipc_commit *commit;
	uint32_t numbers[2];

	say("DELE 1\r\nDELE 3\r\nQUIT\r\n");
	for (int i = 0; i < 2; i++)
		assert_int_equal(strncmp(read_until("\r\n"), "+OK", 3), 0);
	deletion = role_expect(keeper, IPC_DELETE);
	assert_int_equal(deletion->session, session);
	assert_int_equal(deletion->count, 2);
	memcpy(numbers, ipc_tail(deletion), sizeof(numbers));
	assert_int_equal(numbers[0], 1);
	assert_int_equal(numbers[1], 3);
	commit = role_expect(keeper, IPC_COMMIT);
	assert_int_equal(commit->session, session);
	assert_int_equal(commit->total, 2);
}

static void committed(enum reason reason)
{
	struct ipc_committed message = {.session = session, .reason = reason};

	role_send(keeper, IPC_COMMITTED, &message);
}

static void test_deletions(void **state)
{
	(void)state;
	delete_all_and_quit();
	committed(REASON_OK);
	reply("+OK bye\r\n");
	assert_int_equal(expect_session(IPC_CLOSE), session);
	expect_closed();
	role_expect_log("dele=2 dele-octets=27 left=1 seconds=0 user=\"anna\" reason=\"quit\"");
}

static void test_deletions_that_failed(void **state)
{
	(void)state;
	delete_all_and_quit();
	committed(REASON_MAILDROP_TEMP);
	assert_int_equal(strncmp(read_until("\r\n"), "-ERR ", 5), 0);
	assert_int_equal(expect_session(IPC_CLOSE), session);
	role_expect_log(
		"dele=0 dele-octets=0 left=3 seconds=0 user=\"anna\" reason=\"quit, but not all "
		"was "
		"deleted\"");
}

static void test_a_password_that_may_not_delete(void **state)
{
	(void)state;
	delete_all_and_quit();
	committed(REASON_NO_DELETE);
	assert_int_equal(strncmp(read_until("\r\n"), "+OK ", 4), 0);
	expect_closed();
	role_expect_log(
		"dele=0 dele-octets=0 left=3 seconds=0 user=\"anna\" reason=\"quit, nothing was "
		"deleted: the password may not delete\"");
}

/* More numbers than one message has room for are sent in several. */
static void test_many_deletions(void **state)
{
	const struct ipc_delete *deletion;

	(void)state;
	for (int i = 1; i <= 300; i++) {
		char text[32];

		snprintf(text, sizeof(text), "DELE %d\r\n", i);
		say(text);
		assert_int_equal(strncmp(read_until("\r\n"), "+OK", 3), 0);
	}
	say("QUIT\r\n");
	deletion = role_expect(keeper, IPC_DELETE);
	assert_int_equal(deletion->count, 300);
	assert_int_equal(((const struct ipc_commit *)role_expect(keeper, IPC_COMMIT))->total, 300);
}

/* ---- bodies ---- */

static void expect_fetch(uint32_t number, uint32_t count)
{
	const struct ipc_fetch *fetch = role_expect(keeper, IPC_FETCH);

	assert_int_equal(fetch->session, session);
	assert_int_equal(fetch->number, number);
	assert_int_equal(fetch->count, count);
}

/* The messages of these numbers, by value. */
static void bodies(uint32_t number, uint32_t count)
{
	struct ipc_bodies message = {.session = session, .count = count};
	struct ipc_body table[64];
	static char tail[8192];
	size_t used = count * sizeof(table[0]);

	for (uint32_t i = 0; i < count; i++) {
		int n = snprintf(tail + used, sizeof(tail) - used, "A: %03u\n\nx\n", number + i);

		table[i] = (struct ipc_body){
			.octets = (uint64_t)n + 3, .number = number + i, .stored = (uint32_t)n};
		used += (size_t)n;
	}
	memcpy(tail, table, count * sizeof(table[0]));
	role_send_raw(keeper, IPC_BODIES, &message, sizeof(message), tail, used, -1);
}

static void expect_body(uint32_t number)
{
	const char *text = read_until("\r\n.\r\n");
	char wanted[64];

	snprintf(wanted, sizeof(wanted), "\r\nA: %03u\r\n\r\nx\r\n.\r\n", number);
	if (strncmp(text, "+OK 13 ", 7) != 0 || !strstr(text, wanted))
		fail_msg("%s", text);
}

static void retr(uint32_t number)
{
	char text[32];

	snprintf(text, sizeof(text), "RETR %u\r\n", number);
	say(text);
}

static void test_bodies_by_value(void **state)
{
	(void)state;
	retr(1);
	expect_fetch(1, 8);
	bodies(1, 3);
	for (uint32_t i = 1; i <= 3; i++) {
		if (i > 1)
			retr(i);
		expect_body(i);
	}
	say("TOP 3 0\r\n");
	expect_fetch(3, 1);
	bodies(3, 1);
	assert_string_equal(strstr(read_until("\r\n.\r\n"), "\r\n"), "\r\nA: 003\r\n\r\n.\r\n");
	quit("top=1 top-octets=10 retr=3 retr-octets=39 dele=0 dele-octets=0 left=3 seconds=0 "
	     "user=\"anna\" reason=\"quit\"");
}

/* auth asks what sessions have sent: of those that there are, in the order of the question. */
static void test_what_was_sent_so_far(void **state)
{
	const uint64_t numbers[] = {session + 1, session, UINT64_MAX};
	struct ipc_traffic question = {.number = 7, .count = 3};
	const struct ipc_traffic *answer;
	const struct ipc_traffic_row *row;

	(void)state;
	retr(1);
	expect_fetch(1, 8);
	bodies(1, 1);
	expect_body(1);
	role_send_raw(auth, IPC_TRAFFIC, &question, sizeof(question), numbers, sizeof(numbers), -1);
	answer = role_expect(auth, IPC_TRAFFIC_ANSWER);
	row = (const struct ipc_traffic_row *)(const void *)ipc_tail(answer);
	assert_int_equal(answer->number, 7);
	assert_int_equal(answer->count, 1);
	assert_int_equal(row->session, session);
	assert_int_equal(row->messages, 1);
	assert_int_equal(row->octets, 13);
}

static uint64_t commands(enum counter_command command)
{
	return role_counted(COUNTER_COMMANDS + command);
}

static void test_what_is_counted(void **state)
{
	const size_t login = counters_login(SERVICE_POP3, counters_mechanism(SPAN_LITERAL("USER")),
					    TLS_NONE, RESULT_OK);

	(void)state;
	assert_int_equal(role_counted(login), 1);
	assert_int_equal(role_entered(COUNTER_LOGIN_STEPS + STEP_CREDENTIALS * HISTOGRAM_SLOTS), 1);
	assert_int_equal(role_entered(COUNTER_LOGIN_STEPS + STEP_ANSWER * HISTOGRAM_SLOTS), 1);
	assert_int_equal(role_counted(COUNTER_SESSIONS_NOW + SERVICE_POP3), 1);
	retr(1);
	expect_fetch(1, 8);
	bodies(1, 3);
	expect_body(1);
	say("TOP 2 0\r\nNOOP\r\nSTAT\r\nLIST\r\nLIST 1\r\nUIDL\r\n");
	read_until("\r\n\r\n.\r\n");
	read_until("\r\n.\r\n");
	read_until("\r\n.\r\n");
	assert_int_equal(role_counted(COUNTER_RETR_OCTETS), 13);
	assert_int_equal(role_counted(COUNTER_TOP_OCTETS), 10);
	assert_int_equal(role_counted(COUNTER_DELETED), 0);
	delete_all_and_quit();
	committed(REASON_OK);
	reply("+OK bye\r\n");
	expect_session(IPC_CLOSE);
	expect_closed();
	assert_int_equal(commands(COUNTER_RETR), 1);
	assert_int_equal(commands(COUNTER_TOP), 1);
	assert_int_equal(commands(COUNTER_DELE), 2);
	assert_int_equal(commands(COUNTER_LIST), 2);
	assert_int_equal(commands(COUNTER_UIDL), 1);
	assert_int_equal(commands(COUNTER_QUIT), 1);
	assert_int_equal(role_counted(COUNTER_DELETED), 2);
	assert_int_equal(role_counted(COUNTER_DELETED_OCTETS), 27);
	assert_int_equal(role_counted(COUNTER_SESSIONS_NOW + SERVICE_POP3), 0);
	assert_int_equal(role_entered(COUNTER_SESSION_SECONDS), 1);
}

static void test_a_login_that_is_refused_is_counted(void **state)
{
	const size_t login = counters_login(SERVICE_POP3, counters_mechanism(SPAN_LITERAL("USER")),
					    TLS_NONE, RESULT_FAILED);
	struct ipc_open_failed message = {
		.session = session, .ticket = ticket, .reason = REASON_MAILDROP_TEMP};

	(void)state;
	role_send(keeper, IPC_OPEN_FAILED, &message);
	assert_int_equal(strncmp(read_until("\r\n"), "-ERR", 4), 0);
	assert_int_equal(role_counted(login), 1);
	assert_int_equal(role_counted(COUNTER_LOGIN_FAILURES + REASON_MAILDROP_TEMP), 1);
	assert_int_equal(role_entered(COUNTER_LOGIN_STEPS + STEP_ANSWER * HISTOGRAM_SLOTS), 0);
	assert_int_equal(role_counted(COUNTER_SESSIONS_NOW + SERVICE_POP3), 0);
}

/* A client that reads in order finds the next ones on their way. */
static void test_bodies_ahead(void **state)
{
	(void)state;
	retr(1);
	expect_fetch(1, 8);
	bodies(1, 8);
	expect_body(1);
	for (uint32_t i = 2; i <= 4; i++) {
		retr(i);
		expect_body(i);
	}
	expect_fetch(9, 32);
	retr(5); /* one request at a time: its answer comes first */
	role_ping();
	assert_false(has_something());
	bodies(9, 32);
	expect_body(5);
	retr(9);
	expect_body(9);
	retr(200); /* a jump */
	expect_fetch(200, 1);
	bodies(200, 1);
	expect_body(200);
	retr(202);
	expect_fetch(202, 1);
}

/* What was fetched ahead is asked for again where it did not come by value. */
static void test_bodies_ahead_that_failed(void **state)
{
	struct ipc_body_failed failed = {
		.session = session, .number = 9, .reason = REASON_MESSAGE_TEMP};

	(void)state;
	retr(1);
	expect_fetch(1, 8);
	bodies(1, 8);
	expect_body(1);
	for (uint32_t i = 2; i <= 8; i++) {
		retr(i);
		expect_body(i);
		if (i != 4)
			continue;
		expect_fetch(9, 32);
		role_send(keeper, IPC_BODY_FAILED, &failed);
	}
	retr(9);
	expect_fetch(9, 32);
	bodies(9, 1);
	expect_body(9);
}

static void test_a_message_that_cannot_be_read(void **state)
{
	struct ipc_body_failed failed = {
		.session = session, .number = 2, .reason = REASON_MESSAGE_GONE};

	(void)state;
	retr(2);
	expect_fetch(2, 1);
	role_send(keeper, IPC_BODY_FAILED, &failed);
	assert_int_equal(strncmp(read_until("\r\n"), "-ERR ", 5), 0);
	say("NOOP\r\n"); /* the session goes on */
	assert_int_equal(strncmp(read_until("\r\n"), "+OK", 3), 0);
	quit("retr=1 retr-octets=0");
}

static int file_of(const char *text)
{
	int fd = memfd_create("message", MFD_CLOEXEC);

	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	return fd;
}

static void lend(const char *text, uint64_t stored, bool wire_form)
{
	struct ipc_body_lent message = {.session = session,
					.stored = stored,
					.octets = stored + (wire_form ? 0 : 3),
					.window = stored,
					.number = 2,
					.wire_form = wire_form,
					.in_memory = 1};
	int fd = file_of(text);

	role_send_raw(keeper, IPC_BODY_LENT, &message, sizeof(message), NULL, 0, fd);
	close(fd);
}

static void test_a_message_that_is_lent(void **state)
{
	static const char stored[] = "A: 1\n\n.x\n", wire[] = "A: 1\r\n\r\nx\r\n";

	(void)state;
	retr(2);
	expect_fetch(2, 1);
	lend(stored, strlen(stored), false);
	assert_string_equal(strstr(read_until("\r\n.\r\n"), "\r\n"),
			    "\r\nA: 1\r\n\r\n..x\r\n.\r\n");
	retr(2);
	expect_fetch(2, 1);
	lend(wire, strlen(wire), true);
	assert_string_equal(strstr(read_until("\r\n.\r\n"), "\r\n"), "\r\nA: 1\r\n\r\nx\r\n.\r\n");
	retr(3); /* no message is fetched along with one that may be large */
	expect_fetch(3, 4);
}

/* It became shorter while it was sent: the client must not take it for whole. */
static void test_a_message_that_became_shorter(void **state)
{
	const struct ipc_body_wrong *wrong;

	(void)state;
	retr(2);
	expect_fetch(2, 1);
	lend("A: 1\n\nx", 30, false);
	assert_null(strstr(read_until("\r\n.\r\n"), "\r\n.\r\n"));
	wrong = role_expect(keeper, IPC_BODY_WRONG);
	assert_int_equal(wrong->session, session);
	assert_int_equal(wrong->number, 2);
	role_expect_log("reason=\"a message became shorter while it was sent\"");
}

static void sliced(uint64_t stored)
{
	struct ipc_body_lent message = {
		.session = session, .stored = stored, .octets = stored + 3, .number = 2};

	role_send(keeper, IPC_BODY_SLICED, &message);
}

static void expect_slice(uint64_t offset, uint64_t size)
{
	const struct ipc_slice *slice = role_expect(keeper, IPC_READ_SLICE);

	assert_int_equal(slice->session, session);
	assert_int_equal(slice->number, 2);
	assert_int_equal(slice->offset, offset);
	assert_int_equal(slice->size, size);
	assert_int_equal(slice->by_value, 1);
}

static void slice(uint64_t offset, const char *text, size_t size)
{
	struct ipc_slice message = {
		.session = session, .size = size, .offset = offset, .number = 2, .by_value = 1};

	role_send_raw(keeper, IPC_SLICE, &message, sizeof(message), text, size, -1);
}

static void test_a_message_in_slices(void **state)
{
	(void)state;
	retr(2);
	expect_fetch(2, 1);
	sliced(9);
	expect_slice(0, 9);
	slice(0, "A: 1\n", 5);
	expect_slice(5, 4);
	slice(5, "\nxy\n", 4);
	assert_string_equal(strstr(read_until("\r\n.\r\n"), "\r\n"), "\r\nA: 1\r\n\r\nxy\r\n.\r\n");
}

static void test_a_slice_that_cannot_be_read(void **state)
{
	for (int gone = 0; gone < 2; gone++) {
		struct ipc_body_failed failed = {.session = session,
						 .number = 2,
						 .reason = gone ? REASON_MESSAGE_GONE
								: REASON_MESSAGE_TEMP};
		const void *message;

		retr(2);
		expect_fetch(2, 1);
		sliced(9);
		expect_slice(0, 9);
		slice(0, "A: 1\n", 5);
		expect_slice(5, 4);
		role_send(keeper, IPC_BODY_FAILED, &failed);
		assert_null(strstr(read_until("\r\n.\r\n"), "\r\n.\r\n"));
		assert_int_equal(role_next(keeper, &message), gone ? IPC_BODY_WRONG : IPC_CLOSE);
		role_expect_log(reason_row(failed.reason)->words);
		assert_int_equal(end(state), 0);
		assert_int_equal(begin(state), 0);
	}
}

/* ---- the keeper ---- */

static void test_the_keeper_goes(void **state)
{
	(void)state;
	role_peer_dies(keeper);
	expect_closed();
	role_expect_log("user=\"anna\" reason=\"the keeper is gone\"");
}

/* An answer that was not asked for, or to another question, breaks the channel. */
static void test_answers_to_no_question(void **state)
{
	for (int i = 0; i < 4; i++) {
		if (i == 0) {
			committed(REASON_OK);
		} else if (i == 1) {
			bodies(1, 1);
		} else if (i == 2) { /* another message than the one that was asked for */
			retr(1);
			expect_fetch(1, 8);
			bodies(2, 1);
		} else {
			retr(2);
			expect_fetch(2, 1);
			bodies(2, 2);
		}
		role_expect_cut(keeper);
		role_expect_log("it answers a question that was not asked");
		expect_closed();
		assert_int_equal(end(state), 0);
		assert_int_equal(begin(state), 0);
	}
}

/* The client left while the maildrop was being opened. */
static void test_a_client_that_left(void **state)
{
	(void)state;
	close(client);
	client = -1;
	opened(-1);
	assert_int_equal(expect_session(IPC_CLOSE), session);
	role_expect(auth, IPC_DISCONNECT);
}

static void test_a_wrong_ticket(void **state)
{
	(void)state;
	ticket++;
	opened(-1);
	assert_int_equal(expect_session(IPC_CLOSE), session);
	ticket--;
	opened(-1);
	assert_int_equal(strncmp(read_until("\r\n"), "+OK", 3), 0);
}

/* ---- time ---- */

static void test_an_idle_client(void **state)
{
	(void)state;
	role_advance(IDLE_MS - 1);
	say("NOOP\r\n"); /* from here on anew */
	assert_int_equal(strncmp(read_until("\r\n"), "+OK", 3), 0);
	role_advance(IDLE_MS - 1);
	assert_false(has_something());
	role_advance(1);
	expect_closed();
	role_expect_log("left=3 seconds=1199 user=\"anna\" reason=\"idle\"");
}

/* Memory is given back after a while; the session goes on. */
static void test_a_client_that_rests(void **state)
{
	(void)state;
	retr(1);
	expect_fetch(1, 8);
	bodies(1, 3);
	expect_body(1);
	say("LIST 1\r\n");
	reply("+OK 1 14\r\n");
	role_advance(TRIM_MS - 1);
	retr(2);
	expect_body(2);
	role_advance(TRIM_MS);
	retr(3);
	expect_fetch(3, 32);
	bodies(3, 1);
	expect_body(3);
	say("LIST 3\r\n");
	reply("+OK 3 13\r\n");
}

static int64_t milliseconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* A session that is open has three seconds when valijad stops. */
static void test_valijad_stops(void **state)
{
	int64_t began = milliseconds();

	(void)state;
	role_drain(3600 * 1000);
	expect_closed();
	assert_true(milliseconds() - began >= 2990);
	role_expect_log("reason=\"drain\"");
	assert_int_equal(role_ends(), 0);
}

static void test_valijad_stops_and_the_client_quits(void **state)
{
	(void)state;
	role_drain(3600 * 1000);
	role_ping();
	quit("left=3");
	assert_int_equal(role_ends(), 0);
}

#define IN_FRONT(test) cmocka_unit_test_setup_teardown(test, begin, end)
#define MANY(test) cmocka_unit_test_setup_teardown(test, begin_many, end)
#define STOPPED(test) cmocka_unit_test_setup_teardown(test, begin_stopped, end)
#define NOT_OPENED(test) cmocka_unit_test_setup_teardown(test, begin_not_opened, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_FRONT(test_listings),
		MANY(test_a_long_listing),
		NOT_OPENED(test_a_damaged_index),
		IN_FRONT(test_deletions),
		IN_FRONT(test_deletions_that_failed),
		IN_FRONT(test_a_password_that_may_not_delete),
		MANY(test_many_deletions),
		cmocka_unit_test_teardown(test_an_index_that_is_damaged_further_on, end),
		IN_FRONT(test_bodies_by_value),
		IN_FRONT(test_what_was_sent_so_far),
		IN_FRONT(test_what_is_counted),
		cmocka_unit_test_setup_teardown(test_a_login_that_is_refused_is_counted,
						begin_not_opened, end),
		MANY(test_bodies_ahead),
		MANY(test_bodies_ahead_that_failed),
		IN_FRONT(test_a_message_that_cannot_be_read),
		IN_FRONT(test_a_message_that_is_lent),
		IN_FRONT(test_a_message_that_became_shorter),
		IN_FRONT(test_a_message_in_slices),
		IN_FRONT(test_a_slice_that_cannot_be_read),
		IN_FRONT(test_the_keeper_goes),
		IN_FRONT(test_answers_to_no_question),
		NOT_OPENED(test_a_client_that_left),
		NOT_OPENED(test_a_wrong_ticket),
		STOPPED(test_an_idle_client),
		STOPPED(test_a_client_that_rests),
		IN_FRONT(test_valijad_stops),
		IN_FRONT(test_valijad_stops_and_the_client_quits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
