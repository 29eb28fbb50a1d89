/* The process control: a command is asked of every auth process, page by page, and answered in
 * lines. The test plays the monitor, auth processes and the clients. */
#include "role_test.h"
#include "unix_client.h"

#include "server/control/command.h"
#include "server/control/control.h"

#include <sys/un.h>

enum { IDLE_MS = 60 * 1000, ANSWER_MS = 30 * 1000, CLIENTS_MAX = 64 };

static struct role_peer *auth;
static int client;

static void *running;

static int begin_alone(void **state)
{
	role_begin(&control_role, false);
	if (state != &running) /* there a long timer is one: that of a drain knows no time */
		role_stop_clock();
	role_listen_unix(SERVICE_CONTROL);
	role_go();
	client = role_dial_unix();
	return 0;
}

static int begin(void **state)
{
	begin_alone(state);
	auth = role_peer(ROLE_AUTH, 0);
	role_ping();
	return 0;
}

static int begin_running(void **state)
{
	(void)state;
	return begin(&running);
}

static int end(void **state)
{
	close(client);
	return role_over(state);
}

/* A question of auth's, which is this one; its number. */
static uint64_t expect_question(struct role_peer *at, enum ipc_who_act act, const char *target,
				uint64_t front, uint64_t cursor)
{
	const struct ipc_who *message = role_expect(at, IPC_WHO);

	assert_int_equal(message->act, act);
	assert_int_equal(message->uid, getuid());
	assert_int_equal(message->gid, getgid());
	assert_int_equal(message->front, front);
	assert_int_equal(message->cursor, cursor);
	assert_int_equal(message->head.tail, strlen(target));
	assert_memory_equal(ipc_tail(message), target, strlen(target));
	return message->number;
}

static void tell_page(struct role_peer *at, uint64_t number, unsigned count,
		      enum ipc_who_status status, uint64_t front, uint64_t cursor)
{
	struct ipc_who_page message = {.number = number,
				       .front = front,
				       .cursor = cursor,
				       .count = count,
				       .status = status};
	struct {
		struct ipc_who_row row;
		char name[8];
	} rows[4];

	assert_true(count <= 4);
	memset(rows, 0, sizeof(rows));
	for (unsigned i = 0; i < count; i++) {
		rows[i].row.front = front;
		rows[i].row.session = i + 1;
		rows[i].row.name_size = 4;
		rows[i].row.address[15] = 1;
		memcpy(rows[i].name, "anna", 4);
	}
	role_send_raw(at, IPC_WHO_PAGE, &message, sizeof(message), rows, count * sizeof(rows[0]),
		      -1);
}

static void expect_session(uint64_t front, unsigned session)
{
	char text[128];

	snprintf(text, sizeof(text), "session\t%llx-%u\tanna\t::1\t0\tconnected\tno\t-\t-\t-\n",
		 (unsigned long long)front, session);
	expect(client, text);
}

#define REFUSED "error\tthat is for root and the members of control.group, see valija.conf(5)\n"
#define ENDED "error\tan auth process ended meanwhile: try again\n"

/* ---- answers ---- */

static void test_nobody_is_there(void **state)
{
	(void)state;
	say(client, "1 who\n");
	tell_page(auth, expect_question(auth, WHO_LIST, "", 0, 0), 0, WHO_END, 0, 0);
	expect(client, "end\t0\n");
	expect_nothing(client);
}

static void test_pages(void **state)
{
	(void)state;
	say(client, "1 who anna\n");
	tell_page(auth, expect_question(auth, WHO_LIST, "anna", 0, 0), 2, WHO_MORE, 0x47, 11);
	expect_session(0x47, 1);
	expect_session(0x47, 2);
	tell_page(auth, expect_question(auth, WHO_LIST, "anna", 0x47, 11), 0, WHO_MORE, 0x47, 12);
	tell_page(auth, expect_question(auth, WHO_LIST, "anna", 0x47, 12), 1, WHO_END, 0x48, 13);
	expect_session(0x48, 1);
	expect(client, "end\t3\n");
	say(client, "1 kick 47-1\n"); /* one after the other, each from the beginning */
	tell_page(auth, expect_question(auth, WHO_KICK, "47-1", 0, 0), 1, WHO_END, 0x47, 0);
	expect_session(0x47, 1);
	expect(client, "end\t1\n");
}

