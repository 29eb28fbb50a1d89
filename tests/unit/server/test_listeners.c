/* Listening sockets: which there are, what they inherit, when they are opened anew and closed, and
 * the words when that cannot be done. All ports are free ones of this machine. */
#include "server/monitor/listeners.h"

#include "base/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

static struct {
	char folder[64], path[100];
	struct listeners *listeners;
	struct config config;
	struct err err;
	char log[4000];
	unsigned opened, front;
} test;

static void keep(enum log_level level, const char *text, size_t size)
{
	size_t used = strlen(test.log);

	(void)level;
	snprintf(test.log + used, sizeof(test.log) - used, "%.*s\n", (int)size, text);
}

static int begin(void **state)
{
	(void)state;
	memset(&test, 0, sizeof(test));
	strcpy(test.folder, "/tmp/valija-listeners-XXXXXX");
	assert_non_null(mkdtemp(test.folder));
	snprintf(test.path, sizeof(test.path), "%s/lmtp", test.folder);
	strcpy(test.config.file, "valija.conf");
	test.listeners = listeners_create();
	log_set_level(LOG_LEVEL_INFO);
	log_set_output(keep);
	return test.listeners ? 0 : -1;
}

static int end(void **state)
{
	char command[100];

	(void)state;
	log_set_output(NULL);
	listeners_destroy(test.listeners);
	snprintf(command, sizeof(command), "rm -rf '%s'", test.folder);
	return system(command);
}

static struct config_listener *add(enum config_service service, const char *address, uint16_t port)
{
	struct config_listener *one = &test.config.listeners[test.config.listener_count++];

	one->service = service;
	one->port = port;
	one->line = test.config.listener_count;
	snprintf(one->address, sizeof(one->address), "%s", address);
	return one;
}

static void open_all(unsigned fronts)
{
	if (listeners_open(test.listeners, &test.config, fronts, &test.err) < 0)
		fail_msg("%s", test.err.text);
}

static void expect_not_opened(int code, const char *text)
{
	test.err = (struct err){.text = ""};
	assert_int_equal(listeners_open(test.listeners, &test.config, 1, &test.err), -1);
	assert_string_equal(test.err.text, text);
	assert_int_equal(test.err.code, code);
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

static int option(int fd, int level, int name)
{
	int value = -1;
	socklen_t size = sizeof(value);

	assert_int_equal(getsockopt(fd, level, name, &value, &size), 0);
	return value;
}

static int dial(uint16_t port)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_port = htons(port),
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int rc = connect(fd, (struct sockaddr *)&address, sizeof(address));

	close(fd);
	return rc;
}

static void opened(void *context, const struct config_listener *wanted, unsigned front)
{
	assert_ptr_equal(context, &test);
	assert_true(wanted->service < SERVICE_COUNT);
	test.opened++;
	test.front = front;
}

static unsigned mend(void)
{
	return listeners_mend(test.listeners, opened, &test);
}

static void test_one_socket_a_front(void **state)
{
	(void)state;
	add(SERVICE_POP3, "127.0.0.1", 0);
	add(SERVICE_POP3S, "127.0.0.1", 0);
	add(SERVICE_LMTP, "127.0.0.1", 0);
	add(SERVICE_LMTP, test.path, 0);
	add(SERVICE_SASL, "127.0.0.1", 0);
	open_all(3);
	assert_true(fd_of(0, 0) >= 0);
	assert_int_not_equal(fd_of(0, 0), fd_of(0, 1));
	assert_int_not_equal(fd_of(0, 1), fd_of(0, 2));
	assert_int_equal(fd_of(0, 3), -1);
	assert_int_equal(port_of(fd_of(0, 0)), port_of(fd_of(0, 2)));
	assert_int_equal(fd_of(1, 0), fd_of(1, 2)); /* shared */
	assert_int_equal(fd_of(3, 0), fd_of(3, 2));
	assert_true(fd_of(2, 0) >= 0 && fd_of(4, 0) >= 0);
	assert_int_equal(fd_of(2, 1), -1); /* one process has it */
	test.config.listeners[0].service = SERVICE_SOCKETMAP;
	assert_int_equal(fd_of(0, 0), -1); /* there is none */
}

