/*
 * wire_connect: name to connected socket. All addresses of the host are tried, the next one 250 ms
 * after the one before or at once when that failed (RFC 8305 in short), the first to answer wins.
 */
#include "fetch/session/wire.h"

#include "fetch/interrupt.h"
#include "fetch/syscalls.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <unistd.h>

enum {
	TRIES_MAX = 8,
	HEAD_START_MS = 250,
};

struct tries {
	struct pollfd fds[TRIES_MAX];
	unsigned count;
	int last_errno;
};

static int resolve(const char *host, uint16_t port, struct addrinfo **ret, struct err *err)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
	char service[8];
	int code;

	snprintf(service, sizeof(service), "%u", port);
	code = getaddrinfo(host, service, &hints, ret);
	if (code == EAI_NONAME ||
	    code == EAI_ADDRFAMILY) { /* loopback only: no address configured */
		hints.ai_flags = 0;
		code = getaddrinfo(host, service, &hints, ret);
	}
	if (code == 0)
		return 0;
	if (code == EAI_AGAIN)
		return err_set(err, EX_TEMPFAIL, "cannot look up %s now: %s", host,
			       gai_strerror(code));
	return err_set(err, EX_NOHOST, "cannot find %s: %s", host, gai_strerror(code));
}

/* Begins one attempt. 1: connected at once. */
static int begin(struct tries *tries, const struct addrinfo *address)
{
	int fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0) {
		tries->last_errno = errno;
		return -1;
	}
	if (connect(fd, address->ai_addr, address->ai_addrlen) < 0 && errno != EINPROGRESS) {
		tries->last_errno = errno;
		close(fd);
		return -1;
	}
	tries->fds[tries->count++] = (struct pollfd){.fd = fd, .events = POLLOUT};
	return 0;
}

/* The first that is connected, -1 if none is; the failed ones are dropped. */
static int finished(struct tries *tries)
{
	for (unsigned i = 0; i < tries->count;) {
		int fd = tries->fds[i].fd, error = 0;
		socklen_t size = sizeof(error);

		if (!tries->fds[i].revents) {
			i++;
			continue;
		}
		getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
		tries->fds[i] = tries->fds[--tries->count];
		if (!error)
			return fd;
		tries->last_errno = error;
		close(fd);
	}
	return -1;
}

static int race(const struct addrinfo *address, int64_t deadline)
{
	struct tries tries = {.last_errno = ETIMEDOUT};
	int fd = -1;

	while (fd < 0) {
		int64_t left = deadline - fetch_now();
		bool more = address && tries.count < TRIES_MAX;

		if (left <= 0 || fetch_interrupted()) {
			tries.last_errno = ETIMEDOUT;
			break;
		}
		if (more) {
			const struct addrinfo *now = address;

			address = address->ai_next;
			if (begin(&tries, now) < 0)
				continue;
			left = address && left > HEAD_START_MS ? HEAD_START_MS : left;
		} else if (tries.count == 0) {
			break;
		}
		left = left > INTERRUPT_POLL_MS ? INTERRUPT_POLL_MS : left;
		if (poll(tries.fds, tries.count, (int)left) > 0)
			fd = finished(&tries);
	}
	for (unsigned i = 0; i < tries.count; i++)
		close(tries.fds[i].fd);
	errno = tries.last_errno;
	return fd;
}

int wire_connect(struct wire *wire, const char *host, uint16_t port, int64_t ms, struct err *err)
{
	struct addrinfo *addresses;
	int one = 1;

	if (resolve(host, port, &addresses, err) < 0)
		return -1;
	wire->fd = race(addresses, fetch_now() + ms);
	freeaddrinfo(addresses);
	if (wire->fd < 0 && fetch_interrupt_check(err) < 0)
		return -1;
	if (wire->fd < 0)
		return err_sys(err, EX_TEMPFAIL, errno, "cannot connect to %s port %u", host, port);
	setsockopt(wire->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	wire->in = malloc(WIRE_IN_SIZE);
	wire->out = malloc(WIRE_OUT_SIZE);
	if (!wire->in || !wire->out)
		return err_sys(err, EX_OSERR, errno, "memory");
	return 0;
}
