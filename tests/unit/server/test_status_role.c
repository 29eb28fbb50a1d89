/* The process status: which path gets which answer, how many clients there may be, and for how
 * long. The test plays the monitor and the clients. */
#include "role_test.h"
#include "unix_client.h"

#include "server/status/status.h"

enum { CLIENTS_MAX = 64, LIFE_MS = 30 * 1000, PAGES = 4 };

static struct counters_page *pages[PAGES];

static void send_page(unsigned i, enum ipc_role which, int fd)
{
	struct ipc_page message = {.role = which};

	if (fd < 0) {
		fd = counters_page_make(which, &pages[i]);
		assert_true(fd >= 0);
	}
	role_send_raw(&role.monitor, IPC_PAGE, &message, sizeof(message), NULL, 0, fd);
	close(fd);
}

static void listen_to_others(struct config *config)
{
	struct config_listener *listener = &config->listeners[config->listener_count++];

	memset(listener, 0, sizeof(*listener));
	listener->service = SERVICE_STATUS;
	listener->line = 7;
	listener->port = 8080;
}

static int begin_with(void (*configure)(struct config *))
{
	role_captures = true;
	role_configure = configure;
	role_begin(&status_role, false);
	role_configure = NULL;
	role_stop_clock();
	role_listen(SERVICE_STATUS);
	send_page(0, ROLE_FRONT, -1);
	send_page(1, ROLE_FRONT, -1);
	send_page(2, ROLE_AUTH, -1);
	send_page(3, ROLE_KEEPER, -1);
	role_go();
	return 0;
}

static int begin(void **state)
{
	(void)state;
	return begin_with(NULL);
}

static int end(void **state)
{
	for (unsigned i = 0; i < PAGES; i++)
		munmap(pages[i], sizeof(*pages[i]));
	return role_over(state);
}

/* The whole answer to these octets. */
static const char *answer_to(const char *request)
{
	int client = role_dial();
	const char *answer;

	say(client, request);
	answer = read_until(client, "no such octets");
	close(client);
	return answer;
}

static const char *get(const char *path)
{
	char request[256];

	snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path);
	return answer_to(request);
}

static void has(const char *answer, const char *wanted)
{
	if (!answer || !strstr(answer, wanted))
		fail_msg("no \"%s\" in\n%s", wanted, answer ? answer : "nothing");
}

static void begins(const char *answer, const char *wanted)
{
	if (strncmp(answer, wanted, strlen(wanted)) != 0)
		fail_msg("no \"%s\" at the beginning of\n%s", wanted, answer);
}

/* ---- answers ---- */

static void test_paths(void **state)
{
	const char *answer = get("/healthz");

	(void)state;
	begins(answer, "HTTP/1.1 200 OK\r\n");
	has(answer, "\r\nContent-Type: text/plain; charset=utf-8\r\n");
	has(answer, "\r\nContent-Length: 3\r\n");
	has(answer, "\r\nConnection: close\r\n");
	has(answer, "\r\nCache-Control: no-store\r\n");
	has(answer, "\r\nX-Content-Type-Options: nosniff\r\n");
	has(answer, "\r\nContent-Security-Policy: default-src 'none'; ");
	has(answer, "\r\n\r\nok\n");
	answer = get("/");
	begins(answer, "HTTP/1.1 200 OK\r\n");
	has(answer, "\r\nContent-Type: text/html; charset=utf-8\r\n");
	has(answer, "</html>");
	answer = get("/status.json");
	begins(answer, "HTTP/1.1 200 OK\r\n");
	has(answer, "\r\nContent-Type: application/json\r\n");
	has(answer, "\r\n\r\n{");
	answer = get("/metric");
	begins(answer, "HTTP/1.1 404 ");
	has(answer, "\r\n\r\nnot here: /, /metrics, /status.json, /healthz, /readyz\n");
	answer = get("/healthz?x=y");
	has(answer, "\r\n\r\nok\n");
}

static void test_metrics(void **state)
{
	const char *answer;

	(void)state;
	pages[0]->slots[COUNTER_CONNECTIONS] = 40;
	pages[1]->slots[COUNTER_CONNECTIONS] = 2;
	answer = get("/metrics");
	has(answer, "\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n");
	has(answer, "\nvalija_connections_total{service=\"pop3\"} 42\n");
	assert_null(strstr(answer, "# EOF"));
	answer = answer_to("GET /metrics HTTP/1.1\r\nHost: x\r\n"
			   "Accept: application/openmetrics-text;version=1.0.0\r\n\r\n");
	has(answer, "\r\nContent-Type: application/openmetrics-text; version=1.0.0; "
		    "charset=utf-8\r\n");
	has(answer, "\n# EOF\n");
	get("/");
	assert_int_equal(role_counted(COUNTER_SCRAPES), 2);
}

static void test_ready(void **state)
{
	const char *answer = get("/readyz");

	(void)state;
	begins(answer, "HTTP/1.1 503 ");
	assert_null(strstr(answer, "\r\n\r\nready\n"));
	for (unsigned i = 1; i < PAGES; i++)
		pages[i]->slots[COUNTER_PROCESSES] = 1;
	answer = get("/readyz");
	begins(answer, "HTTP/1.1 200 OK\r\n");
	has(answer, "\r\n\r\nready\n");
}

