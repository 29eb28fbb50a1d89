/* Sessions at auth in pages, and their end by a person: whose commands are obeyed, and what a front
 * that is an attacker's could do about sessions of others. The test plays the monitor, two fronts
 * and control. */
#include "role_test.h"

#include "base/text.h"
#include "server/auth/auth.h"

enum {
	OPERATOR = 4711, /* whose commands are obeyed */
	GROUP = 4712,
	NUMBER = 99, /* of a question */
	MANY = 1000,
};

static struct role_peer *one, *two, *control, *keeper;

static void connect_at(struct role_peer *front, uint64_t session, uint8_t last)
{
	struct ipc_connect connect = {.session = session,
				      .address = {[10] = 0xff, [11] = 0xff, 192, 0, 2, last}};
	const struct ipc_connected *answer;

	role_send(front, IPC_CONNECT, &connect);
	answer = role_expect(front, IPC_CONNECTED);
	assert_int_equal(answer->reason, REASON_OK);
}

static void unlimited(struct config *config)
{
	config->max_connections_per_address = 0;
	config->max_sessions_per_user = 0;
	config->plain_without_tls = true;
}

static void (*configure)(struct config *config) = unlimited;

static int begin(void **state)
{
	struct ipc_control_peers peers = {
		.uids = {0, OPERATOR}, .count = 2, .has_group = 1, .gid = GROUP};

	(void)state;
	role_configure = configure;
	role_begin(&auth_role, false);
	role_stop_clock();
	role_send(&role.monitor, IPC_CONTROL_PEERS, &peers);
	one = role_peer(ROLE_FRONT, 0);
	two = role_peer(ROLE_FRONT, 0);
	control = role_peer(ROLE_CONTROL, 0);
	keeper = role_peer(ROLE_KEEPER, 0);
	role_go();
	return 0;
}

/* The answer to one question; it lives until the next message. */
static const struct ipc_who_page *ask(uint32_t act, const char *target, uint64_t front,
				      uint64_t cursor)
{
	struct ipc_who who = {.number = NUMBER,
			      .front = front,
			      .cursor = cursor,
			      .uid = OPERATOR,
			      .gid = 1,
			      .act = act};
	const struct ipc_who_page *page;

	ROLE_SEND_TEXTS(control, IPC_WHO, &who, target);
	page = role_expect(control, IPC_WHO_PAGE);
	assert_int_equal(page->number, NUMBER);
	return page;
}

static const struct ipc_who_row *first_row(const struct ipc_who_page *page)
{
	assert_true(page->count >= 1);
	return (const struct ipc_who_row *)(const void *)ipc_tail(page);
}

static void test_sessions_of_all_fronts(void **state)
{
	const struct ipc_who_page *page;
	const struct ipc_who_row *row;

	(void)state;
	connect_at(one, 5, 1);
	connect_at(two, 5, 2); /* the same number, another session */
	page = ask(WHO_LIST, "", 0, 0);
	assert_int_equal(page->count, 1); /* a page has sessions of one front */
	assert_int_equal(page->status, WHO_MORE);
	page = ask(WHO_LIST, "", page->front, page->cursor);
	assert_int_equal(page->count, 1);
	assert_int_equal(page->status, WHO_END);
	page = ask(WHO_LIST, "192.0.2.2", 0, 0);
	assert_int_equal(page->count, 1);
	row = first_row(page);
	assert_int_equal(row->front, two->instance);
	assert_int_equal(row->session, 5);
	assert_int_equal(row->state, WHO_CONNECTED);
	assert_int_equal(row->name_size, 0);
	assert_true(row->since > 0);
	assert_int_equal(ask(WHO_LIST, "anna", 0, 0)->count, 0);
}

static void test_threat_111_nobody_else_is_obeyed(void **state)
{
	static const struct {
		uint32_t uid, gid;
		bool obeyed;
	} people[] = {{0, 1, true},  {OPERATOR, 1, true},      {OPERATOR + 5, GROUP, true},
		      {1, 1, false}, {GROUP, OPERATOR, false}, {UINT32_MAX, UINT32_MAX, false}};

	(void)state;
	connect_at(one, 5, 1);
	for (size_t i = 0; i < sizeof(people) / sizeof(*people); i++) {
		struct ipc_who who = {.number = i + 1, .uid = people[i].uid, .gid = people[i].gid};
		const struct ipc_who_page *page;

		ROLE_SEND_TEXTS(control, IPC_WHO, &who, "");
		page = role_expect(control, IPC_WHO_PAGE);
		assert_int_equal(page->status, people[i].obeyed ? WHO_MORE : WHO_REFUSED);
		assert_int_equal(page->count, people[i].obeyed ? 1 : 0);
	}
}

