/* Commands of people at the monitor: whose connection it believes, what it answers, and what a
 * control process that an attacker owns could send. The test plays the monitor's loop and control.
 */
#include "base/log.h"
#include "build-config.h"
#include "server/lines.h"
#include "server/monitor/commands.h"
#include "server/monitor/members.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { CONTROL = 4711, NUMBER = 99, MANY = 600 };

static struct {
	char folder[64], path[100], other[100];
	int listener, other_listener;
	int control; /* the other end of the monitor's channel to it */
	struct loop *loop;
	struct generation_owner owner;
	struct generation old, now;
	struct slot slot;
	struct commands commands;
	enum commands_begun begun;
	bool busy;
	unsigned reloads, upgrades, drains;
	struct commands_program program;
	struct slot slots[MANY];
	char packet[CHAN_PACKET_MAX] __attribute__((aligned(8)));
} test;

static int listen_at(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(fd, 5), 0);
	return fd;
}

/* Both ends of a connection: the server's is returned. */
static int connection(const char *path, int listener, int *ret_client)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd;

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	*ret_client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(*ret_client, (struct sockaddr *)&address, sizeof(address)), 0);
	fd = accept(listener, NULL, NULL);
	assert_true(fd >= 0);
	return fd;
}

static enum commands_begun on_reload(struct generation_owner *owner)
{
	(void)owner;
	test.reloads++;
	return test.begun;
}

static enum commands_begun on_upgrade(struct generation_owner *owner)
{
	(void)owner;
	test.upgrades++;
	return test.begun;
}

static void on_program(struct generation_owner *owner, struct commands_program *ret)
{
	(void)owner;
	*ret = test.program;
}

static void each(struct generation_owner *owner, generation_look *look, void *context)
{
	(void)owner;
	look(context, &test.now, GENERATION_SERVES);
	look(context, &test.old, GENERATION_DRAINS);
}

static bool on_drain(struct generation_owner *owner)
{
	(void)owner;
	test.drains++;
	return !test.busy;
}

static const struct commands_monitor monitor = {.reload = on_reload,
						.upgrade = on_upgrade,
						.program = on_program,
						.drain = on_drain,
						.each = each};

static void no_packet(struct chan *chan, const void *data, size_t size, int *fds, unsigned count)
{
	(void)chan, (void)data, (void)size, (void)fds, (void)count;
}

static void no_break(struct chan *chan, const char *why)
{
	(void)chan, (void)why;
}

static const struct chan_handler handler = {.packet = no_packet, .broken = no_break};

static void begin_generation(struct generation *g, uint32_t number)
{
	g->number = number;
	g->owner = &test.owner;
	config_defaults(&g->config);
	g->config.listeners[0].service = SERVICE_CONTROL;
	strcpy(g->config.listeners[0].address, test.path);
	g->config.listener_count = 1;
	g->files.control_peers.uids[0] = (uint32_t)geteuid();
	g->files.control_peers.count = 1;
}

static int begin(void **state)
{
	struct err err;
	int pair[2];

	(void)state;
	memset(&test, 0, sizeof(test));
	strcpy(test.folder, "/tmp/valija-commands-XXXXXX");
	assert_non_null(mkdtemp(test.folder));
	snprintf(test.path, sizeof(test.path), "%s/control", test.folder);
	snprintf(test.other, sizeof(test.other), "%s/other", test.folder);
	test.listener = listen_at(test.path);
	test.other_listener = listen_at(test.other);
	test.loop = loop_create(&err);
	test.owner.loop = test.loop;
	test.owner.listeners = listeners_create();
	begin_generation(&test.old, 1);
	begin_generation(&test.now, 2);
	assert_int_equal(chan_pair(pair, &err), 0);
	test.control = pair[1];
	chan_init(&test.slot.chan, test.loop, &pair[0], &handler, NULL, 1 << 20);
	test.slot.has_chan = true;
	test.slot.instance = CONTROL;
	test.slot.role = ROLE_CONTROL;
	test.old.slots = &test.slot;
	commands_init(&test.commands, &test.owner, &monitor);
	log_set_level(LOG_LEVEL_ERROR);
	return 0;
}

static int end(void **state)
{
	(void)state;
	commands_finish(&test.commands);
	chan_finish(&test.slot.chan);
	listeners_destroy(test.owner.listeners);
	loop_destroy(test.loop);
	close(test.control);
	close(test.listener);
	close(test.other_listener);
	unlink(test.path);
	unlink(test.other);
	return rmdir(test.folder);
}