/* The processes of all generations, the oldest first, each from its beginning. */
static void test_several_auth_processes(void **state)
{
	struct role_peer *second = role_peer(ROLE_AUTH, 0), *third = role_peer(ROLE_AUTH, 0);

	(void)state;
	role_ping();
	say(client, "1 who\n");
	tell_page(auth, expect_question(auth, WHO_LIST, "", 0, 0), 1, WHO_MORE, 7, 8);
	expect_session(7, 1);
	tell_page(auth, expect_question(auth, WHO_LIST, "", 7, 8), 0, WHO_END, 9, 9);
	tell_page(second, expect_question(second, WHO_LIST, "", 0, 0), 0, WHO_END, 9, 9);
	tell_page(third, expect_question(third, WHO_LIST, "", 0, 0), 1, WHO_END, 5, 5);
	expect_session(5, 1);
	expect(client, "end\t2\n");
}

static void test_refusals(void **state)
{
	(void)state;
	say(client, "1 who\n");
	tell_page(auth, expect_question(auth, WHO_LIST, "", 0, 0), 0, WHO_REFUSED, 0, 0);
	expect(client, REFUSED);
	say(client, "1 who\n");
	tell_page(auth, expect_question(auth, WHO_LIST, "", 0, 0), 0, WHO_FAILED, 0, 0);
	expect(client, "error\tauth has no memory for the answer\n");
}

static void test_no_auth(void **state)
{
	(void)state;
	say(client, "1 who\n");
	expect(client, "error\tauth is being started: try again\n");
	auth = role_peer(ROLE_AUTH, 0);
	role_ping();
	say(client, "1 who\n");
	tell_page(auth, expect_question(auth, WHO_LIST, "", 0, 0), 0, WHO_END, 0, 0);
	expect(client, "end\t0\n");
}

static void test_auth_ends(void **state)
{
	struct role_peer *second = role_peer(ROLE_AUTH, 0);
	uint64_t number;

	(void)state;
	role_ping();
	say(client, "1 who\n");
	number = expect_question(auth, WHO_LIST, "", 0, 0);
	role_peer_dies(second); /* nobody waits for that one */
	expect_nothing(client);
	role_peer_dies(auth);
	expect(client, ENDED);
	auth = role_peer(ROLE_AUTH, 0);
	role_ping();
	say(client, "1 who\n");
	tell_page(auth, number, 0, WHO_END, 0, 0); /* an old number */
	tell_page(auth, expect_question(auth, WHO_LIST, "", 0, 0), 0, WHO_END, 0, 0);
	expect(client, "end\t0\n");
}

/* A process that is there no more when its turn comes is left out. */
static void test_a_page_of_another_auth(void **state)
{
	struct role_peer *second = role_peer(ROLE_AUTH, 0);
	uint64_t number;

	(void)state;
	role_ping();
	say(client, "1 who\n");
	number = expect_question(auth, WHO_LIST, "", 0, 0);
	tell_page(second, number, 0, WHO_REFUSED, 0, 0);
	expect_nothing(client);
	tell_page(auth, number, 0, WHO_END, 0, 0);
	tell_page(auth, number, 0, WHO_REFUSED, 0, 0); /* answered once */
	tell_page(second, expect_question(second, WHO_LIST, "", 0, 0), 0, WHO_END, 0, 0);
	expect(client, "end\t0\n");
}

static void test_auth_does_not_answer(void **state)
{
	uint64_t number;

	(void)state;
	say(client, "1 who\n");
	number = expect_question(auth, WHO_LIST, "", 0, 0);
	role_advance(ANSWER_MS - 1);
	expect_nothing(client);
	role_advance(1);
	expect(client, "error\tauth does not answer: see the log\n");
	tell_page(auth, number, 1, WHO_END, 0, 0); /* too late */
	expect_nothing(client);
	say(client, "1 who\n");
	tell_page(auth, expect_question(auth, WHO_LIST, "", 0, 0), 0, WHO_END, 0, 0);
	expect(client, "end\t0\n");
}