/* What accepted connections have, since fronts may set nothing. */
static void test_what_sockets_hand_on(void **state)
{
	static const struct {
		int level, name, value;
	} options[] = {
		{IPPROTO_TCP, TCP_NODELAY, 1},    {SOL_SOCKET, SO_KEEPALIVE, 1},
		{IPPROTO_TCP, TCP_KEEPIDLE, 120}, {IPPROTO_TCP, TCP_KEEPINTVL, 30},
		{IPPROTO_TCP, TCP_KEEPCNT, 4},    {IPPROTO_TCP, TCP_USER_TIMEOUT, 240000},
		{SOL_SOCKET, SO_REUSEADDR, 1},    {SOL_SOCKET, SO_REUSEPORT, 1},
		{SOL_SOCKET, SO_LOCK_FILTER, 1},  {SOL_SOCKET, SO_ACCEPTCONN, 1},
	};

	(void)state;
	add(SERVICE_POP3, "127.0.0.1", 0);
	add(SERVICE_LMTP, test.path, 0);
	open_all(1);
	for (size_t i = 0; i < sizeof(options) / sizeof(*options); i++)
		assert_int_equal(option(fd_of(0, 0), options[i].level, options[i].name),
				 options[i].value);
	assert_int_equal(option(fd_of(1, 0), SOL_SOCKET, SO_LOCK_FILTER), 1);
	assert_int_equal(option(fd_of(1, 0), SOL_SOCKET, SO_ACCEPTCONN), 1);
	for (unsigned i = 0; i < 2; i++) {
		assert_true(fcntl(fd_of(i, 0), F_GETFD) & FD_CLOEXEC);
		assert_true(fcntl(fd_of(i, 0), F_GETFL) & O_NONBLOCK);
	}
}

static void test_more_and_fewer_fronts(void **state)
{
	int first, second;
	uint16_t port;

	(void)state;
	add(SERVICE_LMTP, test.path, 0);
	add(SERVICE_POP3, "127.0.0.1", 0);
	open_all(1);
	first = fd_of(1, 0);
	port = port_of(first);
	open_all(1); /* as it is */
	assert_int_equal(fd_of(1, 0), first);
	open_all(3);
	assert_int_equal(fd_of(1, 0), first);
	second = fd_of(1, 1);
	assert_int_equal(port_of(fd_of(1, 2)), port);
	listeners_retain(test.listeners, &test.config, 2);
	assert_int_equal(fd_of(1, 0), first);
	assert_int_equal(fd_of(1, 1), second);
	assert_int_equal(fd_of(1, 2), -1);
	assert_true(fd_of(0, 0) >= 0);
	test.config.listener_count = 1; /* POP3 is served no more */
	listeners_retain(test.listeners, &test.config, 2);
	assert_int_equal(fd_of(1, 0), -1);
	assert_int_equal(dial(port), -1);
	test.config.listener_count = 0;
	listeners_retain(test.listeners, &test.config, 2);
	assert_int_equal(access(test.path, F_OK), -1);
}

static void test_a_port_that_is_taken(void **state)
{
	struct listeners *other = listeners_create();
	char text[200];
	uint16_t port;

	(void)state;
	add(SERVICE_POP3, "127.0.0.1", 0);
	open_all(1);
	port = port_of(fd_of(0, 0));
	test.config.listeners[0].port = port;
	/* another server, also one that would share the port */
	assert_int_equal(listeners_open(other, &test.config, 1, &test.err), -1);
	snprintf(text, sizeof(text),
		 "valija.conf:1: cannot listen on 127.0.0.1 port %u: Address already in use", port);
	assert_string_equal(test.err.text, text);
	assert_int_equal(test.err.code, EX_UNAVAILABLE);
	assert_int_equal(test.err.errnum, EADDRINUSE);
	assert_int_equal(listeners_try(&test.config, NULL, &test.err), -1);
	assert_string_equal(test.err.text, text);
	listeners_destroy(other);
}

