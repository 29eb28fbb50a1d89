/* See undo.h. In `valija import`, with the rights of the mail's owner. */
#include "maildrop/maildir/adopt/undo.h"

#include "maildrop/maildir/adopt/whose.h"
#include "maildrop/maildir/update/uidl.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define FILE_FLAGS (O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)

enum maildrop_status maildir_adopt_undo(struct maildir_place *place, bool dry_run, bool *ret,
					bool *ret_used, struct err *err)
{
	static const char *const names[] = {LOCK_NAME, BASE_NAME, DELTA_NAME};
	char begin[sizeof(UIDL_ORIGIN) - 1] = "";
	int fd, used = 0;

	*ret = *ret_used = false;
	fd = place->sys->openat(place->dir, UIDL_NAME, O_RDONLY | FILE_FLAGS, 0);
	if (fd < 0)
		return errno == ENOENT
			       ? MAILDROP_OK
			       : maildir_failed(place, errno, UIDL_NAME, "cannot be read", err);
	*ret = maildrop_pread(place->sys, fd, begin, sizeof(begin), 0) == sizeof(begin) &&
	       memcmp(begin, UIDL_ORIGIN, sizeof(begin)) == 0;
	close(fd);
	for (size_t i = 0; i < sizeof(names) / sizeof(*names) && used == 0; i++)
		used = maildir_has(place, place->dir, names[i]);
	if (used < 0)
		return maildir_failed(place, errno, NULL, "cannot be read", err);
	*ret_used = *ret && used > 0;
	if (!*ret || *ret_used || dry_run)
		return MAILDROP_OK;
	/* only what was adopted before its first session begins with that line, and nothing else
	 * was written behind it without one */
	if (place->sys->unlinkat(place->dir, UIDL_NAME, 0) < 0 || place->sys->fsync(place->dir) < 0)
		return maildir_failed(place, errno, UIDL_NAME, "cannot be removed", err);
	return MAILDROP_OK;
}