/* A question as ipc_check lets it pass. */
struct question {
	struct ipc_ask ask;
	char text[64];
};

static void ask_number(int fd, uint32_t topic, const char *text, uint64_t number)
{
	struct question q = {.ask = {.number = number, .topic = topic, .uid = 0, .gid = 0}};

	q.ask.head.type = IPC_ASK;
	q.ask.head.tail = (uint32_t)strlen(text);
	q.ask.head.texts[0] = (uint16_t)strlen(text);
	strcpy(q.text, text);
	commands_ask(&test.commands, &test.old, CONTROL, &q.ask, fd);
}

static void ask(int fd, uint32_t topic, const char *text)
{
	ask_number(fd, topic, text, NUMBER);
}

/* The next answer that control gets, as its check would pass it; NULL: none came. */
static const struct ipc_lines *answer(void)
{
	struct pollfd look = {.fd = test.control, .events = POLLIN};
	const char *why;
	ssize_t size;

	if (poll(&look, 1, 0) != 1)
		return NULL;
	size = recv(test.control, test.packet, sizeof(test.packet), 0);
	assert_true(size > 0);
	assert_int_equal(ipc_check(test.packet, (size_t)size, 0, ROLE_MONITOR, ROLE_CONTROL, &why),
			 IPC_LINES);
	test.packet[size < CHAN_PACKET_MAX ? size : CHAN_PACKET_MAX - 1] = '\0';
	return (const struct ipc_lines *)(void *)test.packet;
}

static const char *expect(uint32_t status)
{
	const struct ipc_lines *lines = answer();

	assert_non_null(lines);
	assert_int_equal(lines->status, status);
	return ipc_tail(lines);
}

static void reloaded(void)
{
	commands_changed(&test.commands, &test.old, &test.now, false);
	commands_reloaded(&test.commands);
}

/* ---- who is obeyed ---- */

static void test_a_person_of_the_list_is_obeyed(void **state)
{
	int client, fd = connection(test.path, test.listener, &client);

	(void)state;
	ask(fd, TOPIC_LOG_LEVEL, "");
	assert_string_equal(expect(LINES_END), "log-level\tinfo\tinfo\n");
	test.now.files.control_peers.uids[0] ^= 1; /* the list of the generation that serves */
	ask(fd, TOPIC_LOG_LEVEL, "debug");
	expect(LINES_REFUSED);
	assert_int_equal(test.commands.log_level, -1);
	test.now.files.control_peers.has_group = 1;
	test.now.files.control_peers.gid = (uint32_t)getegid();
	ask(fd, TOPIC_LOG_LEVEL, "");
	expect(LINES_END);
	close(client);
	close(fd);
}

/* Of each of these the kernel names a user who is obeyed, but nobody is at its other end. */
static void test_threat_115_control_cannot_pass_for_a_person(void **state)
{
	struct sockaddr_in any = {.sin_family = AF_INET};
	int pair[2], packets[2], tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int client, other = connection(test.other, test.other_listener, &client);
	int unconnected = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int file = open("/dev/null", O_RDWR | O_CLOEXEC);

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, packets), 0);
	assert_int_equal(bind(tcp, (struct sockaddr *)&any, sizeof(any)), 0);
	for (size_t i = 0; i < 9; i++) {
		const int fds[] = {-1,  test.listener, test.other_listener, pair[0], packets[0],
				   tcp, other,         unconnected,         file};

		ask(fds[i], TOPIC_RELOAD, "");
		expect(LINES_REFUSED);
		ask(fds[i], TOPIC_LOG_LEVEL, "debug");
		expect(LINES_REFUSED);
		ask(fds[i], TOPIC_DRAIN, "");
		expect(LINES_REFUSED);
		ask(fds[i], TOPIC_UPGRADE, "");
		expect(LINES_REFUSED);
		ask(fds[i], TOPIC_PROGRAM, "");
		expect(LINES_REFUSED);
	}
	assert_int_equal(test.reloads + test.drains + test.upgrades, 0);
	assert_int_equal(test.commands.log_level, -1);
	for (size_t i = 0; i < 2; i++) {
		close(pair[i]);
		close(packets[i]);
	}
	close(tcp);
	close(other);
	close(client);
	close(unconnected);
	close(file);
}

