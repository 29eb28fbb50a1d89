/* See path.h. In the monitor and in command line programs. */
#include "config/path.h"

#include "config/config.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
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

static const char credential[] = "credential:";

bool config_is_credential(const char *value)
{
	return strncmp(value, credential, sizeof(credential) - 1) == 0;
}

int config_credential_path(const char *value, char *buf, size_t size, struct err *err)
{
	const char *name = value + sizeof(credential) - 1,
		   *folder = getenv("CREDENTIALS_DIRECTORY");
	int n;

	if (!folder || !*name || *name == '.' || strchr(name, '/'))
		return err_set(err, EX_CONFIG,
			       "%s: the service manager gives no credential of that name "
			       "(LoadCredential=%s:FILE in the unit)",
			       value, name);
	n = snprintf(buf, size, "%s/%s", folder, name);
	return n > 0 && (size_t)n < size ? 0 : err_set(err, EX_CONFIG, "%s is too long", value);
}

int config_resolve_file(const char *directory, const char *value, char *buf, size_t size,
			struct err *err)
{
	if (!config_is_credential(value))
		return config_resolve(directory, value, buf, size, err);
	if (getenv("CREDENTIALS_DIRECTORY"))
		return config_credential_path(value, buf, size, err);
	return config_resolve(NULL, value, buf, size, err);
}

bool config_below_valid(pop3_span path)
{
	bool start = true;

	for (size_t i = 0; i < path.size; i++) {
		unsigned char c = (unsigned char)path.data[i];

		if (c < 0x20 || c == 0x7f || (start && (c == '.' || c == '/')))
			return false;
		start = c == '/';
	}
	return path.size > 0 && !start;
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