static void test_names_that_are_none(void **state)
{
	(void)state;
	add(SERVICE_POP3, "host.invalid", 110);
	test.err = (struct err){.text = ""};
	assert_int_equal(listeners_open(test.listeners, &test.config, 1, &test.err), -1);
	assert_int_equal(
		strncmp(test.err.text, "valija.conf:1: cannot listen on host.invalid: ", 46), 0);
	assert_int_equal(test.err.code, EX_CONFIG);
}

/* ---- paths ---- */

static int serve(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(fd, 1), 0);
	return fd;
}

static void test_a_socket_of_a_path(void **state)
{
	struct stat status;
	mode_t before = umask(0077);

	(void)state;
	add(SERVICE_LMTP, test.path, 0);
	close(serve(test.path)); /* a dead process left it */
	open_all(1);
	assert_int_equal(umask(before), 0077);
	assert_int_equal(stat(test.path, &status), 0);
	assert_true(S_ISSOCK(status.st_mode));
	assert_int_equal(status.st_mode & 0777, 0666);
	listeners_destroy(test.listeners);
	assert_int_equal(access(test.path, F_OK), -1);
	test.listeners = listeners_create();
}

/* A file that took its name meanwhile is not removed. */
static void test_a_name_that_leads_elsewhere(void **state)
{
	int other;

	(void)state;
	add(SERVICE_LMTP, test.path, 0);
	open_all(1);
	assert_int_equal(unlink(test.path), 0);
	other = serve(test.path);
	listeners_destroy(test.listeners);
	assert_int_equal(access(test.path, F_OK), 0);
	close(other);
	test.listeners = listeners_create();
}

static void expect_refused(int code, const char *text)
{
	char whole[400];

	snprintf(whole, sizeof(whole), "valija.conf:1: %s", text);
	expect_not_opened(code, whole);
	test.err = (struct err){.text = ""};
	assert_int_equal(listeners_try(&test.config, NULL, &test.err), -1);
	assert_string_equal(test.err.text, whole);
	assert_int_equal(test.err.code, code);
}

