/* See lock.h. In a keeper's worker or a command of a person, with the rights of the mail's owner.
 */
#include "maildrop/mbox/lock.h"

#include "maildrop/mbox/dotlock.h"

#include <errno.h>
#include <linux/magic.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/vfs.h>
#include <sysexits.h>
#include <time.h>

#define PATH_MAX_HERE 4096
#define PAUSE_MS 50

static const char *dotlock_path(const struct mbox_lock *l, char buf[PATH_MAX_HERE])
{
	int n = snprintf(buf, PATH_MAX_HERE, "%s.lock", l->name);

	if (n < PATH_MAX_HERE)
		return buf;
	errno = ENAMETOOLONG;
	return NULL;
}

static bool on_nfs(int fd)
{
	struct statfs fs;

	return fstatfs(fd, &fs) == 0 && (unsigned long)fs.f_type == NFS_SUPER_MAGIC;
}

static int take_fcntl(struct mbox_lock *l)
{
	struct flock whole = {.l_type = l->reading ? F_RDLCK : F_WRLCK, .l_whence = SEEK_SET};

	if (l->calls->sys->lock(l->fd, F_OFD_SETLK, &whole) < 0) {
		if (errno == EACCES)
			errno = EAGAIN;
		return -1;
	}
	l->fcntled = true;
	return 0;
}

static int take_flock(struct mbox_lock *l)
{
	if (on_nfs(l->fd))
		return 0;
	if (l->calls->sys->flock(l->fd, (l->reading ? LOCK_SH : LOCK_EX) | LOCK_NB) < 0) {
		if (errno == EWOULDBLOCK)
			errno = EAGAIN;
		return -1;
	}
	l->flocked = true;
	return 0;
}

static int take_dotlock(struct mbox_lock *l)
{
	char buf[PATH_MAX_HERE];
	const char *path = dotlock_path(l, buf);
	int rc = -1;

	if (l->locker)
		rc = l->locker->take(l->locker->context, l->name, l->key);
	else if (path)
		rc = dotlock_take(l->calls, l->dir, path, l->key);
	if (rc == 0) {
		l->dotlocked = true;
		return 0;
	}
	if (errno == EEXIST)
		errno = EAGAIN;
	if (errno == EAGAIN || errno == EUCLEAN)
		return -1;
	l->incomplete = true; /* the two other locks have to do */
	return 0;
}

void mbox_lock_release(struct mbox_lock *l)
{
	struct flock whole = {.l_type = F_UNLCK, .l_whence = SEEK_SET};
	char buf[PATH_MAX_HERE];

	if (l->dotlocked && l->locker)
		l->locker->release(l->locker->context, l->name);
	else if (l->dotlocked && dotlock_path(l, buf))
		(void)l->calls->sys->unlinkat(l->dir, buf, 0);
	if (l->flocked)
		(void)l->calls->sys->flock(l->fd, LOCK_UN);
	if (l->fcntled)
		(void)l->calls->sys->lock(l->fd, F_OFD_SETLK, &whole);
	l->dotlocked = l->flocked = l->fcntled = false;
}

static int try_all(struct mbox_lock *l, const char **ret_which)
{
	int saved;

	l->incomplete = false;
	*ret_which = "fcntl";
	if (take_fcntl(l) == 0) {
		*ret_which = "flock";
		if (take_flock(l) == 0) {
			*ret_which = "its lock file, .lock";
			if (l->no_dotlock || take_dotlock(l) == 0)
				return 0;
		}
	}
	saved = errno;
	mbox_lock_release(l);
	errno = saved;
	return -1;
}

static int failed(const struct mbox_lock *l, int errnum, const char *which, struct err *err)
{
	if (errnum == EAGAIN)
		err_set(err, EX_TEMPFAIL,
			"the mailbox %s is held by another program, by %s: try again later",
			l->name, which);
	else if (errnum == EUCLEAN)
		err_set(err, EX_TEMPFAIL,
			"the mailbox %s was being rewritten when valija was cut off (%s.lock says "
			"so): its next login puts it in order, or `valija mbox recover %s`",
			l->name, l->name, l->name);
	else
		err_sys(err, EX_IOERR, errnum, "the mailbox %s cannot be locked by %s", l->name,
			which);
	if (err)
		err->errnum = errnum;
	return -1;
}

int mbox_lock_take(struct mbox_lock *l, struct err *err)
{
	struct timespec pause = {.tv_nsec = PAUSE_MS * 1000000L};
	const char *which;
	unsigned waited = 0;

	for (;;) {
		if (try_all(l, &which) == 0)
			return 0;
		if (errno != EAGAIN || waited >= l->wait_ms)
			return failed(l, errno, which, err);
		if (l->interrupted && l->interrupted(err) < 0)
			return -1;
		nanosleep(&pause, NULL);
		waited += PAUSE_MS;
	}
}

bool mbox_lock_left(const struct mbox_lock *l)
{
	char buf[PATH_MAX_HERE];

	return l->key && dotlock_path(l, buf) && dotlock_left(l->calls, l->dir, buf, l->key);
}

int mbox_lock_mark(struct mbox_lock *l)
{
	char buf[PATH_MAX_HERE];

	if (!l->dotlocked || !dotlock_path(l, buf))
		return -1;
	if (l->locker)
		return l->locker->mark(l->locker->context, l->name);
	return dotlock_mark(l->calls, l->dir, buf);
}