/* ---- commands ---- */

static void test_commands_in_pieces_and_together(void **state)
{
	(void)state;
	say(client, "1 w");
	role_settle(client);
	say(client, "ho\n2 who\n1 kick x\n1 wh");
	tell_page(auth, expect_question(auth, WHO_LIST, "", 0, 0), 0, WHO_END, 0, 0);
	expect(client,
	       "end\t0\nerror\tanother version of the protocol: this server has version 1\n");
	tell_page(auth, expect_question(auth, WHO_KICK, "x", 0, 0), 0, WHO_END, 0, 0);
	expect(client, "end\t0\n");
	say(client, "o y\n");
	expect_question(auth, WHO_LIST, "y", 0, 0);
}

static void test_the_longest_line(void **state)
{
	char line[COMMAND_LINE_MAX + 1];

	(void)state;
	memset(line, 'x', sizeof(line));
	line[COMMAND_LINE_MAX - 1] = '\n';
	say_octets(client, line, COMMAND_LINE_MAX);
	expect(client, "error\tanother version of the protocol: this server has version 1\n");
	line[COMMAND_LINE_MAX - 1] = 'x';
	say_octets(client, line, COMMAND_LINE_MAX - 1);
	expect_nothing(client);
	say(client, "x");
	expect_end(client);
}

static void test_a_client_that_half_closes(void **state)
{
	(void)state;
	say(client, "1 who\n");
	shutdown(client, SHUT_WR);
	tell_page(auth, expect_question(auth, WHO_LIST, "", 0, 0), 1, WHO_END, 1, 0);
	expect_session(1, 1);
	expect(client, "end\t1\n");
	expect_end(client);
}

static void test_a_client_that_goes(void **state)
{
	const struct ipc_who *question;
	uint64_t number;

	(void)state;
	say(client, "1 who\n");
	number = expect_question(auth, WHO_LIST, "", 0, 0);
	close(client);
	tell_page(auth, number, 1, WHO_MORE, 1, 0);
	client = role_dial_unix();
	say(client, "1 who new\n");
	do /* another page may be asked for before the end of that one is noticed */
		question = role_expect(auth, IPC_WHO);
	while (!question->head.tail);
	tell_page(auth, question->number, 0, WHO_END, 0, 0);
	expect(client, "end\t0\n");
}

/* ---- other processes ---- */

/* A question of that process, with the person's connection or without. */
static uint64_t expect_ask(struct role_peer *at, enum ipc_topic topic, uint64_t cursor)
{
	const struct ipc_ask *message = role_expect(at, IPC_ASK);

	assert_int_equal(message->topic, topic);
	assert_int_equal(message->uid, getuid());
	assert_int_equal(message->cursor[0], cursor);
	return message->number;
}

static void tell_lines(struct role_peer *at, uint64_t number, const char *text, uint32_t status,
		       uint64_t cursor, uint32_t code)
{
	struct ipc_lines message = {
		.number = number, .cursor = {cursor}, .status = status, .code = code};

	for (const char *end = text; status != LINES_FAILED && (end = strchr(end, '\n')); end++)
		message.count++;
	role_send_raw(at, IPC_LINES, &message, sizeof(message), text, strlen(text), -1);
}

/* The monitor gets the connection itself; then auth is asked; the lines of both are the answer. */
static void test_steps_of_a_command(void **state)
{
	uint64_t number;
	int error = 0;
	socklen_t size = sizeof(error);
	struct sockaddr_un address;
	socklen_t address_size = sizeof(address);

	(void)state;
	say(client, "1 reload\n");
	number = expect_ask(&role.monitor, TOPIC_RELOAD, 0);
	assert_true(role.monitor.fds[0] >= 0);
	assert_int_equal(getsockopt(role.monitor.fds[0], SOL_SOCKET, SO_ACCEPTCONN, &error, &size),
			 0);
	assert_int_equal(error, 0);
	assert_int_equal(
		getpeername(role.monitor.fds[0], (struct sockaddr *)&address, &address_size), 0);
	tell_lines(&role.monitor, number, "serving\t2\n", LINES_END, 0, 0);
	expect(client, "serving\t2\n");
	number = expect_ask(auth, TOPIC_COUNTS, 0);
	tell_lines(auth, number, "connections\t1\t5\n", LINES_END, 0, 0);
	expect(client, "connections\t1\t5\n");
	expect(client, "end\t2\n");
}