/* A topic of auth's, asked of the monitor. */
static void test_threat_115_the_monitor_has_no_more_topics(void **state)
{
	int client, fd = connection(test.path, test.listener, &client);

	(void)state;
	ask(fd, TOPIC_COUNTS, "");
	expect(LINES_REFUSED);
	close(client);
	close(fd);
}

/* ---- the log's level ---- */

static void test_a_level_stays_until_a_reload(void **state)
{
	int client, fd = connection(test.path, test.listener, &client);
	const struct ipc_log_level *level = (const struct ipc_log_level *)(void *)test.packet;

	(void)state;
	test.now.config.log_level = LOG_LEVEL_WARNING;
	ask(fd, TOPIC_LOG_LEVEL, "loud");
	assert_non_null(strstr(expect(LINES_FAILED), "no such level"));
	ask(fd, TOPIC_LOG_LEVEL, "error");
	assert_true(recv(test.control, test.packet, sizeof(test.packet), 0) > 0);
	assert_int_equal(level->head.type, IPC_LOG_LEVEL); /* each child gets it */
	assert_int_equal(level->level, LOG_LEVEL_ERROR);
	assert_string_equal(expect(LINES_END), "log-level\terror\twarning\n");
	commands_brief(&test.commands, &test.slot.chan); /* a process that is started now */
	assert_true(recv(test.control, test.packet, sizeof(test.packet), 0) > 0);
	assert_int_equal(level->level, LOG_LEVEL_ERROR);
	commands_refused(&test.commands, "a slip");
	ask(fd, TOPIC_LOG_LEVEL, "");
	assert_string_equal(expect(LINES_END), "log-level\terror\twarning\n");
	reloaded();
	assert_true(recv(test.control, test.packet, sizeof(test.packet), 0) > 0);
	assert_int_equal(level->level, LOG_LEVEL_INFO); /* this one's is of the old generation */
	ask(fd, TOPIC_LOG_LEVEL, "");
	assert_string_equal(expect(LINES_END), "log-level\twarning\twarning\n");
	commands_brief(&test.commands, &test.slot.chan);
	assert_null(answer());
	log_set_level(LOG_LEVEL_ERROR);
	close(client);
	close(fd);
}

/* ---- reload ---- */

static void test_a_reload_is_answered_when_it_is_over(void **state)
{
	int client, fd = connection(test.path, test.listener, &client);
	const char *text;

	(void)state;
	ask(fd, TOPIC_RELOAD, "");
	assert_int_equal(test.reloads, 1);
	assert_null(answer());
	test.now.config.idle_seconds = 900;
	test.now.config.log_level = LOG_LEVEL_ERROR;
	reloaded();
	text = expect(LINES_END);
	assert_non_null(strstr(text, "serving\t2\n"));
	assert_non_null(strstr(text, "changed\ttimeouts.idle\t10m\t15m\tnew-sessions\n"));
	assert_non_null(strstr(text, "changed\tlog_level\t\"info\"\t\"error\"\tat-once\n"));
	reloaded();
	assert_null(answer());
	close(client);
	close(fd);
}

static void test_a_refused_reload_is_answered_with_the_reason(void **state)
{
	int client, fd = connection(test.path, test.listener, &client);
	const struct ipc_lines *lines;

	(void)state;
	ask(fd, TOPIC_RELOAD, "");
	commands_refused(&test.commands, "/etc/valija/valija.conf:7: no such setting\n\x1b[1m");
	lines = answer();
	assert_non_null(lines);
	assert_int_equal(lines->status, LINES_FAILED);
	assert_int_equal(lines->code, 78);
	assert_string_equal(ipc_tail(lines),
			    "/etc/valija/valija.conf:7: no such setting\\x0a\\x1b[1m");
	close(client);
	close(fd);
}

/* One that was asked for while another one was under way gets the answer of its own. */
static void test_a_later_reload_has_its_own_answer(void **state)
{
	int client, fd = connection(test.path, test.listener, &client);
	const struct ipc_lines *lines;

	(void)state;
	ask_number(fd, TOPIC_RELOAD, "", 1);
	test.begun = BEGUN_LATER;
	ask_number(fd, TOPIC_RELOAD, "", 2);
	ask_number(fd, TOPIC_RELOAD, "", 3);
	commands_refused(&test.commands, "the first");
	lines = answer();
	assert_non_null(lines);
	assert_int_equal(lines->number, 1);
	assert_null(answer());
	reloaded();
	for (uint64_t i = 2; i <= 3; i++) {
		lines = answer();
		assert_non_null(lines);
		assert_int_equal(lines->number, i);
		assert_int_equal(lines->status, LINES_END);
	}
	test.begun = BEGUN_NEVER;
	ask(fd, TOPIC_RELOAD, "");
	assert_non_null(strstr(expect(LINES_FAILED), "stopping"));
	close(client);
	close(fd);
}

