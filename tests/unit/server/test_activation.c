/* Sockets of a service manager: which are taken, and whose listener each is. */
#include "server/monitor/activation.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static struct activation_socket four(const char *address, uint16_t port)
{
	struct activation_socket ret = {.size = sizeof(struct sockaddr_in)};
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port)};

	inet_pton(AF_INET, address, &in.sin_addr);
	memcpy(&ret.address, &in, sizeof(in));
	return ret;
}

static struct activation_socket six(const char *address, uint16_t port, bool only)
{
	struct activation_socket ret = {.size = sizeof(struct sockaddr_in6), .only_six = only};
	struct sockaddr_in6 in = {.sin6_family = AF_INET6, .sin6_port = htons(port)};

	inet_pton(AF_INET6, address, &in.sin6_addr);
	memcpy(&ret.address, &in, sizeof(in));
	return ret;
}

static struct activation_socket at_path(const char *path)
{
	struct activation_socket ret = {.size = sizeof(struct sockaddr_un)};
	struct sockaddr_un un = {.sun_family = AF_UNIX};

	snprintf(un.sun_path, sizeof(un.sun_path), "%s", path);
	memcpy(&ret.address, &un, sizeof(un));
	return ret;
}

static struct config_listener at(const char *address, uint16_t port, bool only_six)
{
	struct config_listener ret = {.port = port, .only_six = only_six};

	snprintf(ret.address, sizeof(ret.address), "%s", address);
	return ret;
}

static bool fits(struct activation_socket socket, struct config_listener listener)
{
	return activation_is_of(&socket, &listener);
}

static void test_addresses(void **state)
{
	(void)state;
	assert_true(fits(four("127.0.0.1", 110), at("127.0.0.1", 110, false)));
	assert_false(fits(four("127.0.0.1", 110), at("127.0.0.1", 995, false)));
	assert_false(fits(four("127.0.0.1", 110), at("127.0.0.2", 110, false)));
	assert_false(fits(four("0.0.0.0", 110), at("127.0.0.1", 110, false)));
	assert_true(fits(four("0.0.0.0", 110), at("*", 110, false)));
	assert_true(fits(six("::1", 110, true), at("::1", 110, true)));
	assert_true(fits(six("::1", 110, false), at("::1", 110, true)));
	assert_false(fits(six("::1", 110, true), at("::2", 110, true)));
	assert_false(fits(four("127.0.0.1", 110), at("no.such.name.invalid", 110, false)));
}

/* "::" for both families is another socket than "::" for one. */
static void test_families_of_a_wildcard(void **state)
{
	(void)state;
	assert_true(fits(six("::", 110, false), at("::", 110, false)));
	assert_true(fits(six("::", 110, true), at("::", 110, true)));
	assert_false(fits(six("::", 110, true), at("::", 110, false)));
	assert_false(fits(six("::", 110, false), at("::", 110, true)));
}

static void test_paths(void **state)
{
	(void)state;
	assert_true(fits(at_path("/run/valija/lmtp"), at("/run/valija/lmtp", 0, false)));
	assert_false(fits(at_path("/run/valija/lmtp"), at("/run/valija/lmt", 0, false)));
	assert_false(fits(at_path("/run/valija/lmt"), at("/run/valija/lmtp", 0, false)));
	assert_false(fits(four("127.0.0.1", 110), at("/run/valija/lmtp", 0, false)));
	assert_false(fits(at_path("127.0.0.1"), at("127.0.0.1", 110, false)));
	assert_false(fits(at_path(""), at("", 0, false)));
}

static void announce(const char *pid, const char *count, const char *names)
{
	setenv("LISTEN_PID", pid, 1);
	setenv("LISTEN_FDS", count, 1);
	setenv("LISTEN_FDNAMES", names, 1);
}

/* In a process of its own, since the descriptors begin at 3. */
static void take(const char *pid, const char *count, const char *names, unsigned wanted,
		 const char *name)
{
	struct activation_socket sockets[ACTIVATION_MAX];
	struct sockaddr_in any = {.sin_family = AF_INET};
	char own[16];
	unsigned got;
	int fd;

	closefrom(3);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	if (fd != 3 || bind(fd, (struct sockaddr *)&any, sizeof(any)) < 0 || listen(fd, 1) < 0 ||
	    socket(AF_INET, SOCK_DGRAM, 0) != 4 || open("/dev/null", O_RDONLY) != 5)
		_exit(10);
	snprintf(own, sizeof(own), "%d", (int)getpid());
	announce(pid ? pid : own, count, names);
	got = activation_take(sockets);
	if (got != wanted)
		_exit(11);
	if (got && (sockets[0].fd != 3 || strcmp(sockets[0].name, name) != 0 ||
		    fcntl(3, F_GETFD) != FD_CLOEXEC || !(fcntl(3, F_GETFL) & O_NONBLOCK)))
		_exit(12);
	/* what cannot be served is closed */
	_exit(got && strcmp(count, "3") == 0 && (fcntl(4, F_GETFD) >= 0 || fcntl(5, F_GETFD) >= 0)
		      ? 13
		      : 0);
}

static void takes(const char *pid, const char *count, const char *names, unsigned wanted,
		  const char *name)
{
	int status = -1, child = fork();

	if (child == 0)
		take(pid, count, names, wanted, name);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

static void test_what_is_taken(void **state)
{
	(void)state;
	takes(NULL, "3", "mail:udp:file", 1, "mail");
	takes(NULL, "1", "", 1, "");
	takes(NULL, "1", "a b\n", 1, "a?b?");
	takes(NULL, "3", "mail", 1, "mail");
	takes("1", "3", "mail", 0, "");
	takes("", "3", "mail", 0, "");
	takes(NULL, "", "mail", 0, "");
	takes(NULL, "-1", "mail", 0, "");
	takes(NULL, "3x", "mail", 0, "");
	takes(NULL, "99999999999999999999", "mail", 1, "mail"); /* those that there are */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_families_of_a_wildcard),
		cmocka_unit_test(test_paths),
		cmocka_unit_test(test_what_is_taken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
