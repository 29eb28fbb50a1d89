/* See path.h. */
#include "config/path.h"

#include <stdio.h>
#include <string.h>
#include <sysexits.h>

int config_resolve(const char *directory, const char *path, char *buf, size_t size, struct err *err)
{
	int n;

	if (!directory || !*directory || path[0] == '/' || !*path)
		n = snprintf(buf, size, "%s", path);
	else
		n = snprintf(buf, size, "%s/%s", strcmp(directory, "/") == 0 ? "" : directory,
			     path);
	if (n < 0 || (size_t)n >= size)
		return err_set(err, EX_CONFIG,
			       "the path \"%.64s…\" is too long: at most %zu octets", path,
			       size - 1);
	return 0;
}
