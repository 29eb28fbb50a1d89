/* See descriptor.h. Any process and thread. */
#include "base/descriptor.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
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
