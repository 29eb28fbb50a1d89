/* See activation.h. */
#include "server/monitor/activation.h"

#include "base/log.h"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

enum { FIRST_FD = 3, PASSED_MAX = 1024 };

static long number_in(const char *variable)
{
	const char *text = getenv(variable);
	char *end;
	long number = text ? strtol(text, &end, 10) : 0;

	return text && *text && !*end && number > 0 ? number : 0;
}

/* The name that stands between colons, the n-th from 0. */
static void name_of(long n, char *ret, size_t size)
{
	const char *names = getenv("LISTEN_FDNAMES");

	while (names && n-- > 0)
		names = strchr(names, ':') ? strchr(names, ':') + 1 : NULL;
	snprintf(ret, size, "%.*s", names ? (int)strcspn(names, ":") : 0, names ? names : "");
	for (char *c = ret; *c; c++)
		if (*c < '!' || *c > '~')
			*c = '?';
}

static bool listens(int fd, struct activation_socket *ret)
{
	int type = 0, accepts = 0, six = 0;
	socklen_t size = sizeof(int);

	ret->size = sizeof(ret->address);
	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) < 0 || type != SOCK_STREAM ||
	    getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &accepts, &size) < 0 || !accepts ||
	    getsockname(fd, (struct sockaddr *)&ret->address, &ret->size) < 0)
		return false;
	ret->only_six = ret->address.ss_family == AF_INET6 &&
			getsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &six, &size) == 0 && six;
	return true;
}

unsigned activation_take(struct activation_socket ret[ACTIVATION_MAX])
{
	long passed = number_in("LISTEN_PID") == (long)getpid() ? number_in("LISTEN_FDS") : 0;
	unsigned count = 0;

	for (long i = 0; i < passed && i < PASSED_MAX; i++) {
		struct activation_socket socket = {.fd = FIRST_FD + (int)i};

		name_of(i, socket.name, sizeof(socket.name));
		if (fcntl(socket.fd, F_SETFD, FD_CLOEXEC) < 0)
			continue;
		if (count < ACTIVATION_MAX && listens(socket.fd, &socket)) {
			(void)fcntl(socket.fd, F_SETFL, O_NONBLOCK);
			ret[count++] = socket;
			continue;
		}
		log_warning("socket %ld (%s) of the service manager is no listening stream "
			    "socket, or one too many: it is not used",
			    i + 1, socket.name);
		close(socket.fd);
	}
	return count;
}

/* ---- by address ---- */

static bool same_internet(const struct activation_socket *socket, const struct addrinfo *info)
{
	const struct sockaddr_in *four = (const void *)&socket->address;
	const struct sockaddr_in6 *six = (const void *)&socket->address;
	const void *wanted = info->ai_addr;

	if (info->ai_family != socket->address.ss_family)
		return false;
	if (info->ai_family == AF_INET) {
		const struct sockaddr_in *of = wanted;

		return of->sin_port == four->sin_port &&
		       of->sin_addr.s_addr == four->sin_addr.s_addr;
	}
	if (info->ai_family == AF_INET6) {
		const struct sockaddr_in6 *of = wanted;

		return of->sin6_port == six->sin6_port &&
		       memcmp(&of->sin6_addr, &six->sin6_addr, sizeof(of->sin6_addr)) == 0;
	}
	return false;
}

static bool is_internet(const struct activation_socket *socket,
			const struct config_listener *listener)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
				 .ai_flags = AI_PASSIVE | AI_NUMERICSERV},
			*list;
	char port[8];
	bool found = false;

	snprintf(port, sizeof(port), "%u", listener->port);
	if (getaddrinfo(strcmp(listener->address, "*") == 0 ? NULL : listener->address, port,
			&hints, &list) != 0)
		return false;
	for (const struct addrinfo *info = list; info && !found; info = info->ai_next)
		found = same_internet(socket, info) &&
			(info->ai_family != AF_INET6 || !listener->only_six == !socket->only_six ||
			 !IN6_IS_ADDR_UNSPECIFIED(
				 &((const struct sockaddr_in6 *)(const void *)info->ai_addr)
					  ->sin6_addr));
	freeaddrinfo(list);
	return found;
}

bool activation_is_of(const struct activation_socket *socket,
		      const struct config_listener *listener)
{
	const struct sockaddr_un *path = (const void *)&socket->address;

	if (listener->port)
		return is_internet(socket, listener);
	return socket->address.ss_family == AF_UNIX && listener->address[0] == '/' &&
	       strncmp(path->sun_path, listener->address, sizeof(path->sun_path)) == 0;
}