/* Two fronts have a session of the same number: the one that is meant is ended. */
static void test_threat_111_kick_goes_to_the_front_of_the_session(void **state)
{
	const struct ipc_session *kick;
	char id[64];

	(void)state;
	connect_at(one, 5, 1);
	connect_at(one, 6, 1);
	connect_at(two, 5, 2);
	snprintf(id, sizeof(id), "%llx-5", (unsigned long long)two->instance);
	assert_int_equal(ask(WHO_KICK, id, 0, 0)->count, 1);
	kick = role_expect(two, IPC_KICK);
	assert_int_equal(kick->session, 5);
	role_ping();
	assert_false(role_speaks(one, 0));
	assert_int_equal(ask(WHO_KICK, "192.0.2.1", 0, 0)->count, 2);
	role_expect(one, IPC_KICK);
	role_expect(one, IPC_KICK);
	role_ping();
	assert_false(role_speaks(two, 0));
}

/* ---- other machines of the site ---- */

static void with_nodes(struct config *config)
{
	unlimited(config);
	config->roots[0].store = CONFIG_RADOS;
}

static int begin_nodes(void **state)
{
	int rc;

	configure = with_nodes;
	rc = begin(state);
	configure = unlimited;
	return rc;
}

static void send_order(uint64_t id, uint32_t what, const char *target)
{
	struct ipc_nodes order = {.id = id, .what = what, .uid = 1000};

	ROLE_SEND_TEXTS(keeper, IPC_NODES, &order, target);
}

static void test_a_kick_goes_to_other_machines(void **state)
{
	const struct ipc_nodes *order;
	char id[64];

	(void)state;
	connect_at(one, 5, 1);
	connect_at(two, 5, 2);
	ask(WHO_LIST, "192.0.2.1", 0, 0);
	snprintf(id, sizeof(id), "%llx-5", (unsigned long long)two->instance);
	ask(WHO_KICK, id, 0, 0); /* another machine has a session of that id, perhaps */
	role_expect(two, IPC_KICK);
	role_ping();
	assert_false(role_speaks(keeper, 0));
	ask(WHO_KICK, "192.0.2.1", 0, 0);
	role_expect(one, IPC_KICK);
	order = role_expect(keeper, IPC_NODES);
	assert_int_equal(order->what, NODES_KICK);
	assert_int_equal(order->uid, OPERATOR);
	assert_true(span_equal(ipc_text(order, 0), SPAN_LITERAL("192.0.2.1")));
	send_order(order->id, NODES_KICK, "192.0.2.1"); /* it comes back */
	role_ping();
	assert_false(role_speaks(one, 0));
}

static void test_a_kick_of_another_machine(void **state)
{
	(void)state;
	for (uint64_t i = 1; i <= MANY; i++)
		connect_at(i % 2 ? one : two, i, 1);
	connect_at(two, MANY + 2, 2);
	send_order(7, NODES_KICK, "192.0.2.1");
	for (uint64_t i = 1; i <= MANY; i++)
		role_expect(i % 2 ? one : two, IPC_KICK);
	role_ping();
	assert_false(role_speaks(two, 0));
	send_order(7, NODES_KICK, "192.0.2.0/24"); /* by another keeper, or late */
	role_ping();
	assert_false(role_speaks(two, 0));
	assert_false(role_speaks(keeper, 0)); /* and it goes no further */
}

/* A front has no message to ask for sessions, and none to end one of another front. */
static void test_threat_111_a_front_cannot_ask(void **state)
{
	struct ipc_who who = {.number = 1};
	struct ipc_session other = {.session = 5};

	(void)state;
	connect_at(two, 5, 2);
	role_send(one, IPC_DISCONNECT, &other); /* its own 5, which it does not have */
	role_ping();
	assert_int_equal(ask(WHO_LIST, "", 0, 0)->count, 1);
	ROLE_SEND_TEXTS(one, IPC_WHO, &who, "");
	role_expect_cut(one);
	assert_int_equal(ask(WHO_LIST, "", 0, 0)->count, 1);
}

