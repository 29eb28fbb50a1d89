/* See place.h. In a keeper's worker or a command of a person, with the rights of the mail's owner.
 */
#include "maildrop/mbox/place.h"

#include "base/descriptor.h"
#include "base/digest.h"
#include "maildrop/mail_root.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#define DIRECTORY_FLAGS (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
#define MAILBOX_FLAGS (O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)

enum maildrop_status mbox_failed(const struct mbox_place *place, int errnum, const char *what,
				 const char *doing, struct err *err)
{
	const char *of = what ? what : "";
	enum maildrop_status status = MAILDROP_TEMP;
	const char *advice = "";

	switch (errnum) {
	case ENOSPC:
	case EDQUOT:
		status = MAILDROP_FULL;
		advice = " (make room on its filesystem)";
		break;
	case EBADMSG:
		status = MAILDROP_PERM;
		advice = " (it does not begin with a line \"From SENDER DATE\": is it an mbox?)";
		break;
	case EACCES:
	case EPERM:
	case ELOOP:
	case ENOTDIR:
	case ENXIO:
		status = MAILDROP_PERM;
		break;
	case EPROTONOSUPPORT:
		advice = " (a newer version of valija wrote it: run that one again)";
		break;
	}
	err_sys(err, status == MAILDROP_PERM ? EX_NOPERM : EX_TEMPFAIL, errnum,
		"mailbox %s%s%s: %s%s", place->home, what ? ": " : "", of, doing, advice);
	return status;
}

void mbox_note(const struct mbox_place *place, const struct err *err)
{
	if (place->note)
		place->note(place->note_context, err->text);
}

/* The folder that the mailbox is in, component by component; no symbolic link is followed. */
static int open_folder(struct mbox_place *place, int root_fd)
{
	char component[256];
	const char *at = place->home;
	int dir = place->sys->openat(root_fd, ".", DIRECTORY_FLAGS, 0), next, saved;

	for (size_t n = strcspn(at, "/"); dir >= 0 && at[n]; n = strcspn(at, "/")) {
		memcpy(component, at, n);
		component[n] = '\0';
		next = place->sys->openat(dir, component, DIRECTORY_FLAGS, 0);
		saved = errno;
		close(dir);
		errno = saved;
		dir = next;
		at += n + 1;
	}
	place->lock.name = at;
	return dir;
}

/* Reading does not make new mail look read: with O_NOATIME where we may. */
static int open_mailbox(struct mbox_place *place, int flags, mode_t mode)
{
	int fd = place->sys->openat(place->dir, place->lock.name,
				    MAILBOX_FLAGS | O_NOATIME | O_RDWR | flags, mode);

	place->lock.reading = false;
	if (fd < 0 && errno == EPERM)
		fd = place->sys->openat(place->dir, place->lock.name,
					MAILBOX_FLAGS | O_RDWR | flags, mode);
	if (fd < 0 && (errno == EACCES || errno == EROFS)) {
		fd = place->sys->openat(place->dir, place->lock.name, MAILBOX_FLAGS | O_RDONLY, 0);
		place->lock.reading = fd >= 0;
	}
	return fd;
}

static int check_mailbox(const struct mbox_place *place, int fd)
{
	struct stat st;

	if (place->sys->fstat(fd, &st) < 0)
		return -1;
	errno = ELOOP;
	if (!S_ISREG(st.st_mode))
		return -1;
	errno = EACCES;
	return st.st_uid == geteuid() ? 0 : -1;
}

static void name_files(struct mbox_place *place, bool beside)
{
	static const char *const endings[MBOX_FILES] = {"lock",    "base",  "delta",
							"journal", "doubt", "uidl"};

	for (int i = 0; i < MBOX_FILES; i++)
		snprintf(place->names[i], MBOX_NAME_SIZE, "%s%.250s.valija-%s", beside ? "." : "",
			 beside ? place->lock.name : place->key, endings[i]);
}