static void test_requests_that_are_none(void **state)
{
	static char long_one[16384];
	const char *answer;

	(void)state;
	answer = answer_to("HEAD /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
	begins(answer, "HTTP/1.1 200 OK\r\n");
	has(answer, "\r\nContent-Length: 3\r\n");
	assert_string_equal(strstr(answer, "\r\n\r\n"), "\r\n\r\n");
	begins(answer_to("PUT /healthz HTTP/1.1\r\nHost: x\r\n\r\n"), "HTTP/1.1 501 ");
	begins(answer_to("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx"), "HTTP/1.1 ");
	snprintf(long_one, sizeof(long_one), "GET /healthz HTTP/1.1\r\nX: %08000d\r\n\r\n", 0);
	has(answer_to(long_one), "\r\n\r\nok\n");
	snprintf(long_one, sizeof(long_one), "GET /healthz HTTP/1.1\r\nX: %08300d\r\n\r\n", 0);
	assert_null(strstr(answer_to(long_one), "\r\n\r\nok\n"));
}

/* ---- clients and sockets ---- */

static void test_as_many_clients_as_there_are_places(void **state)
{
	int clients[CLIENTS_MAX], late;
	struct pollfd wait = {.events = POLLIN};

	(void)state;
	for (unsigned i = 0; i < CLIENTS_MAX; i++)
		clients[i] = role_dial();
	late = role_dial();
	say(late, "GET /healthz HTTP/1.1\r\n\r\n");
	role_ping();
	wait.fd = late;
	assert_int_equal(poll(&wait, 1, 50), 0); /* it waits */
	for (unsigned i = 1; i < CLIENTS_MAX; i++) {
		say(clients[i], "GET /healthz HTTP/1.1\r\n\r\n");
		has(read_until(clients[i], "no such octets"), "\r\n\r\nok\n");
	}
	role_advance(1000);
	has(read_until(late, "no such octets"), "\r\n\r\nok\n");
	close(late);
	say(clients[0], "GET /healthz HTTP/1.1\r\n\r\n"); /* that one was there all the time */
	has(read_until(clients[0], "no such octets"), "\r\n\r\nok\n");
	for (unsigned i = 0; i < CLIENTS_MAX; i++)
		close(clients[i]);
}

static void test_a_client_that_takes_its_time(void **state)
{
	int client = role_dial();
	struct pollfd wait = {.fd = client, .events = POLLIN};

	(void)state;
	say(client, "GET /heal");
	get("/healthz"); /* that one was accepted before this one */
	role_advance(LIFE_MS - 1);
	say(client, "thz");
	assert_int_equal(poll(&wait, 1, 0), 0);
	role_advance(1);
	assert_int_equal(poll(&wait, 1, ROLE_PATIENCE_MS), 1);
	read_until(client, "no such octets");
	close(client);
}

static void test_a_socket_that_comes_later(void **state)
{
	(void)state;
	role_listen(SERVICE_STATUS);
	has(get("/healthz"), "\r\n\r\nok\n");
}

static void test_counters_that_are_none(void **state)
{
	(void)state;
	send_page(0, ROLE_LMTP, memfd_create("none", MFD_CLOEXEC));
	role_expect_log("the counters of a process of role lmtp are not in the metrics\n");
	has(get("/healthz"), "\r\n\r\nok\n");
}

static void test_other_machines_may_look(void **state)
{
	(void)state;
	begin_with(listen_to_others);
	role_expect_log(":7: other machines may reach the metrics at ");
}

static void test_only_this_machine_may_look(void **state)
{
	(void)state;
	role_ping();
	assert_null(strstr(role_log(), "other machines"));
}

static void test_no_peer_speaks_to_it(void **state)
{
	struct role_peer *peer = role_peer(ROLE_AUTH, 0);
	struct ipc_session message = {.session = 1};

	(void)state;
	role_send(peer, IPC_DISCONNECT, &message);
	role_expect_cut(peer);
	has(get("/healthz"), "\r\n\r\nok\n");
}

static void test_drain(void **state)
{
	int client = role_dial();

	(void)state;
	role_ping();
	role_drain(ROLE_PATIENCE_MS);
	assert_int_equal(role_ends(), 0);
	close(client);
}

#define AT_STATUS(test) cmocka_unit_test_setup_teardown(test, begin, end)

static void test_no_start_without_a_sandbox(void **state)
{
	(void)state;
	role_begin(&status_role, false);
	role_expect_no_start();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_no_start_without_a_sandbox, role_over),
		AT_STATUS(test_paths),
		AT_STATUS(test_metrics),
		AT_STATUS(test_ready),
		AT_STATUS(test_requests_that_are_none),
		AT_STATUS(test_as_many_clients_as_there_are_places),
		AT_STATUS(test_a_client_that_takes_its_time),
		AT_STATUS(test_a_socket_that_comes_later),
		AT_STATUS(test_counters_that_are_none),
		cmocka_unit_test_teardown(test_other_machines_may_look, end),
		AT_STATUS(test_only_this_machine_may_look),
		AT_STATUS(test_no_peer_speaks_to_it),
		AT_STATUS(test_drain),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
