/*
 * See dotlock.h. The lock is another program's, of the same user or not. The caller holds the mbox
 * by fcntl already, so a program that takes both locks is not at work in it.
 *
 * A lock names its process: "PID" (liblockfile) or "PID:HOST" (Dovecot, and ours). It is stale when
 * that process on this host is no more, or, if it names none, when it is old: a
 * holder is done within seconds. A number without a host may be another machine's, so it has to be
 * old as well. On a filesystem that is no other machine's, one of before this machine's start is
 * stale.
 */
#include "maildrop/mbox/dotlock.h"

#include "base/text.h"
#include "maildrop/maildrop.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
	OLD_SECONDS = 300,
	BOOT_SECONDS = 5, /* clocks are set during a start */
	HOST_MAX = 256,
};

static void host_name(char host[HOST_MAX])
{
	if (gethostname(host, HOST_MAX) < 0)
		host[0] = '\0';
	host[HOST_MAX - 1] = '\0';
}

/* Only what /proc shows for certain: it may be absent, or hide the processes of other users, of
 * which the first process is one. */
static bool is_dead(uint64_t pid, const struct stat *status)
{
	const char *shown = status->st_uid == geteuid() ? "/proc/self" : "/proc/1";
	char path[40];

	if (faccessat(AT_FDCWD, shown, F_OK, 0) < 0)
		return false;
	snprintf(path, sizeof(path), "/proc/%llu", (unsigned long long)pid);
	return faccessat(AT_FDCWD, path, F_OK, 0) < 0 && errno == ENOENT;
}

/* Made before this machine was started: then no process of it lives. */
static bool before_boot(const struct stat *status)
{
	struct timespec running;

	return clock_gettime(CLOCK_BOOTTIME, &running) == 0 &&
	       status->st_mtime < time(NULL) - running.tv_sec - BOOT_SECONDS;
}

static bool is_stale(pop3_span text, const struct stat *status, bool local)
{
	bool old = time(NULL) - status->st_mtime >= OLD_SECONDS;
	const char *colon = memchr(text.data, ':', text.size);
	size_t digits = colon ? (size_t)(colon - text.data) : text.size;
	char host[HOST_MAX];
	uint64_t pid;

	if (local && before_boot(status))
		return true;
	if (span_number((pop3_span){text.data, digits}, INT32_MAX, &pid) < 0 || pid == 0)
		return old;
	if (!colon)
		return old && is_dead(pid, status);
	host_name(host);
	return span_equal((pop3_span){colon + 1, text.size - digits - 1}, span_of(host)) &&
	       is_dead(pid, status);
}

#define TEXT_MAX (HOST_MAX + 160)
#define PATH_SIZE 4096

struct lock_text {
	char text[TEXT_MAX];
	pop3_span holder; /* its first line */
	const char *more; /* the lines behind it */
};

static void split(struct lock_text *lock, ssize_t size)
{
	size_t n = size < 0 ? 0 : (size_t)size, first;

	lock->text[n] = '\0';
	first = strcspn(lock->text, "\n");
	lock->more = lock->text + first;
	while (first && lock->text[first - 1] == ' ')
		first--;
	lock->holder = (pop3_span){lock->text, first};
}

static bool has_line(const struct lock_text *lock, const char *line)
{
	size_t size = strlen(line);

	for (const char *at = lock->more; *at == '\n'; at += 1 + strcspn(at + 1, "\n"))
		if (strcspn(at + 1, "\n") == size && memcmp(at + 1, line, size) == 0)
			return true;
	return false;
}

static void session_line(const char *key, char line[80])
{
	snprintf(line, 80, "valija %.64s", key);
}

enum verdict { HELD, STALE, IN_DOUBT };

static enum verdict judge(const struct lock_text *lock, const struct stat *status, const char *key,
			  bool local)
{
	char line[80];

	if (key) {
		session_line(key, line);
		if (status->st_uid == geteuid() && has_line(lock, line))
			return STALE;
	}
	if (has_line(lock, "journal"))
		return IN_DOUBT;
	return is_stale(lock->holder, status, local) ? STALE : HELD;
}