static enum maildrop_status find_state(struct mbox_place *place, int state_fd, struct err *err)
{
	struct digest digest;
	struct stat st;

	digest_init(&digest, DIGEST_SHA_256);
	digest_add(&digest, place->home, strlen(place->home));
	digest_finish_name(&digest, place->key);
	name_files(place, !state_fd);
	if (state_fd == MAILDROP_NO_STATE_YET)
		return MAILDROP_OK;
	place->state =
		place->sys->openat(state_fd ? state_fd : place->dir, ".", DIRECTORY_FLAGS, 0);
	if (place->state < 0 || place->sys->fstat(place->state, &st) < 0)
		return mbox_failed(place, errno, NULL, "its state folder cannot be opened", err);
	if (st.st_uid == geteuid())
		return MAILDROP_OK;
	err_set(err, EX_CONFIG,
		"mailbox %s: there is no folder for its index (the mailbox's own folder belongs to "
		"uid %lu, this process runs as uid %lu)",
		place->home, (unsigned long)st.st_uid, (unsigned long)geteuid());
	return MAILDROP_PERM;
}

static enum maildrop_status absent(struct mbox_place *place, const struct mail_root *root,
				   int root_fd, struct err *err)
{
	if (!mail_root_may_make(root, place->sys, root_fd, err)) {
		err_prefix(err, "mailbox %s", place->home);
		return MAILDROP_TEMP;
	}
	return MAILDROP_ABSENT;
}

/* A folder of group mail lets its users make no file, and one that root made would be nobody's. */
static enum maildrop_status cannot_make(const struct mbox_place *place, struct err *err)
{
	err_sys(err, EX_CANTCREAT, EACCES,
		"mailbox %s: it is not there, and in that folder only root can make it for its "
		"user: touch it, give it to its user and to the folder's group, chmod 660",
		place->home);
	return MAILDROP_TEMP;
}

static enum maildrop_status make_mailbox(struct mbox_place *place, struct err *err)
{
	struct stat st;

	if (place->sys->fstat(place->dir, &st) == 0 && st.st_uid != geteuid() &&
	    (geteuid() == 0 || faccessat(place->dir, ".", W_OK, AT_EACCESS) < 0))
		return cannot_make(place, err);
	if (geteuid() == 0 && (st.st_mode & S_IWGRP))
		return cannot_make(place, err);
	place->lock.fd = open_mailbox(place, O_CREAT, 0600);
	if (place->lock.fd < 0 || place->sys->fsync(place->dir) < 0)
		return mbox_failed(place, errno, NULL, "cannot be made", err);
	return MAILDROP_OK;
}

static enum maildrop_status open_all(struct mbox_place *place,
				     const struct maildrop_settings *settings, int root_fd,
				     bool make, struct err *err)
{
	enum maildrop_status status;

	place->dir = place->lock.dir = open_folder(place, root_fd);
	if (place->dir >= 0)
		place->lock.fd = open_mailbox(place, 0, 0);
	if (place->lock.fd < 0 && errno == ENOENT) {
		status = absent(place, settings->root, root_fd, err);
		if (status == MAILDROP_ABSENT && make && place->dir >= 0)
			status = make_mailbox(place, err);
		if (status < 0)
			return status;
	}
	if (place->lock.fd < 0)
		return mbox_failed(place, errno, NULL, "cannot be opened", err);
	if (check_mailbox(place, place->lock.fd) < 0)
		return mbox_failed(
			place, errno, NULL,
			"must be a file itself, and of the user that this process runs as", err);
	return find_state(place, settings->state_fd, err);
}

/* It makes lock files in the root itself, and is asked where this process cannot. */
static void choose_locker(struct mbox_place *place, const struct mbox_locker *locker)
{
	bool in_root = place->lock.name == place->home;

	if (locker && in_root && faccessat(place->dir, ".", W_OK, AT_EACCESS) < 0)
		place->lock.locker = locker;
}

