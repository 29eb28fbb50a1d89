/* Connections from a proxy until their header is here: who is taken for the client, what stays in
 * the socket for it, and who is closed without an answer, with which words in the log. */
#include "server/arrivals.h"

#include "base/log.h"
#include "server/counters.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define LINE "PROXY TCP4 192.0.2.1 198.51.100.1 56324 110\r\n"

enum { PLACE = 1, MAX = 2 }; /* of the listener; connections that may wait */

static const uint8_t proxy[16] = {[10] = 0xff, [11] = 0xff, 198, 51, 100, 9};
static const uint8_t stranger[16] = {[10] = 0xff, [11] = 0xff, 203, 0, 113, 9};
static const uint8_t client[16] = {[10] = 0xff, [11] = 0xff, 192, 0, 2, 1};

static uint64_t clock_ms = 1000000;

uint64_t __wrap_loop_now(const struct loop *of);
void __real_loop_timer_set(struct loop_timer *timer, uint64_t ms);
void __wrap_loop_timer_set(struct loop_timer *timer, uint64_t ms);

uint64_t __wrap_loop_now(const struct loop *of)
{
	(void)of;
	return clock_ms;
}

/* Only the test moves the clock: a timer fires at once, and looks at it. */
void __wrap_loop_timer_set(struct loop_timer *timer, uint64_t ms)
{
	(void)ms;
	__real_loop_timer_set(timer, 1);
}

static struct {
	struct loop *loop;
	struct config config;
	struct arrivals *arrivals;
	struct accepted from;
	struct counters_page *page;
	int page_fd;
	bool takes;
	unsigned arrived, ended, ended_before; /* before: the last one arrived */
	int fd;                                /* of the last one that arrived; -1: not taken */
	struct accepted who;
	char log[4000];
} test;

static void keep(enum log_level level, const char *text, size_t size)
{
	size_t used = strlen(test.log);

	(void)level;
	snprintf(test.log + used, sizeof(test.log) - used, "%.*s\n", (int)size, text);
}

static void arrived(void *context, int *fd, const struct accepted *from)
{
	assert_ptr_equal(context, &test);
	test.ended_before = test.ended;
	test.arrived++;
	test.who = *from;
	if (!test.takes)
		return;
	test.fd = *fd;
	*fd = -1;
}

static void ended(void *context)
{
	assert_ptr_equal(context, &test);
	test.ended++;
}

static int begin(void **state)
{
	(void)state;
	memset(&test, 0, sizeof(test));
	test.loop = loop_create(NULL);
	test.config.rules[PLACE].proxy_from.count = 1;
	test.config.rules[PLACE].proxy_from.list[0].bits = 120;
	memcpy(test.config.rules[PLACE].proxy_from.list[0].address, proxy, 15);
	test.from = (struct accepted){.service = SERVICE_POP3,
				      .listener = PLACE,
				      .text = "198.51.100.9",
				      .port = 4000,
				      .loopback = true};
	memcpy(test.from.address, proxy, 16);
	test.takes = true;
	test.fd = -1;
	test.page_fd = counters_page_make(ROLE_FRONT, &test.page);
	counters_use(test.page);
	test.arrivals = arrivals_create(test.loop, &test.config, MAX, arrived, ended, &test);
	log_set_output(keep);
	return test.loop && test.arrivals && test.page_fd >= 0 ? 0 : -1;
}

static int end(void **state)
{
	(void)state;
	log_set_output(NULL);
	arrivals_end_all(test.arrivals);
	assert_int_equal(arrivals_waiting(test.arrivals), 0);
	counters_use(NULL);
	munmap(test.page, sizeof(*test.page));
	close(test.page_fd);
	if (test.fd >= 0)
		close(test.fd);
	loop_destroy(test.loop);
	free(test.arrivals);
	return 0;
}

static void turn_over(struct loop_timer *timer)
{
	loop_stop(timer->loop);
}

/* All that is ready, and timers that are due. */
static void run(void)
{
	struct loop_timer turn;

	loop_timer_init(&turn, test.loop, turn_over, NULL);
	for (int i = 0; i < 3; i++) {
		__real_loop_timer_set(&turn, 2);
		loop_run(test.loop);
	}
}

/* A connection; the client's end of it. */
static int add(void)
{
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	arrivals_add(test.arrivals, &pair[0], &test.from);
	assert_int_equal(pair[0], -1);
	return pair[1];
}

static void put(int fd, const char *octets, size_t size)
{
	assert_int_equal(send(fd, octets, size, MSG_NOSIGNAL), size);
}