/* The first question that waits is one as any other. */
static void test_the_first_question_may_be_for_later(void **state)
{
	int client, fd = connection(test.path, test.listener, &client);
	const struct ipc_lines *lines;

	(void)state;
	test.begun = BEGUN_LATER;
	ask_number(fd, TOPIC_RELOAD, "", 1);
	commands_refused(&test.commands, "of another");
	assert_null(answer());
	reloaded();
	lines = answer();
	assert_non_null(lines);
	assert_int_equal(lines->number, 1);
	assert_int_equal(lines->status, LINES_END);
	close(client);
	close(fd);
}

/* The process control of the generation that serves; those that drain are asked for it later. */
static void test_control_of_the_generation_that_serves(void **state)
{
	int client, fd = connection(test.path, test.listener, &client);

	(void)state;
	test.now.slots = &test.slot;
	test.old.slots = NULL;
	ask(fd, TOPIC_LOG_LEVEL, "");
	assert_string_equal(expect(LINES_END), "log-level\tinfo\tinfo\n");
	test.slot.instance++; /* another process in its place gets no answer */
	ask(fd, TOPIC_LOG_LEVEL, "");
	assert_null(answer());
	close(client);
	close(fd);
}

/* ---- upgrade ---- */

static const struct commands_made made = {.before = "0.1.0",
					  .now = "0.2.0",
					  .program = "/usr/sbin/valijad",
					  .ms = 1234,
					  .generation = &test.now};

static const struct ipc_lines *expect_of(uint64_t number, uint32_t status)
{
	const struct ipc_lines *lines = answer();

	assert_non_null(lines);
	assert_int_equal(lines->number, number);
	assert_int_equal(lines->status, status);
	return lines;
}

/* Reloads and upgrades are answered by their own ends alone. */
static void test_an_upgrade_is_answered_when_it_is_over(void **state)
{
	int client, fd = connection(test.path, test.listener, &client);

	(void)state;
	ask_number(fd, TOPIC_UPGRADE, "", 1);
	assert_int_equal(test.upgrades, 1);
	ask_number(fd, TOPIC_RELOAD, "", 2);
	assert_null(answer());
	reloaded();
	expect_of(2, LINES_END);
	assert_null(answer());
	commands_upgraded(&test.commands, &made);
	assert_string_equal(ipc_tail(expect_of(1, LINES_END)),
			    "upgraded\t0.1.0\t0.2.0\t/usr/sbin/valijad\t1234\nserving\t2\n");
	commands_upgraded(&test.commands, &made);
	assert_null(answer());
	close(client);
	close(fd);
}

static void test_a_refused_upgrade_is_answered_with_the_reason(void **state)
{
	int client, fd = connection(test.path, test.listener, &client);
	const struct ipc_lines *lines;

	(void)state;
	ask_number(fd, TOPIC_UPGRADE, "", 1);
	test.begun = BEGUN_LATER; /* during the trial */
	ask_number(fd, TOPIC_UPGRADE, "", 2);
	ask_number(fd, TOPIC_RELOAD, "", 3);
	commands_not_upgraded(&test.commands, "it cannot\ntake over");
	lines = expect_of(1, LINES_FAILED);
	assert_int_equal(lines->code, 70);
	assert_string_equal(ipc_tail(lines), "it cannot\\x0atake over");
	assert_null(answer()); /* the reload begins now, and then the second one */
	reloaded();
	expect_of(3, LINES_END);
	commands_upgraded(&test.commands, &made);
	expect_of(2, LINES_END);
	test.begun = BEGUN_NEVER;
	ask(fd, TOPIC_UPGRADE, "");
	assert_non_null(strstr(expect(LINES_FAILED), "stopping"));
	close(client);
	close(fd);
}

