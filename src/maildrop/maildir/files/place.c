/* See place.h. In a keeper's worker or `valija deliver`, with the rights of the mail's owner. */
#include "maildrop/maildir/files/place.h"

#include "base/descriptor.h"
#include "maildrop/mail_root.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sysexits.h>
#include <unistd.h>

#define DIRECTORY_FLAGS (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
#define LOCK_FLAGS (O_RDWR | O_NOFOLLOW | O_CLOEXEC)

const char *const maildir_directory_names[INDEX_DIRECTORIES] = {"new", "cur"};

enum maildrop_status maildir_failed(const struct maildir_place *place, int errnum, const char *what,
				    const char *doing, struct err *err)
{
	const char *slash = what ? "/" : "";
	struct stat st;

	what = what ? what : "";
	switch (errnum) {
	case ENOSPC:
	case EDQUOT:
		err_sys(err, EX_TEMPFAIL, errnum,
			"maildrop %s%s%s: %s (make room on its filesystem)", place->home, slash,
			what, doing);
		return MAILDROP_FULL;
	case EROFS:
		err_sys(err, EX_TEMPFAIL, errnum,
			"maildrop %s%s%s: %s (mount its filesystem for writing)", place->home,
			slash, what, doing);
		return MAILDROP_TEMP;
	case EACCES:
	case EPERM:
		if (place->dir >= 0 && place->sys->fstat(place->dir, &st) == 0) {
			err_sys(err, EX_NOPERM, errnum,
				"maildrop %s%s%s: %s (the maildrop's directory belongs to uid %lu, "
				"this process runs as uid %lu)",
				place->home, slash, what, doing, (unsigned long)st.st_uid,
				(unsigned long)geteuid());
			return MAILDROP_PERM;
		}
		err_sys(err, EX_NOPERM, errnum,
			"maildrop %s%s%s: %s (this process runs as uid %lu)", place->home, slash,
			what, doing, (unsigned long)geteuid());
		return MAILDROP_PERM;
	case ELOOP:
	case ENOTDIR:
		err_sys(err, EX_NOPERM, errnum,
			"maildrop %s%s%s: %s (must be a directory or file itself, no symbolic "
			"link)",
			place->home, slash, what, doing);
		return MAILDROP_PERM;
	case MAILDIR_NEWER:
		err_set(err, EX_TEMPFAIL,
			"maildrop %s: " BASE_NAME " or " DELTA_NAME
			" was written by a newer version of valija, so this version changes "
			"nothing here: run the newer version again",
			place->home);
		return MAILDROP_TEMP;
	default:
		err_sys(err, EX_TEMPFAIL, errnum, "maildrop %s%s%s: %s", place->home, slash, what,
			doing);
		return MAILDROP_TEMP;
	}
}

/* One step down from *dir, which is closed unless it is the root. */
static int step_down(struct maildir_place *place, int dir, int root_fd, const char *name,
		     bool create)
{
	int fd = place->sys->openat(dir, name, DIRECTORY_FLAGS, 0);
	int saved;

	if (fd < 0 && errno == ENOENT && create) {
		if (place->sys->mkdirat(dir, name, 0700) == 0 || errno == EEXIST)
			fd = place->sys->openat(dir, name, DIRECTORY_FLAGS, 0);
	}
	saved = errno;
	if (dir != root_fd)
		close(dir);
	errno = saved;
	return fd;
}

/*
 * Component by component, so that no symbolic link is followed anywhere below the root. With flush,
 * each directory on the way is flushed: names of directories made by a process that was killed
 * before it could do so.
 */
static int open_home(struct maildir_place *place, int root_fd, bool create, bool flush)
{
	char component[INDEX_NAME_MAX + 1];
	const char *at = place->home;
	int dir = root_fd;

	while (dir >= 0 && *at) {
		size_t n = strcspn(at, "/");

		if (flush && place->sys->fsync(dir) < 0) {
			int saved = errno;

			if (dir != root_fd)
				close(dir);
			errno = saved;
			return -1;
		}
		memcpy(component, at, n);
		component[n] = '\0';
		dir = step_down(place, dir, root_fd, component, create);
		at += n + (at[n] == '/');
	}
	return dir;
}

/* The beginning of a mounted filesystem, or of a part of one? */
static bool mount_point(const struct maildir_place *place)
{
	struct stat here, above;

	return place->sys->fstat(place->dir, &here) == 0 &&
	       place->sys->fstatat(place->dir, "..", &above, 0) == 0 && here.st_dev != above.st_dev;
}

