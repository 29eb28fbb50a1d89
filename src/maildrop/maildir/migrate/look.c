/* See look.h. */
#include "maildrop/maildir/migrate/look.h"

#include "maildrop/maildir/adopt/whose.h"
#include "maildrop/maildir/migrate/state.h"

#include <sysexits.h>
#include <unistd.h>

/* The time of that file is what a copying looks at. */
static void tell_wanted(const struct maildir_place *place)
{
	int fd = place->sys->openat(place->dir, COPIES_NAME "/" WANTED_NAME, O_RDWR | MIGRATE_FLAGS,
				    0);

	if (fd < 0)
		return;
	(void)place->sys->futimens(fd, NULL);
	close(fd);
}

/* 1: a file of that name is there; 0: none; -1 with errno. */
static int is_there(const struct maildir_place *place, const char *name)
{
	struct stat st;

	if (place->sys->fstatat(place->dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return 1;
	return errno == ENOENT ? 0 : -1;
}

enum maildrop_status migration_state(const struct maildir_place *place, enum migration_state *ret,
				     struct err *err)
{
	int over = is_there(place, RECORD_NAME), begun = 0;

	if (over < 0)
		return maildir_failed(place, errno, RECORD_NAME, "cannot be looked at", err);
	if (!over)
		begun = is_there(place, COPIES_NAME "/" SWITCHING_NAME);
	if (begun < 0)
		return maildir_failed(place, errno, COPIES_NAME, "cannot be looked at", err);
	*ret = over ? MIGRATION_OVER : begun ? MIGRATION_SWITCHING : MIGRATION_COPYING;
	return MAILDROP_OK;
}

/* A Maildir that was never ours: another program may have delivered to it. One that another server
 * filled is for `valija import`; of an empty one the register knows whether it is only where its
 * filesystem is mounted. */
static enum maildrop_status look_at_strange(struct maildir_place *place, struct err *err)
{
	enum adopt_is is;
	unsigned lists;
	int any = 0;

	if (maildir_whose(place, place->dir, &is, &lists) < 0 ||
	    (is == ADOPT_PLAIN && (any = maildir_has_message(place)) < 0))
		return maildir_failed(place, errno, NULL, "cannot be read", err);
	return any ? MAILDROP_ELSEWHERE : MAILDROP_ABSENT;
}

enum maildrop_status migration_look(struct maildir_place *place, enum migration_state *ret,
				    struct err *err)
{
	enum maildrop_status status = migration_state(place, ret, err);

	if (status != MAILDROP_OK || *ret == MIGRATION_OVER)
		return status;
	if (!maildir_place_has_lock(place))
		return errno == ENOENT
			       ? look_at_strange(place, err)
			       : maildir_failed(place, errno, LOCK_NAME, "cannot be opened", err);
	if (maildir_lock(place, LOCK_SESSION, false) == 0) {
		maildir_unlock(place, LOCK_SESSION);
		return MAILDROP_ELSEWHERE;
	}
	if (errno != EAGAIN)
		return maildir_failed(place, errno, LOCK_NAME, "cannot be locked", err);
	tell_wanted(place);
	err_set(err, EX_TEMPFAIL, "maildrop %s: its messages are being copied here", place->home);
	return MAILDROP_IN_USE;
}