/* Its configuration is known in parts, so that nothing can be compared with it. */
static void test_what_a_command_has_set_stays_at_an_upgrade(void **state)
{
	int client, fd = connection(test.path, test.listener, &client);

	(void)state;
	ask(fd, TOPIC_LOG_LEVEL, "error");
	assert_true(recv(test.control, test.packet, sizeof(test.packet), 0) > 0);
	expect(LINES_END);
	test.old.adopted = true;
	ask_number(fd, TOPIC_UPGRADE, "", 1);
	ask_number(fd, TOPIC_RELOAD, "", 2);
	commands_changed(&test.commands, &test.old, &test.now, true);
	commands_upgraded(&test.commands,
			  &(struct commands_made){"1", "2", "/x", 5, true, &test.now});
	assert_non_null(strstr(ipc_tail(expect_of(1, LINES_END)), "serving\t2\ndrained\n"));
	commands_reloaded(&test.commands);
	assert_string_equal(ipc_tail(expect_of(2, LINES_END)), "serving\t2\nnot-compared\n");
	ask(fd, TOPIC_LOG_LEVEL, "");
	assert_string_equal(expect(LINES_END), "log-level\terror\tinfo\n");
	close(client);
	close(fd);
}

static void test_the_program(void **state)
{
	int client, fd = connection(test.path, test.listener, &client);

	(void)state;
	test.program = (struct commands_program){.path = "/usr/sbin/valijad", .since = 1700000000};
	ask(fd, TOPIC_PROGRAM, "");
	assert_string_equal(expect(LINES_END), "program\t" VALIJA_VERSION
					       "\t/usr/sbin/valijad\t1700000000\tserving\t0\t-\t-"
					       "\n");
	test.program = (struct commands_program){.path = "/a\tb",
						 .upgrading = true,
						 .upgrades = 3,
						 .last = "refused",
						 .reason = "because\n"};
	ask(fd, TOPIC_PROGRAM, "");
	assert_string_equal(expect(LINES_END),
			    "program\t" VALIJA_VERSION
			    "\t/a\\x09b\t0\tupgrading\t3\trefused\tbecause\\x0a\n");
	close(client);
	close(fd);
}

static void test_threat_115_questions_are_bounded(void **state)
{
	int client, fd = connection(test.path, test.listener, &client);

	(void)state;
	for (unsigned i = 0; i < COMMANDS_WAITING_MAX; i++)
		ask_number(fd, TOPIC_RELOAD, "", i);
	assert_null(answer());
	ask(fd, TOPIC_RELOAD, "");
	assert_non_null(strstr(expect(LINES_FAILED), "try again"));
	assert_int_equal(test.reloads, COMMANDS_WAITING_MAX);
	close(client);
	close(fd);
}

/* More changes than a packet has room for: the answer says how many are not in it. */
static void test_an_answer_that_is_too_long_says_so(void **state)
{
	int client, fd = connection(test.path, test.listener, &client);
	struct config *config = &test.now.config;
	const char *text;

	(void)state;
	for (uint32_t i = 0; i < CONFIG_CERTIFICATES_MAX; i++) {
		memset(config->certificates[i].certificate, '\x01', CONFIG_PATH_MAX - 1);
		memset(config->certificates[i].key, '\x01', CONFIG_PATH_MAX - 1);
	}
	config->certificate_count = CONFIG_CERTIFICATES_MAX;
	ask(fd, TOPIC_RELOAD, "");
	reloaded();
	text = expect(LINES_END);
	assert_non_null(strstr(text, "changed\ttls.1\t"));
	assert_null(strstr(text, "changed\ttls.64\t"));
	assert_non_null(strstr(text, "\nleft-out\t"));
	close(client);
	close(fd);
}

/* ---- what there is ---- */

static void add_listener(struct config *config, enum config_service service, const char *address)
{
	struct config_listener *listener = &config->listeners[config->listener_count++];

	listener->service = service;
	strcpy(listener->address, address);
}

