/* Listeners across an upgrade: the next program has the same sockets, opens none anew but one that
 * died, and closes what the old one would have closed. All ports are free ones of this machine. */
#include "server/monitor/listeners.h"

#include "handover_test.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

static struct {
	char folder[64], path[100];
	struct listeners *listeners;
	struct config config;
	struct err err;
	unsigned opened, front;
} test;

static int begin(void **state)
{
	(void)state;
	memset(&test, 0, sizeof(test));
	strcpy(test.folder, "/tmp/valija-listeners-XXXXXX");
	assert_non_null(mkdtemp(test.folder));
	snprintf(test.path, sizeof(test.path), "%s/lmtp", test.folder);
	test.listeners = listeners_create();
	return test.listeners ? 0 : -1;
}

static int end(void **state)
{
	(void)state;
	listeners_destroy(test.listeners);
	(void)unlink(test.path);
	return rmdir(test.folder);
}

static void add(enum config_service service, const char *address)
{
	struct config_listener *one = &test.config.listeners[test.config.listener_count++];

	one->service = service;
	one->line = test.config.listener_count;
	snprintf(one->address, sizeof(one->address), "%s", address);
}

static void open_all(unsigned fronts)
{
	if (listeners_open(test.listeners, &test.config, fronts, &test.err) < 0)
		fail_msg("%s", test.err.text);
}

static int fd_of(unsigned i, unsigned front)
{
	return listeners_fd(test.listeners, &test.config.listeners[i], front);
}

static uint16_t port_of(int fd)
{
	struct sockaddr_in address;
	socklen_t size = sizeof(address);

	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
	return ntohs(address.sin_port);
}

static void opened(void *context, const struct config_listener *listener_of, unsigned front)
{
	assert_ptr_equal(context, &test);
	assert_int_equal(listener_of->service, SERVICE_POP3);
	test.opened++;
	test.front = front;
}

/* The state as the next program reads it, up to where the listeners are. */
static int handed_on(struct handover *h, struct handover_reader *ret)
{
	struct handover_monitor monitor = a_monitor();
	int fd;

	handover_begin(h);
	handover_put(h, HANDOVER_MONITOR, &monitor, none);
	listeners_hand_on(test.listeners, h);
	handover_put(h, HANDOVER_PAGE, &page, none);
	put_generation(h, 3, false);
	for (size_t i = 0; i < h->fd_count; i++) /* as they are across an exec */
		assert_int_equal(fcntl(h->fds[i], F_SETFD, 0), 0);
	fd = sealed(h);
	if (handover_open(fd, ret, &test.err) < 0)
		fail_msg("%s", test.err.text);
	assert_non_null(handover_next(ret, NULL));
	return fd;
}

/* The next program has the same sockets, of the same listeners, and closes what the old one would
 * have closed. */
static void test_an_upgrade_takes_all_of_them(void **state)
{
	struct listeners *next = listeners_create();
	struct handover_reader reader;
	int fds[2], lmtp, state_fd;
	struct handover h;
	char before[400], after[400];
	uint16_t port;

	(void)state;
	add(SERVICE_POP3, "127.0.0.1");
	add(SERVICE_LMTP, test.path);
	add(SERVICE_POP3S, "127.0.0.1");
	open_all(2);
	fds[0] = fd_of(0, 0);
	fds[1] = fd_of(0, 1);
	lmtp = fd_of(1, 0);
	port = port_of(fds[0]);
	listeners_describe(test.listeners, before, sizeof(before));

	state_fd = handed_on(&h, &reader);
	listeners_adopt(next, &reader);
	assert_int_equal(handover_kind(&reader), HANDOVER_PAGE);
	handover_close(&reader);
	handover_finish(&h);
	close(state_fd);
	listeners_forget(test.listeners); /* the old program is no more */
	test.listeners = next;

	assert_int_equal(fd_of(0, 0), fds[0]);
	assert_int_equal(fd_of(0, 1), fds[1]);
	assert_int_equal(fd_of(1, 0), lmtp);
	assert_true(fcntl(fds[0], F_GETFD) & FD_CLOEXEC);
	assert_int_equal(listeners_count(next, &test.config.listeners[0], &port), 2);
	assert_int_equal(port, port_of(fds[0]));
	listeners_describe(next, after, sizeof(after));
	for (const char *one = before; *one;
	     one += strcspn(one, ",") + (strchr(one, ',') ? 2 : 0)) {
		char name[200];

		snprintf(name, sizeof(name), "%.*s", (int)strcspn(one, ","), one);
		assert_non_null(strstr(after, name));
	}
	assert_int_equal(strlen(after), strlen(before));
	/* they are those of the configuration: none is opened anew */
	open_all(2);
	assert_int_equal(fd_of(0, 0), fds[0]);
	assert_false(listeners_mend(next, opened, &test));
	assert_int_equal(test.opened, 0);
	/* the path is known as its own, and goes with the listener */
	assert_int_equal(access(test.path, F_OK), 0);
	test.config.listener_count = 1;
	listeners_retain(next, &test.config, 2);
	assert_int_equal(access(test.path, F_OK), -1);
	assert_int_equal(fd_of(0, 1), fds[1]);
}

/* One that died is opened anew by the next program. */
static void test_a_socket_that_cannot_be_taken(void **state)
{
	struct listeners *next = listeners_create();
	struct handover_reader reader;
	struct handover h;
	uint16_t port;
	int state_fd, fd;

	(void)state;
	add(SERVICE_POP3, "127.0.0.1");
	open_all(2);
	state_fd = handed_on(&h, &reader);
	fd = fd_of(0, 1);
	close(fd);
	listeners_adopt(next, &reader);
	handover_close(&reader);
	handover_finish(&h);
	close(state_fd);
	listeners_forget(test.listeners);
	test.listeners = next;
	assert_int_equal(listeners_count(next, &test.config.listeners[0], &port), 1);
	listeners_mend(next, opened, &test);
	assert_int_equal(test.opened, 1);
	assert_int_equal(test.front, 1);
	assert_int_equal(listeners_count(next, &test.config.listeners[0], &port), 2);
	assert_int_equal(port_of(fd_of(0, 1)), port);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_an_upgrade_takes_all_of_them),
		TEST(test_a_socket_that_cannot_be_taken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