static void assert_closed(int fd)
{
	char octet;
	ssize_t n = recv(fd, &octet, 1, MSG_DONTWAIT);

	assert_true(n == 0 || (n < 0 && errno == ECONNRESET));
	close(fd);
}

static void assert_open(int fd)
{
	char octet;

	assert_int_equal(recv(fd, &octet, 1, MSG_DONTWAIT), -1);
	assert_int_equal(errno, EAGAIN);
}

static void assert_counts(unsigned good, unsigned bad)
{
	assert_int_equal(test.page->slots[COUNTER_PROXY_HEADERS + RESULT_OK], good);
	assert_int_equal(test.page->slots[COUNTER_PROXY_HEADERS + RESULT_FAILED], bad);
}

static void assert_log(const char *words)
{
	if (!strstr(test.log, words))
		fail_msg("no \"%s\" in \"%s\"", words, test.log);
	assert_non_null(strstr(test.log, "198.51.100.9"));
	assert_ptr_equal(strchr(test.log, '\n'), strrchr(test.log, '\n'));
}

static void test_which_listeners(void **state)
{
	(void)state;
	assert_false(arrivals_proxied(&test.config, 0));
	assert_true(arrivals_proxied(&test.config, PLACE));
	assert_int_equal(arrivals_waiting(NULL), 0);
	arrivals_end_all(NULL);
}

/* One octet after the other; what is behind the header is the client's. */
static void test_a_client(void **state)
{
	char octets[40];
	int peer = add();

	(void)state;
	for (size_t i = 0; i + 1 < strlen(LINE); i++) {
		put(peer, LINE + i, 1);
		if (i % 9 == 0)
			run();
		assert_int_equal(test.arrived + test.ended, 0);
		assert_int_equal(arrivals_waiting(test.arrivals), 1);
	}
	put(peer, "\nUSER anna\r\n", 12);
	run();
	assert_int_equal(test.arrived, 1);
	assert_int_equal(test.ended, 1);
	assert_int_equal(test.ended_before, 0);
	assert_int_equal(arrivals_waiting(test.arrivals), 0);
	assert_int_equal(recv(test.fd, octets, sizeof(octets), MSG_DONTWAIT), 11);
	assert_memory_equal(octets, "USER anna\r\n", 11);
	assert_memory_equal(test.who.address, client, 16);
	assert_int_equal(test.who.port, 56324);
	assert_int_equal(test.who.proxied, PROXIED_CLIENT);
	assert_false(test.who.loopback);
	assert_int_equal(test.who.listener, PLACE);
	assert_int_equal(test.who.service, SERVICE_POP3);
	assert_int_equal(test.who.tls, TLS_NONE);
	assert_null(test.who.tls_version);
	assert_string_equal(test.log, "");
	assert_counts(1, 0);
	assert_open(peer);
	close(peer);
}

static void test_one_that_is_not_taken(void **state)
{
	int peer = add();

	(void)state;
	test.takes = false;
	put(peer, LINE, strlen(LINE));
	run();
	assert_int_equal(test.arrived, 1);
	assert_int_equal(test.ended, 1);
	assert_closed(peer);
}

/* Its own connection has its own address, and is no more of this machine than others. */
static void test_the_proxy_itself(void **state)
{
	int peer = add();

	(void)state;
	put(peer, "PROXY UNKNOWN\r\n", 15);
	run();
	assert_int_equal(test.arrived, 1);
	assert_memory_equal(test.who.address, proxy, 16);
	assert_int_equal(test.who.port, 4000);
	assert_int_equal(test.who.proxied, PROXIED_ITSELF);
	assert_false(test.who.loopback);
	assert_counts(1, 0);
	close(peer);
}

static void test_no_header(void **state)
{
	int peer = add();

	(void)state;
	put(peer, "USER anna\r\n", 11);
	run();
	assert_int_equal(test.arrived, 0);
	assert_int_equal(test.ended, 1);
	assert_int_equal(arrivals_waiting(test.arrivals), 0);
	assert_closed(peer);
	assert_log("what came first is no PROXY header");
	assert_counts(0, 1);
}

/* A look whether the port is open: no line, and no count. */
static void test_a_client_that_leaves(void **state)
{
	int peer = add();

	(void)state;
	put(peer, "PROXY", 5);
	run();
	assert_int_equal(test.ended, 0);
	shutdown(peer, SHUT_WR);
	run();
	assert_int_equal(test.arrived, 0);
	assert_int_equal(test.ended, 1);
	assert_closed(peer);
	assert_string_equal(test.log, "");
	assert_counts(0, 0);
}