/* There is no maildrop. May that be so, and may it be made? */
static enum maildrop_status absent(const struct maildir_place *place, const struct mail_root *root,
				   int root_fd, enum maildir_want want, struct err *err)
{
	if (want != PLACE_ANY && !mail_root_may_make(root, place->sys, root_fd, err)) {
		err_prefix(err, "maildrop %s", place->home);
		return MAILDROP_TEMP;
	}
	return want == PLACE_MAKE ? MAILDROP_OK : MAILDROP_ABSENT;
}

static bool part_of_maildir(const char *name)
{
	static const char *const names[] = {"tmp", "new", "cur", UIDL_NAME, ".", ".."};
	bool found = false;

	for (size_t i = 0; i < sizeof(names) / sizeof(*names) && !found; i++)
		found = strcmp(name, names[i]) == 0;
	return found;
}

/* The first entry of the folder that a beginning Maildir does not have. -1 with errno; 0: none. */
static int find_foreign(const struct maildir_place *place, char ret[INDEX_NAME_MAX + 1])
{
	_Alignas(struct dirent64) char buf[4096];
	int fd = place->sys->openat(place->dir, ".", DIRECTORY_FLAGS, 0), found = 0, saved;
	ssize_t n = 0;

	while (fd >= 0 && !found && (n = place->sys->getdents64(fd, buf, sizeof(buf))) > 0) {
		for (ssize_t at = 0; at < n && !found;) {
			const struct dirent64 *entry = (const struct dirent64 *)(buf + at);

			if (!part_of_maildir(entry->d_name)) {
				snprintf(ret, INDEX_NAME_MAX + 1, "%s", entry->d_name);
				found = 1;
			}
			at += entry->d_reclen;
		}
	}
	saved = errno;
	if (fd >= 0)
		close(fd);
	errno = saved;
	return fd < 0 || n < 0 ? -1 : found;
}

/* A home, or a folder of something else, must not be shown as an empty maildrop. */
static enum maildrop_status check_empty(const struct maildir_place *place, struct err *err)
{
	char name[INDEX_NAME_MAX + 1];
	int foreign = find_foreign(place, name);

	if (foreign < 0)
		return maildir_failed(place, errno, NULL, "cannot be read", err);
	if (foreign == 0)
		return MAILDROP_OK;
	err_set(err, EX_CONFIG,
		"maildrop %s: the folder is no Maildir and is not empty (%s is in it), so none is "
		"made of it: if the mail is in a folder below it, say which one in the users file "
		"(the field home), else move what is there away",
		place->home, name);
	return MAILDROP_PERM;
}

/* Do signs speak against an empty maildrop in a folder without new/ or cur/? */
static enum maildrop_status check_signs(const struct maildir_place *place, struct err *err)
{
	struct stat st;