static void test_what_stands_in_the_way(void **state)
{
	char text[300];
	int other;

	(void)state;
	add(SERVICE_LMTP, test.path, 0);
	other = open(test.path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	close(other);
	snprintf(text, sizeof(text), "%s exists and is not a socket", test.path);
	expect_refused(EX_CONFIG, text);
	assert_int_equal(unlink(test.path), 0);
	other = serve(test.path);
	snprintf(text, sizeof(text), "%s: another program is serving it", test.path);
	expect_refused(EX_UNAVAILABLE, text);
	assert_int_equal(test.err.errnum, EADDRINUSE); /* of the trial */
	assert_int_equal(access(test.path, F_OK), 0);
	close(other);
	assert_int_equal(listeners_try(&test.config, NULL, &test.err), 0); /* it would be removed */
	assert_int_equal(access(test.path, F_OK), 0);                      /* but not yet */
	assert_int_equal(unlink(test.path), 0);
	assert_int_equal(listeners_try(&test.config, NULL, &test.err), 0);
	assert_int_equal(access(test.path, F_OK), -1);
	snprintf(test.config.listeners[0].address, 200, "%s/no/lmtp", test.folder);
	snprintf(text, sizeof(text),
		 "cannot listen on %s/no/lmtp: its folder: No such file or directory", test.folder);
	expect_refused(EX_OSERR, text);
}

static void test_how_long_a_path_may_be(void **state)
{
	struct config_listener *one = add(SERVICE_LMTP, "", 0);
	char text[400];

	(void)state;
	memset(one->address, 'x', 150);
	memcpy(one->address, test.folder, strlen(test.folder));
	one->address[strlen(test.folder)] = '/';
	one->address[108] = '\0';
	snprintf(text, sizeof(text), "%s: longer than a socket's path may be (107 octets)",
		 one->address);
	expect_refused(EX_CONFIG, text);
	one->address[107] = '\0';
	assert_int_equal(listeners_try(&test.config, NULL, &test.err), 0);
	open_all(1);
}

static void test_a_trial_leaves_nothing(void **state)
{
	(void)state;
	add(SERVICE_POP3, "127.0.0.1", 0);
	add(SERVICE_LMTP, test.path, 0);
	assert_int_equal(listeners_try(&test.config, NULL, &test.err), 0);
	assert_int_equal(access(test.path, F_OK), -1);
	assert_int_equal(fd_of(0, 0), -1);
}

/* ---- sockets that died ---- */

static void test_a_socket_that_was_shut(void **state)
{
	char wanted[300];
	uint16_t port;
	int path_fd;

	(void)state;
	add(SERVICE_POP3, "127.0.0.1", 0);
	add(SERVICE_LMTP, test.path, 0);
	open_all(2);
	assert_int_equal(mend(), 0);
	assert_int_equal(test.opened, 0);
	assert_string_equal(test.log, "");
	port = port_of(fd_of(0, 1));
	shutdown(fd_of(0, 1), SHUT_RDWR);
	assert_int_equal(mend(), 0);
	assert_int_equal(test.opened, 1);
	assert_int_equal(test.front, 1);
	assert_int_equal(port_of(fd_of(0, 1)), port);
	assert_string_equal(test.log,
			    "the listening socket of 127.0.0.1 was shut by another process: "
			    "opening a new one\n127.0.0.1: a new socket listens\n");
	test.log[0] = '\0';
	path_fd = fd_of(1, 0);
	shutdown(path_fd, SHUT_RDWR);
	assert_int_equal(mend(), 0);
	assert_int_equal(test.opened, 2);
	assert_int_equal(access(test.path, F_OK), 0);
	snprintf(wanted, sizeof(wanted),
		 "the listening socket of %s was shut by another process: opening a new one\n%s: a "
		 "new socket listens\n",
		 test.path, test.path);
	assert_string_equal(test.log, wanted);
	assert_int_equal(mend(), 0);
	assert_int_equal(test.opened, 2);
}

/* Said once; tried until it succeeds. */
static void ignore(int number)
{
	(void)number;
}

/* Children of the monitor end while it looks. */
static void test_signals_shut_nothing(void **state)
{
	struct sigaction action = {.sa_handler = ignore};
	pid_t parent = getpid(), hail;

	(void)state;
	add(SERVICE_POP3, "127.0.0.1", 0);
	add(SERVICE_LMTP, test.path, 0);
	open_all(2);
	sigaction(SIGUSR1, &action, NULL);
	hail = fork();
	while (hail == 0)
		if (kill(parent, SIGUSR1) < 0 || getppid() != parent)
			_exit(0);
	for (int i = 0; i < 5000; i++)
		assert_int_equal(mend(), 0);
	kill(hail, SIGKILL);
	waitpid(hail, NULL, 0);
	signal(SIGUSR1, SIG_DFL);
	assert_int_equal(test.opened, 0);
	assert_string_equal(test.log, "");
}

static void test_one_that_cannot_be_opened_again(void **state)
{
	char wanted[700];

	(void)state;
	add(SERVICE_LMTP, test.path, 0);
	open_all(1);
	shutdown(fd_of(0, 0), SHUT_RDWR);
	assert_int_equal(unlink(test.path), 0);
	assert_int_equal(mkdir(test.path, 0700), 0);
	assert_int_equal(mend(), 1);
	assert_int_equal(mend(), 1);
	assert_int_equal(fd_of(0, 0), -1);
	snprintf(wanted, sizeof(wanted),
		 "the listening socket of %s was shut by another process: opening a new one\nno "
		 "connections on %s, trying again each second: %s exists and is not a socket\n",
		 test.path, test.path, test.path);
	assert_string_equal(test.log, wanted);
	assert_int_equal(rmdir(test.path), 0);
	test.log[0] = '\0';
	assert_int_equal(mend(), 0);
	assert_int_equal(test.opened, 1);
	snprintf(wanted, sizeof(wanted), "%s: a new socket listens\n", test.path);
	assert_string_equal(test.log, wanted);
	assert_true(fd_of(0, 0) >= 0);
}

static void test_lingering_is_off(void **state)
{
	struct linger on = {.l_onoff = 1, .l_linger = 5};
	socklen_t size = sizeof(on);

	(void)state;
	add(SERVICE_POP3, "127.0.0.1", 0);
	open_all(1);
	assert_int_equal(setsockopt(fd_of(0, 0), SOL_SOCKET, SO_LINGER, &on, sizeof(on)), 0);
	assert_int_equal(mend(), 0);
	assert_int_equal(getsockopt(fd_of(0, 0), SOL_SOCKET, SO_LINGER, &on, &size), 0);
	assert_int_equal(on.l_onoff, 0);
}

/* A process that hangs may still hold them when valijad ends. */
static void test_the_end_shuts_them(void **state)
{
	uint16_t port;
	int copy;

	(void)state;
	add(SERVICE_POP3, "127.0.0.1", 0);
	open_all(1);
	port = port_of(fd_of(0, 0));
	copy = fcntl(fd_of(0, 0), F_DUPFD_CLOEXEC, 3);
	assert_int_equal(dial(port), 0);
	listeners_destroy(test.listeners);
	assert_int_equal(dial(port), -1);
	close(copy);
	test.listeners = listeners_create();
}

static void test_in_words(void **state)
{
	char text[400], wanted[400], little[20];

	(void)state;
	listeners_describe(test.listeners, text, sizeof(text));
	assert_string_equal(text, "");
	add(SERVICE_LMTP, test.path, 0);
	add(SERVICE_SASL, "127.0.0.1", 0);
	add(SERVICE_POP3S, "localhost", 0);
	add(SERVICE_POP3, "127.0.0.1", 0);
	add(SERVICE_SOCKETMAP, "127.0.0.1", 0);
	open_all(2);
	listeners_describe(test.listeners, text, sizeof(text));
	snprintf(wanted, sizeof(wanted),
		 "pop3 127.0.0.1:%u, pop3s localhost:%u, lmtp %s, sasl 127.0.0.1:%u, socketmap "
		 "127.0.0.1:%u",
		 port_of(fd_of(3, 0)), port_of(fd_of(2, 0)), test.path, port_of(fd_of(1, 0)),
		 port_of(fd_of(4, 0)));
	assert_string_equal(text, wanted);
	memset(little, 'x', sizeof(little));
	listeners_describe(test.listeners, little, 15);
	assert_memory_equal(little, wanted, 14);
	assert_int_equal(little[14], '\0');
	assert_int_equal(little[15], 'x');
}

/* Of a drained server that is upgraded: what brings mail or takes it away stays closed. */
static void test_without_the_services_of_mail(void **state)
{
	(void)state;
	add(SERVICE_POP3, "127.0.0.1", 0);
	add(SERVICE_POP3S, "127.0.0.1", 0);
	add(SERVICE_LMTP, test.path, 0);
	add(SERVICE_STATUS, "127.0.0.1", 0);
	listeners_leave_mail(test.listeners, true);
	open_all(1);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(fd_of(i, 0), -1);
	assert_int_equal(access(test.path, F_OK), -1);
	assert_true(fd_of(3, 0) >= 0);
	listeners_leave_mail(test.listeners, false);
	open_all(1);
	for (unsigned i = 0; i < 4; i++)
		assert_true(fd_of(i, 0) >= 0);
	assert_int_equal(access(test.path, F_OK), 0);
}

static struct activation_socket given_socket(const char *name)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct activation_socket given = {.size = sizeof(given.address)};

	snprintf(given.name, sizeof(given.name), "%s", name);
	given.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(given.fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(given.fd, 5), 0);
	assert_int_equal(getsockname(given.fd, (struct sockaddr *)&given.address, &given.size), 0);
	return given;
}