static void test_pages_hold_a_few_hundred_and_each_session_once(void **state)
{
	static unsigned seen[MANY + 1];
	uint64_t front = 0, cursor = 0;
	unsigned pages = 0;

	(void)state;
	for (uint64_t i = 1; i <= MANY; i++)
		connect_at(i % 2 ? one : two, i, (uint8_t)(i % 200));
	for (bool more = true; more; pages++) {
		const struct ipc_who_page *page = ask(WHO_LIST, "", front, cursor);
		const struct ipc_who_row *row =
			(const struct ipc_who_row *)(const void *)ipc_tail(page);

		assert_true(page->count < 300);
		for (uint32_t i = 0; i < page->count; i++, row++)
			seen[row->session]++;
		front = page->front;
		cursor = page->cursor;
		more = page->status == WHO_MORE;
	}
	for (unsigned i = 1; i <= MANY; i++)
		assert_int_equal(seen[i], 1);
	assert_true(pages > MANY / 300);
}

/* ---- what sessions have sent ---- */

static void log_in(struct role_peer *front, uint64_t session)
{
	struct ipc_credentials message = {.session = session, .ticket = 77, .has_secret = 1};

	connect_at(front, session, 1);
	ROLE_SEND_TEXTS(front, IPC_PASS, &message, "anna", "secret");
	role_expect(keeper, IPC_OPEN);
}

static void send_who(uint64_t number, uint64_t front)
{
	struct ipc_who who = {.number = number, .front = front, .uid = OPERATOR, .gid = 1};

	ROLE_SEND_TEXTS(control, IPC_WHO, &who, "");
}

/* Returns the number of the question that a front got about these sessions. */
static uint64_t expect_question(struct role_peer *front, uint32_t count)
{
	const struct ipc_traffic *question = role_expect(front, IPC_TRAFFIC);

	assert_int_equal(question->count, count);
	return question->number;
}

static void send_traffic(struct role_peer *front, uint64_t number,
			 const struct ipc_traffic_row *rows, uint32_t count)
{
	struct ipc_traffic answer = {.number = number, .count = count};

	role_send_raw(front, IPC_TRAFFIC_ANSWER, &answer, sizeof(answer), rows,
		      count * sizeof(*rows), -1);
}

static const struct ipc_who_row *expect_row(uint64_t number)
{
	const struct ipc_who_page *page = role_expect(control, IPC_WHO_PAGE);

	assert_int_equal(page->number, number);
	assert_int_equal(page->count, 1);
	return first_row(page);
}

static void test_the_front_says_what_was_sent(void **state)
{
	struct ipc_traffic_row row = {.session = 5, .octets = 1234, .messages = 3};
	const struct ipc_who_row *shown;
	uint64_t number;

	(void)state;
	log_in(one, 5);
	connect_at(two, 6, 2);
	send_who(1, 0);
	number = expect_question(one, 1);
	send_traffic(one, number, &row, 1);
	shown = expect_row(1);
	assert_int_equal(shown->counted, 1);
	assert_int_equal(shown->messages, 3);
	assert_int_equal(shown->octets, 1234);
	send_who(2, two->instance); /* nobody has logged in there: it is not asked */
	assert_int_equal(expect_row(2)->counted, 0);
	assert_false(role_speaks(two, 0));
}

/* It has a second; then the page goes without, and a late answer is nobody's. */
static void test_a_front_that_hangs_holds_up_nobody(void **state)
{
	struct ipc_traffic_row row = {.session = 5, .octets = 1, .messages = 1};
	uint64_t number;

	(void)state;
	log_in(one, 5);
	send_who(1, 0);
	number = expect_question(one, 1);
	role_advance(1001);
	assert_int_equal(expect_row(1)->counted, 0);
	send_traffic(one, number, &row, 1);
	role_ping();
	assert_false(role_speaks(control, 0));
	send_who(2, 0);
	expect_question(one, 1);
	role_peer_dies(one); /* its sessions end with it; the page was made before */
	assert_int_equal(expect_row(2)->counted, 0);
}

/* A front answers for its own sessions alone, and for those that it was asked about. */
static void test_threat_116_a_front_counts_for_no_other(void **state)
{
	struct ipc_traffic_row row = {.session = 5, .octets = 666, .messages = 666};
	struct ipc_traffic_row rows[3] = {{.session = 99}, row, {.session = 5}};
	uint64_t number;

	(void)state;
	log_in(one, 5);
	log_in(two, 5);
	send_who(1, one->instance);
	number = expect_question(one, 1);
	send_traffic(two, number, &row, 1);     /* another front's question */
	send_traffic(one, number + 1, &row, 1); /* none */
	role_ping();
	assert_false(role_speaks(control, 0));
	send_traffic(one, number, rows, 3); /* of a session that it was not asked about */
	assert_int_equal(expect_row(1)->counted, 0);
	send_who(2, one->instance);
	send_traffic(one, expect_question(one, 1), NULL, 0);
	assert_int_equal(expect_row(2)->counted, 0);
}