enum maildrop_status mbox_place_open(struct mbox_place *place,
				     const struct maildrop_settings *settings, int root_fd,
				     const char *home, bool make, struct err *err)
{
	enum maildrop_status status;

	*place = (struct mbox_place){
		.sys = settings->syscalls ? settings->syscalls : &maildrop_kernel,
		.dir = -1,
		.state = -1,
		.session = -1,
		.lock = {.fd = -1, .wait_ms = settings->lock_ms ? settings->lock_ms : MBOX_LOCK_MS},
		.note = settings->note,
		.note_index = settings->note_index,
		.note_context = settings->note_context,
	};
	place->calls.sys = place->sys;
	place->home = strdup(home);
	if (!place->home) {
		err_sys(err, EX_TEMPFAIL, errno, "mailbox %s", home);
		return MAILDROP_TEMP;
	}
	status = open_all(place, settings, root_fd, make, err);
	if (status == MAILDROP_OK)
		choose_locker(place, settings->locker);
	if (status < 0)
		mbox_place_close(place);
	return status;
}

void mbox_place_close(struct mbox_place *place)
{
	close_fd(&place->session);
	close_fd(&place->lock.fd);
	close_fd(&place->state);
	close_fd(&place->dir);
	free(place->home);
	place->home = NULL;
}

int mbox_session_lock(struct mbox_place *place)
{
	struct flock first = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1};

	if (place->session < 0)
		place->session =
			place->sys->openat(place->state, place->names[MBOX_LOCK],
					   O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (place->session < 0)
		return -1;
	while (place->sys->lock(place->session, F_OFD_SETLK, &first) < 0) {
		if (errno == EINTR)
			continue;
		if (errno == EACCES)
			errno = EAGAIN;
		return -1;
	}
	place->lock.key = place->key;
	place->lock.calls = &place->calls;
	return 0;
}

bool mbox_session_held(const struct mbox_place *place)
{
	struct stat ours, theirs;

	return place->sys->fstat(place->session, &ours) == 0 &&
	       place->sys->fstatat(place->state, place->names[MBOX_LOCK], &theirs,
				   AT_SYMLINK_NOFOLLOW) == 0 &&
	       ours.st_ino == theirs.st_ino && ours.st_dev == theirs.st_dev;
}

/* Other programs may have put another file in its place. */
static int same_file(const struct mbox_place *place)
{
	struct stat ours, theirs;

	if (place->sys->fstat(place->lock.fd, &ours) < 0 ||
	    place->sys->fstatat(place->dir, place->lock.name, &theirs, AT_SYMLINK_NOFOLLOW) < 0)
		return -1;
	return ours.st_ino == theirs.st_ino && ours.st_dev == theirs.st_dev;
}

static int open_again(struct mbox_place *place)
{
	int fd = open_mailbox(place, 0, 0);

	if (fd >= 0 && check_mailbox(place, fd) < 0)
		close_fd(&fd);
	if (fd < 0)
		return -1;
	close(place->lock.fd);
	place->lock.fd = fd;
	return 0;
}

enum maildrop_status mbox_place_lock(struct mbox_place *place, struct err *err)
{
	struct err local = {0};
	int same = 0;

	place->lock.calls = &place->calls;
	for (int tries = 0; tries < 3; tries++) {
		if (mbox_lock_take(&place->lock, &local) < 0) {
			if (err)
				*err = local;
			return local.errnum == EAGAIN ? MAILDROP_IN_USE : MAILDROP_TEMP;
		}
		same = same_file(place);
		if (same > 0)
			return MAILDROP_OK;
		mbox_lock_release(&place->lock);
		if (same < 0 || open_again(place) < 0)
			break;
		errno = EAGAIN; /* replaced again and again */
	}
	return mbox_failed(place, errno, NULL, "was replaced by another file", err);
}

void mbox_place_unlock(struct mbox_place *place)
{
	mbox_lock_release(&place->lock);
}