/* One for all fronts, and not to be closed by us; others are of no use. */
static void test_sockets_of_a_service_manager(void **state)
{
	struct activation_socket given[] = {given_socket("pop3"), given_socket("other")};
	uint16_t ports[] = {port_of(given[0].fd), port_of(given[1].fd)}, port;
	int other = given[1].fd;

	(void)state;
	add(SERVICE_LMTP, test.path, 0);
	add(SERVICE_POP3, "127.0.0.1", ports[0]);
	listeners_give(test.listeners, &test.config, given, 2);
	assert_int_equal(fd_of(1, 0), given[0].fd);
	assert_int_equal(fcntl(other, F_GETFD), -1);
	assert_int_not_equal(dial(ports[1]), 0);
	assert_non_null(strstr(test.log, "socket 2 (other) of the service manager is none of the "
					 "listeners of valija.conf: nobody serves it"));
	assert_null(strstr(test.log, "socket 1"));
	open_all(2);
	assert_true(fd_of(0, 0) >= 0);
	assert_int_equal(fd_of(1, 0), given[0].fd);
	assert_int_equal(fd_of(1, 1), given[0].fd);
	assert_int_equal(listeners_count(test.listeners, &test.config.listeners[1], &port), 1);
	assert_int_equal(port, ports[0]);
	/* a configuration without it: the manager has it for the next one */
	test.config.listener_count = 1;
	listeners_retain(test.listeners, &test.config, 2);
	assert_int_equal(dial(ports[0]), 0);
	test.config.listener_count = 2;
	open_all(2);
	assert_int_equal(fd_of(1, 0), given[0].fd);
}

