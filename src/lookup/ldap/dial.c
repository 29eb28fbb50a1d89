/* See dial.h. */
#include "lookup/ldap/dial.h"

#include <errno.h>
#include <limits.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include <fcntl.h>

enum {
	ADDRESSES_MAX = 4, /* of one host */
	KEEPALIVE = 60,    /* seconds: connections that a firewall forgot are found before use */
};

uint64_t dial_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* Waits until a connection is made. Returns 0, or -1 with errno. */
static int wait_connected(int fd, uint64_t deadline)
{
	struct pollfd poll_fd = {.fd = fd, .events = POLLOUT};
	int error = 0, n;
	socklen_t size = sizeof(error);

	do {
		uint64_t now = dial_now();
		uint64_t left = deadline > now ? deadline - now : 0;

		n = poll(&poll_fd, 1, left > INT_MAX ? INT_MAX : (int)left);
	} while (n < 0 && errno == EINTR);
	if (n == 0) {
		errno = ETIMEDOUT;
		return -1;
	}
	if (n < 0 || getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
		return -1;
	errno = error;
	return error ? -1 : 0;
}

/* Returns a descriptor that blocks, or -1 with errno. */
static int dial(const struct sockaddr *address, socklen_t size, uint64_t deadline)
{
	int fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), saved;

	if (fd < 0)
		return -1;
	if ((connect(fd, address, size) == 0 ||
	     (errno == EINPROGRESS && wait_connected(fd, deadline) == 0)) &&
	    fcntl(fd, F_SETFL, 0) == 0)
		return fd;
	saved = errno;
	close(fd);
	errno = saved;
	return -1;
}

static void set_option(int fd, int level, int name, int value)
{
	(void)setsockopt(fd, level, name, &value, sizeof(value));
}

static int find(const char *host, unsigned port, struct addrinfo **ret, struct err *err)
{
	const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
	char service[12];
	int code;

	snprintf(service, sizeof(service), "%u", port);
	code = getaddrinfo(host, service, &hints, ret);
	if (code == 0)
		return 0;
	return err_set(err, EX_NOHOST, "no address of %s: %s", host, gai_strerror(code));
}

int dial_tcp(const char *host, unsigned port, uint64_t deadline, struct err *err)
{
	struct addrinfo *all, *at;
	unsigned count = 0;
	int fd = -1;

	if (find(host, port, &all, err) < 0)
		return -1;
	for (at = all; at && count < ADDRESSES_MAX; at = at->ai_next)
		count++;
	for (at = all; count > 0 && fd < 0; at = at->ai_next, count--) {
		uint64_t now = dial_now(), left = deadline > now ? deadline - now : 0;

		fd = dial(at->ai_addr, at->ai_addrlen, now + left / count);
	}
	if (fd < 0)
		err_sys(err, EX_UNAVAILABLE, errno, "cannot connect");
	freeaddrinfo(all);
	if (fd < 0)
		return -1;
	set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
	set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE);
	set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE / 4);
	set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, 3);
	return fd;
}

int dial_unix(const char *path, uint64_t deadline, struct err *err)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd;

	if (snprintf(address.sun_path, sizeof(address.sun_path), "%s", path) >=
	    (int)sizeof(address.sun_path))
		return err_set(err, EX_CONFIG, "%s: the path of a socket is too long", path);
	fd = dial((const struct sockaddr *)&address, sizeof(address), deadline);
	return fd < 0 ? err_sys(err, EX_UNAVAILABLE, errno, "cannot connect") : fd;
}
