/* See descriptor.h. Any process and thread. */
#include "base/descriptor.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

void close_fd(int *fd)
{
	int saved = errno;

	if (*fd >= 0)
		close(*fd);
	*fd = -1;
	errno = saved;
}

ssize_t read_all(int fd, void *buf, size_t cap)
{
	size_t used = 0;

	while (used < cap) {
		ssize_t n = read(fd, (char *)buf + used, cap - used);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		if (n == 0)
			break;
		used += (size_t)n;
	}
	return (ssize_t)used;
}

static long now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int wait_fd(int fd, short events, int ms)
{
	struct pollfd look = {.fd = fd, .events = events};
	long until = ms > 0 ? now_ms() + ms : 0;
	int n;

	while ((n = poll(&look, 1, ms)) < 0 && errno == EINTR)
		if (ms > 0) {
			long left = until - now_ms();

			ms = left > 0 ? (int)left : 0;
		}
	return n > 0 ? look.revents : n;
}

int write_all_by(ssize_t (*write_some)(int fd, const void *data, size_t size), int fd,
		 const void *data, size_t size)
{
	const char *at = data;

	while (size) {
		ssize_t n = write_some(fd, at, size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		if (n == 0) {
			errno = ENOSPC;
			return -1;
		}
		at += n;
		size -= (size_t)n;
	}
	return 0;
}

int write_all(int fd, const void *data, size_t size)
{
	return write_all_by(write, fd, data, size);
}

int seal_octets(const char *name, const void *data, size_t size)
{
	static const int seals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
	int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd >= 0 && (write_all(fd, data, size) < 0 || fcntl(fd, F_ADD_SEALS, seals) < 0))
		close_fd(&fd);
	return fd;
}

char *unseal_octets(int fd, uint64_t size, uint64_t most)
{
	char *octets = fd >= 0 && size && size <= most ? malloc(size) : NULL;

	if (!octets || pread(fd, octets, size, 0) == (ssize_t)size)
		return octets;
	free(octets);
	return NULL;
}
