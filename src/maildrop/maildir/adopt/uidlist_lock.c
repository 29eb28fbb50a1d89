/* See uidlist_lock.h. In `valija import`, with the rights of the mail's owner. */
#include "maildrop/maildir/adopt/uidlist_lock.h"

#include "base/text.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#define FILE_FLAGS (O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)
#define LOCK_FILE "dovecot-uidlist.lock"
#define WAIT_SECONDS 10
#define HOLDER_MAX 320 /* octets of "PID:HOST" */

static void own_host(char ret[HOST_NAME_MAX + 1])
{
	if (gethostname(ret, HOST_NAME_MAX + 1) < 0)
		ret[0] = '\0';
	ret[HOST_NAME_MAX] = '\0';
}

/* Dovecot, too, takes a lock for stale whose process was of this machine and is gone. */
static bool is_gone(pop3_span holder)
{
	char host[HOST_NAME_MAX + 1];
	uint64_t pid;

	own_host(host);
	if (span_number(span_take_until(&holder, ':'), INT_MAX, &pid) < 0 || pid == 0)
		return false;
	return *host && holder.size == strlen(host) &&
	       memcmp(holder.data, host, holder.size) == 0 && kill((pid_t)pid, 0) < 0 &&
	       errno == ESRCH;
}

/* Removes a stale lock, if it still is the one that was read. */
static void remove_stale(const struct maildir_place *place, int control)
{
	const struct maildrop_syscalls *sys = place->sys;
	int fd = sys->openat(control, LOCK_FILE, O_RDONLY | FILE_FLAGS, 0);
	struct stat read, now;
	char text[HOLDER_MAX];
	ssize_t n;

	if (fd < 0)
		return;
	n = maildrop_pread(sys, fd, text, sizeof(text), 0);
	if (n > 0 && is_gone((pop3_span){text, (size_t)n}) && sys->fstat(fd, &read) == 0 &&
	    sys->fstatat(control, LOCK_FILE, &now, AT_SYMLINK_NOFOLLOW) == 0 &&
	    read.st_ino == now.st_ino && read.st_dev == now.st_dev)
		(void)sys->unlinkat(control, LOCK_FILE, 0);
	close(fd);
}

static int take(const struct maildir_place *place, int control)
{
	const int flags = O_WRONLY | O_CREAT | O_EXCL | FILE_FLAGS;
	struct timespec begin, now, pause = {.tv_nsec = 50000000};
	int fd;

	place->sys->clock_gettime(CLOCK_MONOTONIC, &begin);
	while ((fd = place->sys->openat(control, LOCK_FILE, flags, 0600)) < 0 && errno == EEXIST) {
		remove_stale(place, control);
		place->sys->clock_gettime(CLOCK_MONOTONIC, &now);
		if (now.tv_sec - begin.tv_sec >= WAIT_SECONDS) {
			errno = EEXIST;
			return -1;
		}
		nanosleep(&pause, NULL);
	}
	return fd;
}

int uidlist_lock(const struct maildir_place *place, int control, struct err *err)
{
	char host[HOST_NAME_MAX + 1], text[HOLDER_MAX];
	int fd = take(place, control), n, saved;

	if (fd < 0 && errno == EEXIST)
		return err_set(err, EX_TEMPFAIL,
			       LOCK_FILE ": another program has held it for %d seconds: call this "
					 "again, or, if Dovecot is stopped, remove that file",
			       WAIT_SECONDS);
	if (fd < 0)
		return err_sys(err, EX_TEMPFAIL, errno, LOCK_FILE ": cannot be made");
	own_host(host);
	n = snprintf(text, sizeof(text), "%ld:%s", (long)getpid(), host);
	if (maildrop_pwrite(place->sys, fd, text, (size_t)n, 0) == 0) {
		close(fd);
		return 0;
	}
	saved = errno;
	close(fd);
	(void)uidlist_unlock(place, control);
	return err_sys(err, EX_TEMPFAIL, saved, LOCK_FILE ": cannot be written");
}

int uidlist_unlock(const struct maildir_place *place, int control)
{
	return place->sys->unlinkat(control, LOCK_FILE, 0);
}
