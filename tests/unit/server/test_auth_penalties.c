/* Penalties of addresses beyond auth's life: what it gives the monitor, what it takes of another
 * auth, and the pages for a person. The test plays the monitor, a front and control; auth's clock
 * is the test's. */
#include "role_test.h"

#include "base/descriptor.h"
#include "server/auth/auth.h"

enum {
	OPERATOR = 4711, /* whose commands are obeyed */
	MANY = 4,        /* failures: such rows are kept first */
	NUMBER = 99,     /* of a question */
	TICK_MS = 5000,  /* auth sends rows at most so often */
	SEALS = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE,
};

static struct role_peer *front, *control;
static uint64_t sessions, tickets;

static void settings(struct config *config)
{
	config->failure_delay_ms = 1;
	config->failure_delay_max_ms = 1u << 20;
	config->max_connections_per_address = 0;
	config->max_failures = 100;
	config->plain_without_tls = true;
}

static void prepare(void)
{
	struct ipc_control_peers peers = {.uids = {OPERATOR}, .count = 1};

	sessions = 0;
	role_configure = settings;
	role_captures = true;
	role_begin(&auth_role, false);
	role_stop_clock();
	role_send(&role.monitor, IPC_CONTROL_PEERS, &peers);
	front = role_peer(ROLE_FRONT, 0);
	control = role_peer(ROLE_CONTROL, 0);
}

static int begin(void **state)
{
	(void)state;
	prepare();
	role_go();
	return 0;
}

static int end(void **state)
{
	role_configure = NULL;
	return role_over(state);
}

/* A failure of 10.0.0.HOST, on a connection of its own. Returns its delay. */
static uint32_t fail_once(uint8_t host)
{
	struct ipc_connect connect = {.session = ++sessions,
				      .address = {[10] = 0xff, [11] = 0xff, 10, 0, 0, host}};
	struct ipc_credentials wrong = {.session = sessions, .ticket = ++tickets, .has_secret = 1};
	struct ipc_session close = {.session = sessions};
	uint32_t delay;

	role_send(front, IPC_CONNECT, &connect);
	role_expect(front, IPC_CONNECTED);
	ROLE_SEND_TEXTS(front, IPC_PASS, &wrong, "anna", "wrong");
	delay = ((const struct ipc_denied *)role_expect(front, IPC_DENIED))->delay;
	role_send(front, IPC_DISCONNECT, &close);
	return delay;
}

/* The rows that auth sends; owned by the caller. */
static struct ipc_penalty *expect_rows_now(uint32_t *ret_count)
{
	const struct ipc_penalties *message = role_expect(&role.monitor, IPC_PENALTIES);
	int fd = role.monitor.fds[0];
	size_t size = message->count * sizeof(struct ipc_penalty);
	struct ipc_penalty *rows = malloc(size + 1);

	*ret_count = message->count;
	assert_int_equal(fcntl(fd, F_GET_SEALS) & SEALS, SEALS);
	assert_int_equal(lseek(fd, 0, SEEK_END), size);
	assert_int_equal(pread(fd, rows, size, 0), size);
	return rows;
}

/* At its next tick. */
static struct ipc_penalty *expect_rows(uint32_t *ret_count)
{
	role.shared->clock += TICK_MS;
	return expect_rows_now(ret_count);
}

/* Some ticks later auth has sent no rows. */
static void expect_no_rows(void)
{
	struct ipc_empty ping;
	const void *message;
	enum ipc_type type;

	for (int i = 0; i < 5; i++) {
		role.shared->clock += TICK_MS;
		usleep(3 * ROLE_EARLY_MS * 1000);
		memset(&ping, 0, sizeof(ping));
		role_send(&role.monitor, IPC_PING, &ping);
		while ((type = role_next(&role.monitor, &message)) != IPC_PONG)
			assert_int_not_equal(type, IPC_PENALTIES);
	}
}

/* fd: sealed or not; it is closed. */
static void send_file(int fd, uint32_t count)
{
	struct ipc_penalties message = {.count = count};

	assert_true(fd >= 0);
	role_send_raw(&role.monitor, IPC_PENALTIES, &message, sizeof(message), NULL, 0, fd);
	close(fd);
}

static void send_rows(const struct ipc_penalty *rows, uint32_t count)
{
	send_file(seal_octets("penalties", rows, count * sizeof(*rows)), count);
	role_wait_taken(&role.monitor);
}

static struct ipc_penalty row_of(uint8_t third, uint8_t host, uint32_t failures)
{
	return (struct ipc_penalty){.address = {[10] = 0xff, [11] = 0xff, 10, 0, third, host},
				    .last = role.shared->clock,
				    .failures = failures};
}

/* ---- to the next auth ---- */