static void test_listeners_and_drain(void **state)
{
	int client, fd = connection(test.path, test.listener, &client);
	struct config *config = &test.now.config;
	struct err err;
	const char *text;

	(void)state;
	config->listener_count = 0;
	add_listener(config, SERVICE_POP3, "127.0.0.1");
	add_listener(config, SERVICE_STATUS, "127.0.0.1");
	assert_int_equal(listeners_open(test.owner.listeners, config, 2, &err), 0);
	ask(fd, TOPIC_LISTENERS, "");
	text = expect(LINES_END);
	assert_non_null(strstr(text, "listener\tpop3\t127.0.0.1:"));
	assert_null(strstr(text, "127.0.0.1:0\t")); /* the real port */
	assert_non_null(strstr(text, "\t2\topen\nlistener\tmetrics\t"));
	test.busy = true;
	ask(fd, TOPIC_DRAIN, "");
	assert_non_null(strstr(expect(LINES_FAILED), "try again"));
	test.busy = false;
	ask(fd, TOPIC_DRAIN, "");
	text = expect(LINES_END);
	assert_non_null(strstr(text, "closed\tpop3\t127.0.0.1:"));
	assert_null(strstr(text, "metrics"));
	listeners_close_mail(test.owner.listeners);
	ask(fd, TOPIC_LISTENERS, "");
	text = expect(LINES_END);
	assert_non_null(strstr(text, "listener\tpop3\t127.0.0.1\t0\tclosed\n"));
	assert_non_null(strstr(text, "\t1\topen\n"));
	ask(fd, TOPIC_DRAIN, "");
	assert_string_equal(expect(LINES_END), "");
	assert_int_equal(test.drains, 3);
	close(client);
	close(fd);
}

static void test_generations(void **state)
{
	int client, fd = connection(test.path, test.listener, &client);

	(void)state;
	test.now.since = 1700000000;
	test.old.since = 1600000000;
	test.slot.pid = 1;
	ask(fd, TOPIC_GENERATIONS, "");
	assert_string_equal(expect(LINES_END), "generation\t2\tserving\t1700000000\t0\n"
					       "generation\t1\tdraining\t1600000000\t1\n");
	test.slot.pid = 0;
	close(client);
	close(fd);
}

/* Each process once, in the order of their starts, whatever the order of the slots. */
static void test_processes_come_in_pages(void **state)
{
	int client, fd = connection(test.path, test.listener, &client);
	struct ipc_ask question = {.number = 1, .topic = TOPIC_PROCESSES};
	static unsigned seen[MANY];
	unsigned pages = 0;
	bool more;

	(void)state;
	memset(seen, 0, sizeof(seen));
	for (unsigned i = 0; i < MANY; i++) {
		test.slots[i] = (struct slot){.next = test.now.slots,
					      .role = ROLE_KEEPER,
					      .pid = 1,
					      .index = i,
					      .instance = 1 + (i * 7) % MANY};
		test.now.slots = &test.slots[i];
	}
	test.slots[0].instance = 0; /* never started */
	question.head.type = IPC_ASK;
	do {
		const struct ipc_lines *lines;
		const char *line;

		commands_ask(&test.commands, &test.old, CONTROL, &question, fd);
		lines = answer();
		assert_non_null(lines);
		assert_true(lines->count <= LINES_PAGE);
		more = lines->status == LINES_MORE;
		question.cursor[0] = lines->cursor[0];
		line = ipc_tail(lines);
		for (unsigned i = 0, index, generation; i < lines->count; i++) {
			if (sscanf(line, "process\t%u\tkeeper\t%u", &generation, &index) == 2)
				seen[index]++;
			line = strchr(line, '\n') + 1;
		}
		pages++;
	} while (more);
	for (unsigned i = 0; i < MANY; i++)
		assert_int_equal(seen[i], i > 0);
	assert_int_equal(pages, 3);
	test.now.slots = NULL;
	close(client);
	close(fd);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
	const struct CMUnitTest tests[] = {
		TEST(test_a_person_of_the_list_is_obeyed),
		TEST(test_threat_115_control_cannot_pass_for_a_person),
		TEST(test_threat_115_the_monitor_has_no_more_topics),
		TEST(test_a_level_stays_until_a_reload),
		TEST(test_a_reload_is_answered_when_it_is_over),
		TEST(test_a_refused_reload_is_answered_with_the_reason),
		TEST(test_a_later_reload_has_its_own_answer),
		TEST(test_the_first_question_may_be_for_later),
		TEST(test_control_of_the_generation_that_serves),
		TEST(test_an_upgrade_is_answered_when_it_is_over),
		TEST(test_a_refused_upgrade_is_answered_with_the_reason),
		TEST(test_what_a_command_has_set_stays_at_an_upgrade),
		TEST(test_the_program),
		TEST(test_threat_115_questions_are_bounded),
		TEST(test_an_answer_that_is_too_long_says_so),
		TEST(test_listeners_and_drain),
		TEST(test_generations),
		TEST(test_processes_come_in_pages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
