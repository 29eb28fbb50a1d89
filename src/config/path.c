/* See path.h. In the monitor and in command line programs. */
#include "config/path.h"

#include "config/config.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
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

int config_open_directory(const char *path, int how, int *ret, struct err *err)
{
	*ret = open(path, how | O_DIRECTORY | O_CLOEXEC);
	return *ret < 0 ? err_sys(err, EX_NOINPUT, errno, "cannot open the directory %s", path) : 0;
}

int config_open_parent(const char *path, int *ret, struct err *err)
{
	char copy[CONFIG_PATH_MAX];

	snprintf(copy, sizeof(copy), "%s", path);
	return config_open_directory(dirname(copy), O_PATH, ret, err);
}

const char *config_file_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}
