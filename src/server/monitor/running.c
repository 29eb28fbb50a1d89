/* See running.h. What stands in /proc is written by other users' processes: it decides only which
 * words `valijad -t` uses. */
#include "server/monitor/running.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ARGUMENTS_MAX = 4096 };

#define STANDARD_FILE "/etc/valija/valija.conf"

/* The argument behind arg in a list of arguments that each end in NUL; NULL: arg is the last. */
static const char *next_argument(const char *arg, const char *end)
{
	arg += strlen(arg) + 1;
	return arg < end ? arg : NULL;
}

/* The configuration file among the arguments of a valijad; NULL: the process is another program,
 * or a child of valijad. */
static const char *file_of(const char *arguments, const char *end)
{
	const char *slash = strrchr(arguments, '/'), *file = STANDARD_FILE, *arg = arguments;

	if (strcmp(slash ? slash + 1 : arguments, "valijad") != 0)
		return NULL;
	while ((arg = next_argument(arg, end)) != NULL) {
		if (strcmp(arg, "--child") == 0)
			return NULL;
		if (strncmp(arg, "-c", 2) != 0)
			continue;
		file = arg[2] ? arg + 2 : next_argument(arg, end);
		if (!file || !arg[2])
			break;
	}
	return file;
}

/* A relative path is one from the folder that the process works in, which only root and its owner
 * may look up. */
static bool is_same_file(const char *pid, const char *file, const struct stat *wanted)
{
	char path[PATH_MAX];
	struct stat st;

	if (file[0] == '/')
		snprintf(path, sizeof(path), "%s", file);
	else
		snprintf(path, sizeof(path), "/proc/%s/cwd/%s", pid, file);
	return stat(path, &st) == 0 && st.st_dev == wanted->st_dev && st.st_ino == wanted->st_ino;
}

static bool serves(const char *pid, const struct stat *wanted)
{
	char path[64], arguments[ARGUMENTS_MAX + 1];
	const char *file;
	ssize_t size;
	int fd;

	snprintf(path, sizeof(path), "/proc/%.20s/cmdline", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	size = read(fd, arguments, ARGUMENTS_MAX);
	close(fd);
	if (size <= 0)
		return false;
	arguments[size] = '\0';
	file = file_of(arguments, arguments + size);
	return file && is_same_file(pid, file, wanted);
}

pid_t running_with(const char *config_file)
{
	DIR *processes = opendir("/proc");
	struct dirent *entry;
	struct stat wanted;
	pid_t found = 0;

	if (!processes)
		return 0;
	while (stat(config_file, &wanted) == 0 && !found && (entry = readdir(processes)) != NULL) {
		long pid = strtol(entry->d_name, NULL, 10);

		if (pid > 0 && pid != (long)getpid() && serves(entry->d_name, &wanted))
			found = (pid_t)pid;
	}
	closedir(processes);
	return found;
}