/* Removes it if it is stale, and still the one that was read. */
static enum verdict remove_stale(const struct mbox_calls *calls, int dir, const char *path,
				 const char *key)
{
	const struct maildrop_syscalls *sys = calls->sys;
	int fd = sys->openat(dir, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0);
	enum verdict verdict = HELD;
	struct stat read_one, now;
	struct lock_text lock;
	ssize_t n;

	if (fd < 0)
		return HELD;
	n = maildrop_pread(sys, fd, lock.text, sizeof(lock.text) - 1, 0);
	split(&lock, n);
	if (n >= 0 && fstat(fd, &read_one) == 0 && S_ISREG(read_one.st_mode))
		verdict = judge(&lock, &read_one, key, maildrop_lending(fd) != MAILDROP_LEND_VALUE);
	if (verdict == STALE &&
	    (fstatat(dir, path, &now, AT_SYMLINK_NOFOLLOW) < 0 || now.st_ino != read_one.st_ino ||
	     now.st_dev != read_one.st_dev || sys->unlinkat(dir, path, 0) < 0))
		verdict = HELD;
	close(fd);
	return verdict;
}

static void write_text(const struct mbox_calls *calls, int fd, const char *key)
{
	char host[HOST_MAX], text[TEXT_MAX], line[80] = "";
	int n;

	host_name(host);
	if (key)
		session_line(key, line);
	n = snprintf(text, sizeof(text), "%d:%s\n%s%s", (int)getpid(), host, line, key ? "\n" : "");
	/* on a full disk it is a lock without a name, and none the worse */
	(void)mbox_put(calls, fd, text, (size_t)n, 0);
}

static int make_here(const struct mbox_calls *calls, int dir, const char *path, const char *key)
{
	int fd = calls->sys->openat(dir, path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);

	if (fd < 0)
		return -1;
	write_text(calls, fd, key);
	close(fd);
	return 0;
}

/* Written under another name first: a lock without a holder's name, left by a process that was
 * killed just then, would be waited for until it is old. */
static int make(const struct mbox_calls *calls, int dir, const char *path, const char *key)
{
	const struct maildrop_syscalls *sys = calls->sys;
	size_t size = strlen(path);
	char beside[PATH_SIZE];
	int fd, rc, saved;

	if (size > 5 && strcmp(path + size - 5, ".lock") == 0)
		size -= 5;
	if (snprintf(beside, sizeof(beside), "%.*s.%d.lock", (int)size, path, (int)getpid()) >=
	    (int)sizeof(beside)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	fd = sys->openat(dir, beside, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd < 0)
		return -1;
	write_text(calls, fd, key);
	close(fd);
	rc = sys->linkat(dir, beside, dir, path, 0);
	saved = errno;
	(void)sys->unlinkat(dir, beside, 0);
	errno = saved;
	/* a filesystem without second names */
	return rc < 0 && errno != EEXIST ? make_here(calls, dir, path, key) : rc;
}

int dotlock_take(const struct mbox_calls *calls, int dir, const char *path, const char *key)
{
	enum verdict verdict;

	if (make(calls, dir, path, key) == 0)
		return 0;
	if (errno != EEXIST)
		return -1;
	verdict = remove_stale(calls, dir, path, key);
	if (verdict == STALE)
		return make(calls, dir, path, key);
	errno = verdict == HELD ? EEXIST : EUCLEAN;
	return -1;
}

bool dotlock_left(const struct mbox_calls *calls, int dir, const char *path, const char *key)
{
	int fd = calls->sys->openat(dir, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0);
	struct lock_text lock;
	char line[80];
	ssize_t n;

	if (fd < 0)
		return false;
	n = maildrop_pread(calls->sys, fd, lock.text, sizeof(lock.text) - 1, 0);
	close(fd);
	split(&lock, n);
	session_line(key, line);
	return has_line(&lock, line);
}

int dotlock_mark(const struct mbox_calls *calls, int dir, const char *path)
{
	int fd = calls->sys->openat(dir, path, O_WRONLY | O_NOFOLLOW | O_CLOEXEC, 0), rc = -1;
	struct stat st;

	if (fd < 0)
		return -1;
	if (fstat(fd, &st) == 0)
		rc = mbox_put(calls, fd, "journal\n", 8, st.st_size);
	close(fd);
	return rc;
}