/* Pages wait for fronts in a bounded number; others go without. */
static void test_threat_115_few_pages_wait(void **state)
{
	(void)state;
	log_in(one, 5);
	for (uint64_t i = 1; i <= 64; i++)
		send_who(i, 0);
	role_ping();
	assert_false(role_speaks(control, 0));
	send_who(65, 0);
	assert_int_equal(expect_row(65)->counted, 0);
	role_peer_dies(control);
	role_advance(1001);
	role_ping();
}

/* One page of lines; they live until the next message. */
static const char *report(uint32_t topic, uint32_t uid, uint32_t status)
{
	struct ipc_ask question = {.number = NUMBER, .topic = topic, .uid = uid, .gid = 1};
	const struct ipc_lines *page;
	static char text[IPC_BATCH_MAX + 1];

	ROLE_SEND_TEXTS(control, IPC_ASK, &question, "");
	page = role_expect(control, IPC_LINES);
	assert_int_equal(page->number, NUMBER);
	assert_int_equal(page->status, status);
	memcpy(text, ipc_tail(page), page->head.tail);
	text[page->head.tail] = '\0';
	return text;
}

static void test_connections_are_counted(void **state)
{
	(void)state;
	assert_string_equal(report(TOPIC_COUNTS, OPERATOR, LINES_END), "connections\t1\t0\n");
	connect_at(one, 5, 1);
	connect_at(one, 6, 1);
	connect_at(two, 5, 2);
	assert_string_equal(report(TOPIC_COUNTS, OPERATOR, LINES_END), "connections\t1\t3\n");
}

/* Nobody but who the monitor named, and no topic of the monitor's. */
static void test_threat_116_auth_reports_to_few(void **state)
{
	(void)state;
	connect_at(one, 5, 1);
	for (uint32_t topic = 0; topic < TOPICS; topic++)
		assert_string_equal(report(topic, OPERATOR + 1, LINES_REFUSED), "");
	assert_string_equal(report(TOPIC_RELOAD, OPERATOR, LINES_REFUSED), "");
	assert_string_equal(report(TOPIC_LOG_LEVEL, 0, LINES_REFUSED), "");
	assert_string_equal(report(TOPIC_PROCESSES, 0, LINES_REFUSED), "");
	assert_string_equal(report(TOPIC_USERS, 0, LINES_END), "");
	assert_string_equal(report(TOPIC_DATABASES, 0, LINES_END), "");
}

/* A front has no message for it. */
static void test_threat_116_a_front_gets_no_report(void **state)
{
	struct ipc_ask question = {.number = 1, .topic = TOPIC_COUNTS};

	(void)state;
	ROLE_SEND_TEXTS(one, IPC_ASK, &question, "");
	role_expect_cut(one);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_sessions_of_all_fronts, begin, role_over),
		cmocka_unit_test_setup_teardown(test_threat_111_nobody_else_is_obeyed, begin,
						role_over),
		cmocka_unit_test_setup_teardown(
			test_threat_111_kick_goes_to_the_front_of_the_session, begin, role_over),
		cmocka_unit_test_setup_teardown(test_a_kick_goes_to_other_machines, begin_nodes,
						role_over),
		cmocka_unit_test_setup_teardown(test_a_kick_of_another_machine, begin_nodes,
						role_over),
		cmocka_unit_test_setup_teardown(test_threat_111_a_front_cannot_ask, begin,
						role_over),
		cmocka_unit_test_setup_teardown(test_pages_hold_a_few_hundred_and_each_session_once,
						begin, role_over),
		cmocka_unit_test_setup_teardown(test_the_front_says_what_was_sent, begin,
						role_over),
		cmocka_unit_test_setup_teardown(test_a_front_that_hangs_holds_up_nobody, begin,
						role_over),
		cmocka_unit_test_setup_teardown(test_threat_116_a_front_counts_for_no_other, begin,
						role_over),
		cmocka_unit_test_setup_teardown(test_threat_115_few_pages_wait, begin, role_over),
		cmocka_unit_test_setup_teardown(test_connections_are_counted, begin, role_over),
		cmocka_unit_test_setup_teardown(test_threat_116_auth_reports_to_few, begin,
						role_over),
		cmocka_unit_test_setup_teardown(test_threat_116_a_front_gets_no_report, begin,
						role_over),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
