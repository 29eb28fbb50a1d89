/* See descriptor.h. Any process and thread. */
#include "base/descriptor.h"

#include <errno.h>
#include <unistd.h>

void close_fd(int *fd)
{
	int saved = errno;

	if (*fd >= 0)
		close(*fd);
	*fd = -1;
	errno = saved;
}