static void test_both_families(void **state)
{
	int off = 0, fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	bool none = fd < 0 || bind(fd, (struct sockaddr *)&any, sizeof(any)) < 0;

	(void)state, (void)off;
	close(fd);
	if (none)
		skip(); /* this machine has no IPv6 */
	add(SERVICE_POP3, "::1", 0)->only_six = 1;
	add(SERVICE_LMTP, "::", 0);
	add(SERVICE_SASL, "*", 0);
	open_all(1);
	assert_int_equal(option(fd_of(0, 0), IPPROTO_IPV6, IPV6_V6ONLY), 1);
	assert_int_equal(option(fd_of(1, 0), IPPROTO_IPV6, IPV6_V6ONLY), 0);
	assert_true(fd_of(2, 0) >= 0);
	open_all(2);
	assert_int_equal(port_of(fd_of(0, 0)), port_of(fd_of(0, 1)));
	{
		char text[300];

		listeners_describe(test.listeners, text, sizeof(text));
		assert_int_equal(strncmp(text, "pop3 [::1]:", 11), 0);
	}
}

#define IN_PLACE(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_PLACE(test_one_socket_a_front),
		IN_PLACE(test_what_sockets_hand_on),
		IN_PLACE(test_more_and_fewer_fronts),
		IN_PLACE(test_a_port_that_is_taken),
		IN_PLACE(test_names_that_are_none),
		IN_PLACE(test_a_socket_of_a_path),
		IN_PLACE(test_a_name_that_leads_elsewhere),
		IN_PLACE(test_what_stands_in_the_way),
		IN_PLACE(test_how_long_a_path_may_be),
		IN_PLACE(test_a_trial_leaves_nothing),
		IN_PLACE(test_a_socket_that_was_shut),
		IN_PLACE(test_signals_shut_nothing),
		IN_PLACE(test_one_that_cannot_be_opened_again),
		IN_PLACE(test_lingering_is_off),
		IN_PLACE(test_the_end_shuts_them),
		IN_PLACE(test_in_words),
		IN_PLACE(test_without_the_services_of_mail),
		IN_PLACE(test_sockets_of_a_service_manager),
		IN_PLACE(test_both_families),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