static void test_a_stranger(void **state)
{
	int pair[2];

	(void)state;
	memcpy(test.from.address, stranger, 16);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	arrivals_add(test.arrivals, &pair[0], &test.from);
	assert_true(pair[0] >= 0); /* the caller closes it */
	assert_int_equal(arrivals_waiting(test.arrivals), 0);
	assert_int_equal(test.ended, 0);
	assert_non_null(strstr(test.log, "not from a network of proxy_from"));
	assert_non_null(strstr(test.log, "203.0.113.9"));
	assert_counts(0, 1);
	close(pair[0]);
	close(pair[1]);
}

/* The one that has waited longest gives way. */
static void test_too_many(void **state)
{
	int first = add(), second = add(), third;

	(void)state;
	assert_int_equal(arrivals_waiting(test.arrivals), MAX);
	assert_int_equal(test.ended, 0);
	third = add();
	assert_int_equal(arrivals_waiting(test.arrivals), MAX);
	assert_int_equal(test.ended, 1);
	assert_closed(first);
	assert_open(second);
	assert_open(third);
	assert_log("too many connections wait for a PROXY header");
	close(second);
	close(third);
}

static void test_time(void **state)
{
	int first = add(), second;

	(void)state;
	clock_ms += ARRIVALS_MS - 1;
	put(first, "PROXY", 5); /* a part of it gains no time */
	second = add();
	run();
	assert_int_equal(test.ended, 0);
	clock_ms++;
	run();
	assert_int_equal(test.ended, 1);
	assert_closed(first);
	assert_open(second);
	assert_log("no PROXY header in time");
	assert_counts(0, 1);
	put(second, LINE, strlen(LINE));
	run();
	assert_int_equal(test.arrived, 1);
	clock_ms += 2 * ARRIVALS_MS; /* one that arrived has no deadline any more */
	run();
	assert_int_equal(test.ended, 2);
	close(second);
}

/* Version 2, with what the proxy says of TLS; size: octets of the version's name. */
static void put_tls(int fd, const char *version)
{
	char text[100];
	size_t n = strlen(version);

	memcpy(text, "\r\n\r\n\0\r\nQUIT\n\x21\x11\0", 15);
	text[15] = (char)(12 + 11 + n);
	memcpy(text + 16, "\xc0\0\x02\x01\xc6\x33\x64\x01\xdc\x04\0\x6e", 12);
	memcpy(text + 28, "\x20\0", 2);
	text[30] = (char)(8 + n);
	memcpy(text + 31, "\x01\0\0\0\0\x21\0", 7);
	text[38] = (char)n;
	memcpy(text + 39, version, n);
	put(fd, text, 39 + n);
}

static void test_what_it_says_of_tls(void **state)
{
	static const struct {
		const char *version, *shown;
		enum tls_protocol protocol;
	} cases[] = {{"TLSv1.3", "TLSv1.3", TLS_1_3},
		     {"TLSv1.2", "TLSv1.2", TLS_1_2},
		     {"TLSv1.1", "TLSv1.1", TLS_OLDER},
		     {"TLSv1", "TLSv1", TLS_OLDER},
		     {"TLSv1.4", "yes", TLS_OLDER}};

	(void)state;
	for (size_t i = 0; i < 2 * sizeof(cases) / sizeof(*cases); i++) {
		bool trusted = i % 2;
		int peer = add();

		test.config.rules[PLACE].trust_tls = trusted;
		put_tls(peer, cases[i / 2].version);
		run();
		assert_int_equal(test.arrived, i + 1);
		assert_memory_equal(test.who.address, client, 16);
		assert_int_equal(test.who.tls, trusted ? cases[i / 2].protocol : TLS_NONE);
		if (trusted)
			assert_string_equal(test.who.tls_version, cases[i / 2].shown);
		else
			assert_null(test.who.tls_version);
		close(test.fd);
		test.fd = -1;
		close(peer);
	}
}

/* A front that ends: they are closed, and nobody is called. */
static void test_all_of_them_end(void **state)
{
	int first = add(), second = add();

	(void)state;
	arrivals_end_all(test.arrivals);
	assert_int_equal(arrivals_waiting(test.arrivals), 0);
	assert_int_equal(test.ended, 0);
	assert_closed(first);
	assert_closed(second);
	assert_string_equal(test.log, "");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_which_listeners),
		TEST(test_a_client),
		TEST(test_one_that_is_not_taken),
		TEST(test_the_proxy_itself),
		TEST(test_no_header),
		TEST(test_a_client_that_leaves),
		TEST(test_a_stranger),
		TEST(test_too_many),
		TEST(test_time),
		TEST(test_what_it_says_of_tls),
		TEST(test_all_of_them_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