static void test_pages_of_lines(void **state)
{
	(void)state;
	say(client, "1 show users\n");
	tell_lines(auth, expect_ask(auth, TOPIC_USERS, 0), "user\ta\t1\t1\n", LINES_MORE, 7, 0);
	expect(client, "user\ta\t1\t1\n");
	tell_lines(auth, expect_ask(auth, TOPIC_USERS, 7), "", LINES_MORE, 9, 0);
	tell_lines(auth, expect_ask(auth, TOPIC_USERS, 9), "user\tb\t1\t1\n", LINES_END, 0, 0);
	expect(client, "user\tb\t1\t1\n");
	expect(client, "end\t2\n");
}

static void test_reasons_and_refusals(void **state)
{
	(void)state;
	say(client, "1 reload\n");
	tell_lines(&role.monitor, expect_ask(&role.monitor, TOPIC_RELOAD, 0), "valija.conf:3: no",
		   LINES_FAILED, 0, 78);
	expect(client, "error\tvalija.conf:3: no\t78\n");
	say(client, "1 drain\n");
	tell_lines(&role.monitor, expect_ask(&role.monitor, TOPIC_DRAIN, 0), "", LINES_REFUSED, 0,
		   0);
	expect(client, REFUSED);
	say(client, "1 show databases\n");
	tell_lines(auth, expect_ask(auth, TOPIC_DATABASES, 0), "", LINES_REFUSED, 0, 0);
	expect(client, REFUSED);
}

/* An answer of a process that was not asked, or to another question, is nobody's. */
static void test_threat_116_answers_of_others(void **state)
{
	uint64_t number;

	(void)state;
	say(client, "1 reload\n");
	number = expect_ask(&role.monitor, TOPIC_RELOAD, 0);
	tell_lines(auth, number, "serving\t6\n", LINES_END, 0, 0);
	tell_page(auth, number, 1, WHO_END, 1, 0);
	tell_lines(&role.monitor, number + 1, "serving\t6\n", LINES_END, 0, 0);
	role_ping();
	expect_nothing(client);
	tell_lines(&role.monitor, number, "serving\t2\n", LINES_END, 0, 0);
	expect(client, "serving\t2\n");
	role_peer_dies(auth); /* its sessions are gone with it */
	expect(client, "end\t1\n");
}

/* What control answers itself, it answers to few as well. */
static void test_threat_116_counters_are_for_few(void **state)
{
	struct ipc_control_peers peers = {.uids = {(uint32_t)getuid() + 1}, .count = 1};

	(void)state;
	say(client, "1 stats\n");
	expect(client, REFUSED);
	role_send(&role.monitor, IPC_CONTROL_PEERS, &peers);
	say(client, "1 stats\n");
	expect(client, REFUSED);
	say(client, "1 show certificates\n");
	expect(client, REFUSED);
	peers.uids[0]--;
	role_send(&role.monitor, IPC_CONTROL_PEERS, &peers);
	say(client, "1 show certificates\n");
	expect(client, "end\t0\n");
}

/* ---- time, room, the end ---- */

static void test_idle(void **state)
{
	(void)state;
	role_advance(IDLE_MS - 1);
	say(client, "x\n");
	expect(client, "error\tanother version of the protocol: this server has version 1\n");
	role_advance(IDLE_MS - 1);
	expect_nothing(client);
	role_advance(1);
	expect_end(client);
}

