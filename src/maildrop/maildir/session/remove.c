/* See remove.h. In a keeper's worker, with the rights of the mail's owner. */
#include "maildrop/maildir/session/remove.h"

#include "maildrop/kept.h"

#include <errno.h>
#include <time.h>

static int keep(struct maildir *m, int from, const char *name, uint64_t stored)
{
	const struct maildir_place *place = &m->place;
	time_t now = time(NULL);

	if (m->kept < 0)
		m->kept = kept_open(place->sys, place->dir, true);
	return m->kept < 0 ? -1
			   : kept_move(place->sys, m->kept, from, name, stored,
				       now > 0 ? (uint64_t)now : 0);
}

/* Room is wanted more than the message. */
static bool may_be_lost(int errnum)
{
	return errnum == ENOSPC || errnum == EDQUOT || errnum == ENAMETOOLONG;
}

int maildir_remove(struct maildir *m, enum index_directory which, const char *name, uint64_t stored)
{
	int fd = maildir_directory(&m->place, which);

	if (fd < 0)
		return -1;
	if (m->place.settings->retention.keep_seconds) {
		int errnum;

		if (keep(m, fd, name, stored) == 0)
			return 0;
		errnum = errno;
		if (errnum == ENOENT && m->kept >= 0)
			return -1;
		maildir_note_not_kept(&m->place, which, name, errnum, may_be_lost(errnum));
		errno = errnum;
		if (!may_be_lost(errnum))
			return -1;
	}
	return m->place.sys->unlinkat(fd, name, 0);
}

int maildir_remove_flush(struct maildir *m)
{
	const struct maildir_place *place = &m->place;

	if (!place->settings->retention.keep_seconds)
		return 0;
	/* a process that died may have moved some, too */
	if (m->kept < 0)
		m->kept = kept_open(place->sys, place->dir, false);
	if (m->kept < 0)
		return errno == ENOENT ? 0 : -1;
	return place->sys->fsync(m->kept);
}
