/* See notify.h. The root process links no library for one datagram (docs/decisions/0012). */
#include "sys/notify.h"

#include "base/descriptor.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

/* "/path", or "@name" for a name without a file. -1: neither, or too long. */
static int take_address(const char *text, struct sockaddr_un *ret, socklen_t *ret_size)
{
	size_t n = strlen(text);

	if ((text[0] != '/' && text[0] != '@') || n < 2 || n > sizeof(ret->sun_path) - 1) {
		errno = EINVAL;
		return -1;
	}
	*ret = (struct sockaddr_un){.sun_family = AF_UNIX};
	memcpy(ret->sun_path, text, n);
	if (text[0] == '@')
		ret->sun_path[0] = '\0';
	*ret_size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
	return 0;
}

int notify_send(const char *assignments)
{
	const char *name = getenv("NOTIFY_SOCKET");
	struct sockaddr_un address;
	socklen_t size;
	ssize_t sent;
	int fd;

	if (!name || !*name)
		return 1;
	if (take_address(name, &address, &size) < 0)
		return -1;
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -1;
	sent = sendto(fd, assignments, strlen(assignments), MSG_NOSIGNAL,
		      (const struct sockaddr *)&address, size);
	close_fd(&fd);
	return sent < 0 ? -1 : 0;
}

int notify_reloading(void)
{
	struct timespec now;
	char text[64];

	clock_gettime(CLOCK_MONOTONIC, &now);
	snprintf(text, sizeof(text), "RELOADING=1\nMONOTONIC_USEC=%lld",
		 (long long)now.tv_sec * 1000000 + now.tv_nsec / 1000);
	return notify_send(text);
}

/* A decimal number; 0: none, or not one. */
static unsigned long long number_in(const char *variable)
{
	const char *text = getenv(variable);
	unsigned long long number;
	char *end;

	if (!text || *text < '0' || *text > '9')
		return 0;
	errno = 0;
	number = strtoull(text, &end, 10);
	return errno || *end ? 0 : number;
}

uint64_t notify_watchdog_ms(void)
{
	const char *pid = getenv("WATCHDOG_PID");

	if (pid && number_in("WATCHDOG_PID") != (unsigned long long)getpid())
		return 0; /* another process is watched */
	return number_in("WATCHDOG_USEC") / 1000;
}