static void test_idle_from_the_last_answer(void **state)
{
	(void)state;
	say(client, "1 who\n");
	expect_question(auth, WHO_LIST, "", 0, 0);
	role_advance(ANSWER_MS);
	expect(client, "error\tauth does not answer: see the log\n");
	role_advance(IDLE_MS - 1);
	expect_nothing(client);
	role_advance(1);
	expect_end(client);
}

static void test_room(void **state)
{
	int fds[CLIENTS_MAX];

	(void)state;
	role_ping();
	role_advance(1);
	for (unsigned i = 1; i < CLIENTS_MAX; i++) {
		fds[i] = role_dial_unix();
		say(fds[i], "x\n");
		expect(fds[i],
		       "error\tanother version of the protocol: this server has version 1\n");
	}
	role_advance(5000);
	fds[0] = role_dial_unix();
	say(fds[0], "x\n");
	expect(fds[0], "error\tanother version of the protocol: this server has version 1\n");
	expect_end(client); /* the oldest gives way */
	expect_nothing(fds[1]);
	for (unsigned i = 0; i < CLIENTS_MAX; i++)
		close(fds[i]);
}

/* Says it, and waits until it was read: the connection is taken by then. */
static void say_taken(int fd, const char *text)
{
	int left;

	say(fd, text);
	do
		assert_int_equal(ioctl(fd, SIOCOUTQ, &left), 0);
	while (left);
}

/* Another generation serves: a command that is on its way is answered still. */
static void test_drain_after_a_reload(void **state)
{
	struct ipc_drain drain = {.ms = ROLE_PATIENCE_MS};
	int late = role_dial_unix();
	uint64_t number;

	(void)state;
	say_taken(client, "1 w");
	say_taken(late, "1 w");
	role_send(&role.monitor, IPC_DRAIN, &drain);
	say(late, "ho\n");
	number = expect_question(auth, WHO_LIST, "", 0, 0);
	tell_page(auth, number, 0, WHO_END, 0, 0);
	expect(late, "end\t0\n");
	expect_end(late);
	close(client);
	client = -1;
	close(late);
}

static void test_drain(void **state)
{
	int idle = role_dial_unix();
	uint64_t number;

	(void)state;
	say(client, "1 who\n");
	number = expect_question(auth, WHO_LIST, "", 0, 0);
	role_drain(ROLE_PATIENCE_MS);
	expect_end(idle);
	expect_nothing(client);
	tell_page(auth, number, 0, WHO_END, 0, 0);
	expect(client, "end\t0\n");
	expect_end(client);
	close(idle);
	close(client);
	client = -1;
	assert_int_equal(role_ends(), 0);
}

#define AT_CONTROL(test) cmocka_unit_test_setup_teardown(test, begin, end)

static void test_no_start_without_a_sandbox(void **state)
{
	(void)state;
	client = -1;
	role_begin(&control_role, false);
	role_expect_no_start();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_no_start_without_a_sandbox, end),
		AT_CONTROL(test_nobody_is_there),
		AT_CONTROL(test_pages),
		AT_CONTROL(test_several_auth_processes),
		AT_CONTROL(test_refusals),
		cmocka_unit_test_setup_teardown(test_no_auth, begin_alone, end),
		AT_CONTROL(test_auth_ends),
		AT_CONTROL(test_a_page_of_another_auth),
		AT_CONTROL(test_auth_does_not_answer),
		AT_CONTROL(test_commands_in_pieces_and_together),
		AT_CONTROL(test_the_longest_line),
		AT_CONTROL(test_a_client_that_half_closes),
		AT_CONTROL(test_a_client_that_goes),
		AT_CONTROL(test_steps_of_a_command),
		AT_CONTROL(test_pages_of_lines),
		AT_CONTROL(test_reasons_and_refusals),
		AT_CONTROL(test_threat_116_answers_of_others),
		AT_CONTROL(test_threat_116_counters_are_for_few),
		AT_CONTROL(test_idle),
		AT_CONTROL(test_idle_from_the_last_answer),
		AT_CONTROL(test_room),
		cmocka_unit_test_setup_teardown(test_drain_after_a_reload, begin_running, end),
		cmocka_unit_test_setup_teardown(test_drain, begin_running, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
