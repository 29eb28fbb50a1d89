/* See random.h. Any process and thread. */
#include "base/random.h"

#include <errno.h>
#include <sys/random.h>

int random_octets(void *buf, size_t size)
{
	char *at = buf;

	while (size) {
		ssize_t got = getrandom(at, size, 0);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -1;
		at += got;
		size -= (size_t)got;
	}
	return 0;
}
