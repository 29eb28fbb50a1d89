/* See program.h. */
#include "fetch/program.h"

#include "build-config.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

void fetch_program(const char *name, char ret[PATH_MAX])
{
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	const char *slash;

	self[n > 0 ? n : 0] = '\0';
	slash = strrchr(self, '/');
	if (slash &&
	    snprintf(ret, PATH_MAX, "%.*s/%s", (int)(slash - self), self, name) < PATH_MAX &&
	    access(ret, X_OK) == 0)
		return;
	snprintf(ret, PATH_MAX, "%s/%s", VALIJA_LIBEXEC, name);
}
