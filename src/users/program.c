/* See program.h. */
#include "users/program.h"

#include "build-config.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int program_open(const char *name, char ret_path[PROGRAM_PATH_MAX])
{
	char self[PROGRAM_PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	const char *slash;
	int fd = -1;

	self[n > 0 ? n : 0] = '\0';
	slash = strrchr(self, '/');
	if (slash && snprintf(ret_path, PROGRAM_PATH_MAX, "%.*s/%s", (int)(slash - self), self,
			      name) < PROGRAM_PATH_MAX)
		fd = open(ret_path, O_PATH | O_CLOEXEC);
	if (fd >= 0)
		return fd;
	snprintf(ret_path, PROGRAM_PATH_MAX, VALIJA_LIBEXEC "/%s", name);
	return open(ret_path, O_PATH | O_CLOEXEC);
}
