/*
 * See dotlock.h. In the confined process; the lock is another program's, of the same user or not.
 * The caller holds the mbox by fcntl already, so a program that takes both locks is not at work in
 * it.
 *
 * A lock names its process: "PID" (liblockfile) or "PID:HOST" (Dovecot, and ours). It is stale when
 * that process of our own user on this host is no more, or, if it names none, when it is old: a
 * holder is done within seconds. A number without a host may be another machine's, so it has to be
 * old as well.
 */
#include "fetch/sink/dotlock.h"

#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
	OLD_SECONDS = 300,
	HOST_MAX = 256,
};

static void host_name(char host[HOST_MAX])
{
	if (gethostname(host, HOST_MAX) < 0)
		host[0] = '\0';
	host[HOST_MAX - 1] = '\0';
}

/* Only what /proc shows for certain: it may be absent, or hide the processes of other users. */
static bool is_dead(uint64_t pid, const struct stat *status)
{
	char path[40];

	if (status->st_uid != geteuid() || faccessat(AT_FDCWD, "/proc/self", F_OK, 0) < 0)
		return false;
	snprintf(path, sizeof(path), "/proc/%llu", (unsigned long long)pid);
	return faccessat(AT_FDCWD, path, F_OK, 0) < 0 && errno == ENOENT;
}

static bool is_stale(pop3_span text, const struct stat *status)
{
	bool old = time(NULL) - status->st_mtime >= OLD_SECONDS;
	const char *colon = memchr(text.data, ':', text.size);
	size_t digits = colon ? (size_t)(colon - text.data) : text.size;
	char host[HOST_MAX];
	uint64_t pid;

	if (span_number((pop3_span){text.data, digits}, INT32_MAX, &pid) < 0 || pid == 0)
		return old;
	if (!colon)
		return old && is_dead(pid, status);
	host_name(host);
	return span_equal((pop3_span){colon + 1, text.size - digits - 1}, span_of(host)) &&
	       is_dead(pid, status);
}

/* Removes it if it is stale, and still the one that was read. */
static bool remove_stale(const struct fetch_files *files, const char *path)
{
	int fd = files->openat(AT_FDCWD, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0);
	struct stat read_one, now;
	char text[HOST_MAX + 16];
	bool stale = false;
	ssize_t n;

	if (fd < 0)
		return false;
	n = read(fd, text, sizeof(text));
	while (n > 0 && (text[n - 1] == '\n' || text[n - 1] == ' '))
		n--;
	if (n >= 0 && fstat(fd, &read_one) == 0 && S_ISREG(read_one.st_mode))
		stale = is_stale((pop3_span){text, (size_t)n}, &read_one) &&
			fstatat(AT_FDCWD, path, &now, AT_SYMLINK_NOFOLLOW) == 0 &&
			now.st_ino == read_one.st_ino && now.st_dev == read_one.st_dev;
	files->close(fd);
	return stale && files->unlinkat(AT_FDCWD, path, 0) == 0;
}

static int make(const struct fetch_files *files, const char *path)
{
	int fd = files->openat(AT_FDCWD, path, O_WRONLY | O_CREAT | O_EXCL, 0600);
	char host[HOST_MAX], text[HOST_MAX + 16];
	int n;

	if (fd < 0)
		return -1;
	host_name(host);
	n = snprintf(text, sizeof(text), "%d:%s\n", (int)getpid(), host);
	/* on a full disk it is a lock without a name, and none the worse */
	fetch_write_all(files, fd, text, (size_t)n);
	files->close(fd);
	return 0;
}

int dotlock_take(const struct fetch_files *files, const char *path)
{
	if (make(files, path) == 0)
		return 0;
	if (errno != EEXIST)
		return -1;
	if (!remove_stale(files, path)) {
		errno = EEXIST;
		return -1;
	}
	return make(files, path);
}