static void test_failures_are_sent_once(void **state)
{
	struct ipc_penalty *rows;
	uint32_t count;

	(void)state;
	expect_no_rows(); /* nobody failed */
	assert_int_equal(fail_once(7), 1);
	rows = expect_rows(&count);
	assert_int_equal(count, 1);
	assert_int_equal(rows[0].address[15], 7);
	assert_int_equal(rows[0].failures, 1);
	assert_int_equal(rows[0].last, role.shared->clock - TICK_MS);
	assert_int_equal(rows[0].octets, 0);
	free(rows);
	expect_no_rows();
	assert_int_equal(fail_once(7), 2);
	rows = expect_rows(&count);
	assert_int_equal(count, 1);
	assert_int_equal(rows[0].failures, 2);
	free(rows);
	expect_no_rows();
}

/* Those of few failures as well as those of many, each once. */
static void test_every_address_is_in_it(void **state)
{
	struct ipc_penalty given[2 * MANY], *rows;
	uint32_t count, seen = 0;

	(void)state;
	for (uint32_t i = 0; i < 2 * MANY; i++)
		given[i] = row_of(1, (uint8_t)i, i + 1);
	send_rows(given, 2 * MANY);
	fail_once(7);
	rows = expect_rows(&count);
	assert_int_equal(count, 2 * MANY + 1);
	for (uint32_t i = 0; i < count; i++) {
		assert_int_equal(rows[i].failures >= MANY, i < MANY + 1); /* they come first */
		if (rows[i].address[14] != 1)
			continue;
		assert_int_equal(rows[i].failures, rows[i].address[15] + 1);
		seen |= 1u << rows[i].address[15];
	}
	assert_int_equal(seen, 0xff);
	free(rows);
}

/* Where not all have room, those of few failures are left out. */
static void test_so_many_have_room(void **state)
{
	enum { FEW = IPC_PENALTIES_MAX, WORSE = 100 };
	struct ipc_penalty *given = calloc(FEW, sizeof(*given)), *rows;
	uint32_t count, worse = 0;

	(void)state;
	for (uint32_t i = 0; i < FEW; i++)
		given[i] = row_of((uint8_t)(i >> 8), (uint8_t)i, MANY - 1);
	send_rows(given, FEW);
	for (uint32_t i = 0; i < WORSE; i++)
		given[i] = row_of(200, (uint8_t)i, MANY);
	send_rows(given, WORSE);
	free(given);
	fail_once(7);
	rows = expect_rows(&count);
	assert_int_equal(count, IPC_PENALTIES_MAX);
	for (uint32_t i = 0; i < count; i++)
		worse += rows[i].failures >= MANY;
	assert_int_equal(worse, WORSE + 1); /* 10.0.0.7 was among the few, once less */
	free(rows);
}

static void test_a_drain_sends_the_last(void **state)
{
	struct ipc_penalty *rows;
	uint32_t count;

	(void)state;
	fail_once(7);
	free(expect_rows(&count));
	fail_once(8);
	role_drain(1000);
	rows = expect_rows_now(&count);
	assert_int_equal(count, 2);
	free(rows);
}

/* ---- of another auth ---- */

static void test_rows_are_taken(void **state)
{
	const struct ipc_penalty rows[] = {row_of(0, 7, 5), row_of(0, 8, UINT32_MAX),
					   row_of(0, 9, 3)};

	(void)state;
	send_rows(rows, 3);
	assert_int_equal(fail_once(7), 1 << 5);
	assert_int_equal(fail_once(8), 1); /* it cannot be right */
	assert_int_equal(fail_once(9), 1 << 3);
	assert_null(strstr(role_log(), "cannot be read"));
}

static void test_rows_that_come_before_the_start(void **state)
{
	struct ipc_penalty row;

	(void)state;
	prepare();
	row = row_of(0, 7, 5);
	send_rows(&row, 1);
	role_go();
	assert_int_equal(fail_once(7), 1 << 5);
}

static int plain_file(const void *octets, size_t size, int seals)
{
	int fd = memfd_create("penalties", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	assert_int_equal(write(fd, octets, size), size);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, seals), 0);
	return fd;
}

static void expect_warnings(unsigned wanted)
{
	const char *at;
	unsigned found = 0;

	role_ping();
	for (at = role_log(); (at = strstr(at, "the penalties of another auth process cannot be "
					       "read: those of this one count")) != NULL;
	     at++)
		found++;
	assert_int_equal(found, wanted);
}