	if (mount_point(place))
		return maildir_failed(
			place, ENOENT, NULL,
			"a filesystem without new, cur and tmp is mounted here: mount "
			"the right one, or make the three folders for the owner of "
			"the mail",
			err);
	if (place->sys->fstatat(place->dir, BASE_NAME, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return maildir_failed(place, ENOENT, NULL,
				      "new, cur or tmp is missing beside an index: restore it, or "
				      "remove " BASE_NAME " to begin with an empty one",
				      err);
	return MAILDROP_OK;
}

/* new/, cur/ and tmp/ where there is no sign that there ever was mail. A Maildir that lost one of
 * new/ and cur/ gets it again; a folder without both is a maildrop only if one is to be made. */
static enum maildrop_status make_directories(struct maildir_place *place,
					     const struct mail_root *root, int root_fd,
					     enum maildir_want want, struct err *err)
{
	static const char *const names[] = {"tmp", "new", "cur"};
	enum maildrop_status status = check_signs(place, err);
	struct index_stamp stamp;

	if (status == MAILDROP_OK && maildir_stamp(place, INDEX_NEW, &stamp) < 0 &&
	    maildir_stamp(place, INDEX_CUR, &stamp) < 0) {
		status = check_empty(place, err);
		if (status == MAILDROP_OK)
			status = absent(place, root, root_fd, want, err);
	}
	if (status < 0)
		return status;
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (place->sys->mkdirat(place->dir, names[i], 0700) < 0 && errno != EEXIST)
			return maildir_failed(place, errno, names[i], "cannot be made", err);
	return MAILDROP_OK;
}

/* Only once in the life of a maildrop: the lock file is the sign that the directories are there to
 * stay. */
static enum maildrop_status make_lock(struct maildir_place *place, const struct mail_root *root,
				      int root_fd, enum maildir_want want, bool *ret_unflushed,
				      struct err *err)
{
	enum maildrop_status status;
	int dir;

	*ret_unflushed = true;
	for (int i = 0; i < INDEX_DIRECTORIES; i++) {
		struct index_stamp stamp;

		if (maildir_stamp(place, i, &stamp) == 0)
			continue;
		if (errno != ENOENT)
			return maildir_failed(place, errno, maildir_directory_names[i],
					      "cannot be read", err);
		status = make_directories(place, root, root_fd, want, err);
		/* another process may have made it since, and put mail into it */
		if (status < 0 && maildir_stamp(place, i, &stamp) < 0)
			return status;
	}
	dir = open_home(place, root_fd, false, true);
	if (dir < 0 || place->sys->fsync(dir) < 0) {
		status = maildir_failed(place, errno, NULL, "cannot be flushed", err);
		if (dir >= 0)
			close(dir);
		return status;
	}
	close(dir);
	*ret_unflushed = false;
	place->lock = place->sys->openat(place->dir, LOCK_NAME,
					 O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (place->lock < 0)
		return maildir_failed(place, errno, LOCK_NAME, "cannot be made", err);
	return MAILDROP_OK;
}

/* A filesystem that takes no new file can still be read from: its directory is locked instead. */
static bool lockless(const struct maildir_place *place, int errnum)
{
	struct index_stamp stamp;

	return (errnum == EROFS || errnum == ENOSPC || errnum == EDQUOT) &&
	       maildir_stamp(place, INDEX_NEW, &stamp) == 0 &&
	       maildir_stamp(place, INDEX_CUR, &stamp) == 0;
}

static enum maildrop_status open_lock(struct maildir_place *place, const struct mail_root *root,
				      int root_fd, enum maildir_want want, struct err *err)
{
	struct err local = {0};
	enum maildrop_status status;
	bool unflushed = false;

	place->lock = place->sys->openat(place->dir, LOCK_NAME, LOCK_FLAGS, 0);
	if (place->lock >= 0)
		return MAILDROP_OK;
	if (errno == ENOENT)
		status = make_lock(place, root, root_fd, want, &unflushed, &local);
	else
		status = maildir_failed(place, errno, LOCK_NAME, "cannot be opened", &local);
	/* mail must not go into folders whose names a power cut may take away */
	if (status < 0 && status != MAILDROP_ABSENT && !unflushed && lockless(place, local.errnum))
		return MAILDROP_OK;
	if (status < 0 && err)
		*err = local;
	return status;
}

static int place_init(struct maildir_place *place, const struct maildrop_settings *settings,
		      const struct maildrop_syscalls *sys, const char *home)
{
	*place = (struct maildir_place){
		.sys = sys,
		.settings = settings,
		.dir = -1,
		.lock = -1,
		.directories = {-1, -1},
	};
	place->home = strdup(home);
	return place->home ? 0 : -1;
}

int maildir_place_init(struct maildir_place *place, const struct maildrop_settings *settings,
		       const char *home)
{
	return place_init(place, settings,
			  settings->syscalls ? settings->syscalls : &maildrop_kernel, home);
}

/* Opens the folder, which is made if that is wanted and no reason forbids it. */
static enum maildrop_status enter_home(struct maildir_place *place, const struct mail_root *root,
				       int root_fd, enum maildir_want want, struct err *err)
{
	enum maildrop_status status;

	place->dir = open_home(place, root_fd, false, false);
	if (place->dir < 0 && errno == ENOENT) {
		status = absent(place, root, root_fd, want, err);
		if (status < 0)
			return status;
		place->dir = open_home(place, root_fd, true, false);
	}
	return place->dir >= 0 ? MAILDROP_OK
			       : maildir_failed(place, errno, NULL, "cannot be opened", err);
}

enum maildrop_status maildir_place_begin(struct maildir_place *place,
					 const struct maildrop_settings *settings, int root_fd,
					 const char *home, enum maildir_want want, struct err *err)
{
	enum maildrop_status status;

	if (maildir_place_init(place, settings, home) < 0) {
		err_sys(err, EX_TEMPFAIL, errno, "maildrop %s", home);
		return MAILDROP_TEMP;
	}
	status = enter_home(place, settings->root, root_fd, want, err);
	if (status < 0)
		maildir_place_close(place);
	return status;
}

bool maildir_place_has_lock(struct maildir_place *place)
{
	place->lock = place->sys->openat(place->dir, LOCK_NAME, LOCK_FLAGS, 0);
	return place->lock >= 0;
}

enum maildrop_status maildir_place_end(struct maildir_place *place,
				       const struct maildrop_settings *settings, int root_fd,
				       enum maildir_want want, struct err *err)
{
	enum maildrop_status status =
		place->lock >= 0 ? MAILDROP_OK
				 : open_lock(place, settings->root, root_fd, want, err);

	if (status < 0) {
		maildir_place_close(place);
		return status;
	}
	/* from now on a root without any is one that lost them */
	if (settings->root && atomic_load(&settings->root->state) == MAIL_ROOT_NEW)
		atomic_store(&settings->root->state, MAIL_ROOT_KNOWN);
	return MAILDROP_OK;
}

int maildir_place_open_now(struct maildir_place *place, const struct maildrop_settings *settings,
			   int root_fd, const char *home)
{
	if (place_init(place, settings, &maildrop_cached, home) < 0)
		return -1;
	place->dir = open_home(place, root_fd, false, false);
	if (place->dir >= 0)
		place->lock = place->sys->openat(place->dir, LOCK_NAME, LOCK_FLAGS, 0);
	if (place->lock >= 0)
		return 0;
	maildir_place_close(place);
	return -1;
}

void maildir_place_close(struct maildir_place *place)
{
	for (int i = 0; i < INDEX_DIRECTORIES; i++)
		close_fd(&place->directories[i]);
	close_fd(&place->lock);
	close_fd(&place->dir);
	free(place->rule);
	free(place->home);
	place->rule = place->home = NULL;
}

/* The lock of the log is held briefly. If it is busy for LOCK_WAIT_MS, its holder is stuck or
 * malicious: give up instead of blocking for ever. */
#define LOCK_WAIT_MS 10000

/* Locks of the open file, not of the process: threads exclude each other, and closing some other
 * descriptor of the file releases nothing. */
int maildir_lock(struct maildir_place *place, enum maildir_lock which, bool wait)
{
	struct flock lock = {
		.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = (off_t)which, .l_len = 1};
	long waited = 0, step = 1;

	/* where nothing can be written there is no log to be held */
	if (place->lock < 0 && which == LOCK_LOG)
		return 0;
	if (place->lock < 0)
		return place->sys->flock(place->dir, LOCK_EX | LOCK_NB);
	while (place->sys->lock(place->lock, F_OFD_SETLK, &lock) < 0) {
		struct timespec pause = {.tv_nsec = step * 1000000};

		if (errno == EINTR)
			continue;
		if (errno == EACCES)
			errno = EAGAIN;
		if (!wait || errno != EAGAIN || waited >= LOCK_WAIT_MS)
			return -1;
		nanosleep(&pause, NULL);
		waited += step;
		step = step < 32 ? step * 2 : 50;
	}
	return 0;
}

void maildir_unlock(struct maildir_place *place, enum maildir_lock which)
{
	struct flock lock = {
		.l_type = F_UNLCK, .l_whence = SEEK_SET, .l_start = (off_t)which, .l_len = 1};

	if (place->lock >= 0)
		(void)place->sys->lock(place->lock, F_OFD_SETLK, &lock);
	else if (which == LOCK_SESSION)
		(void)place->sys->flock(place->dir, LOCK_UN);
}

bool maildir_lock_held(const struct maildir_place *place)
{
	struct stat ours, theirs;

	if (place->lock < 0)
		return true;
	return place->sys->fstat(place->lock, &ours) == 0 &&
	       place->sys->fstatat(place->dir, LOCK_NAME, &theirs, AT_SYMLINK_NOFOLLOW) == 0 &&
	       ours.st_ino == theirs.st_ino && ours.st_dev == theirs.st_dev;
}

int maildir_directory(struct maildir_place *place, enum index_directory which)
{
	int *fd = &place->directories[which];

	if (*fd < 0)
		*fd = place->sys->openat(place->dir, maildir_directory_names[which],
					 DIRECTORY_FLAGS, 0);
	return *fd;
}

int maildir_stamp(const struct maildir_place *place, enum index_directory which,
		  struct index_stamp *ret)
{
	struct stat st;

	if (place->sys->fstatat(place->dir, maildir_directory_names[which], &st,
				AT_SYMLINK_NOFOLLOW) < 0)
		return -1;
	if (!S_ISDIR(st.st_mode)) {
		errno = ENOTDIR;
		return -1;
	}
	*ret = (struct index_stamp){
		.inode = st.st_ino,
		.seconds = st.st_ctim.tv_sec,
		.nanoseconds = (uint32_t)st.st_ctim.tv_nsec,
	};
	return 0;
}

bool maildir_stamp_equal(const struct index_stamp *a, const struct index_stamp *b)
{
	return a->inode == b->inode && a->seconds == b->seconds && a->nanoseconds == b->nanoseconds;
}

int maildir_clock(const struct maildir_place *place, struct timespec *ret)
{
	struct stat st;

	if (place->sys->futimens(place->lock, NULL) < 0 || place->sys->fstat(place->lock, &st) < 0)
		return -1;
	*ret = st.st_mtim;
	return 0;
}