static void test_files_that_are_none(void **state)
{
	static const int lacking[] = {F_SEAL_SHRINK, F_SEAL_GROW, F_SEAL_WRITE};
	const struct ipc_penalty row = row_of(0, 7, 5);
	unsigned warnings = 0;

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		send_file(plain_file(&row, sizeof(row), SEALS & ~lacking[i]), 1);
		expect_warnings(++warnings);
	}
	send_file(plain_file(&row, sizeof(row), SEALS), 2);
	expect_warnings(++warnings);
	send_file(plain_file(&row, sizeof(row) - 1, SEALS), 1);
	expect_warnings(++warnings);
	send_file(open("/dev/null", O_RDONLY | O_CLOEXEC), 0);
	expect_warnings(++warnings);
	{ /* sealed as it should be, and nothing to be read from */
		int sealed = plain_file(&row, sizeof(row), SEALS);
		char path[40];

		snprintf(path, sizeof(path), "/proc/self/fd/%d", sealed);
		send_file(open(path, O_WRONLY | O_CLOEXEC), 1);
		expect_warnings(++warnings);
		close(sealed);
	}
	assert_int_equal(fail_once(7), 1);
	send_file(plain_file("", 0, SEALS), 0); /* of an auth where nobody failed */
	expect_warnings(warnings);
	send_file(plain_file(&row, sizeof(row), SEALS), 1);
	expect_warnings(warnings);
	assert_int_equal(fail_once(7), 1 << 5);
}

/* ---- for a person ---- */

static const struct ipc_penalty_page *ask(uint32_t uid, uint64_t cursor)
{
	struct ipc_penalty_ask message = {.number = NUMBER, .cursor = cursor, .uid = uid, .gid = 1};
	const struct ipc_penalty_page *page;

	role_send(control, IPC_PENALTY_ASK, &message);
	page = role_expect(control, IPC_PENALTY_PAGE);
	assert_int_equal(page->number, NUMBER);
	return page;
}

static void test_a_page(void **state)
{
	const struct ipc_penalty_page *page;
	const struct ipc_penalty *row;

	(void)state;
	page = ask(OPERATOR, 0);
	assert_int_equal(page->status, WHO_END);
	assert_int_equal(page->count, 0);
	fail_once(7);
	fail_once(7);
	role_advance(5000);
	page = ask(OPERATOR, 0);
	assert_int_equal(page->status, WHO_END);
	assert_int_equal(page->count, 1);
	row = (const void *)ipc_tail(page);
	assert_int_equal(row->address[15], 7);
	assert_int_equal(row->failures, 2);
	assert_int_equal(row->last, 5000); /* so long ago */
	assert_int_equal(row->delay, 1 << 2);
}

static void test_threat_111_nobody_else_is_obeyed(void **state)
{
	const struct ipc_penalty_page *page;

	(void)state;
	fail_once(7);
	page = ask(OPERATOR + 1, 0);
	assert_int_equal(page->status, WHO_REFUSED);
	assert_int_equal(page->count, 0);
	assert_int_equal(page->cursor, 0);
}

/* Each address is in one of the pages, and no page is long. */
static void test_pages(void **state)
{
	enum { ALL = 3000 };
	static bool seen[ALL];
	struct ipc_penalty *given = calloc(ALL, sizeof(*given));
	const struct ipc_penalty_page *page;
	unsigned sum = 0, pages = 0;
	uint64_t cursor = 0;

	(void)state;
	for (uint32_t i = 0; i < ALL; i++)
		given[i] = row_of((uint8_t)(i >> 8), (uint8_t)i, 1);
	send_rows(given, ALL);
	free(given);
	do {
		const struct ipc_penalty *rows;

		page = ask(OPERATOR, cursor);
		rows = (const void *)ipc_tail(page);
		for (uint32_t i = 0; i < page->count; i++) {
			uint32_t at = (uint32_t)rows[i].address[14] << 8 | rows[i].address[15];

			assert_true(at < ALL && !seen[at]);
			seen[at] = true;
		}
		sum += page->count;
		if (page->status == WHO_MORE) /* half a page, and the rest of a bucket */
			assert_in_range(page->count, IPC_PENALTY_ROWS_MAX / 2,
					IPC_PENALTY_ROWS_MAX / 2 + 20);
		cursor = page->cursor;
		assert_true(++pages < 100);
	} while (page->status == WHO_MORE);
	assert_int_equal(page->status, WHO_END);
	assert_int_equal(cursor, 0);
	assert_int_equal(sum, ALL);
}

#define IN_AUTH(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_AUTH(test_failures_are_sent_once),
		IN_AUTH(test_every_address_is_in_it),
		IN_AUTH(test_so_many_have_room),
		IN_AUTH(test_a_drain_sends_the_last),
		IN_AUTH(test_rows_are_taken),
		cmocka_unit_test_teardown(test_rows_that_come_before_the_start, end),
		IN_AUTH(test_files_that_are_none),
		IN_AUTH(test_a_page),
		IN_AUTH(test_threat_111_nobody_else_is_obeyed),
		IN_AUTH(test_pages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
