/* See ids_file.h. With the rights of the mail's owner. */
#include "maildrop/maildir/adopt/ids_file.h"

#include <errno.h>
#include <unistd.h>

#define FILE_FLAGS (O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)

static int remove_file(const struct maildir_place *place)
{
	if (place->sys->unlinkat(place->dir, UIDL_NAME, 0) < 0 && errno != ENOENT)
		return -1;
	return place->sys->fsync(place->dir);
}

int maildir_ids_replace(const struct maildir_place *place, const char *text, size_t size)
{
	const struct maildrop_syscalls *sys = place->sys;
	int fd, result, saved;

	if (size == 0)
		return remove_file(place);
	fd = sys->openat(place->dir, UIDL_NAME NEW_SUFFIX,
			 O_WRONLY | O_CREAT | O_TRUNC | FILE_FLAGS, 0600);
	if (fd < 0)
		return -1;
	result = maildrop_pwrite(sys, fd, text, size, 0);
	if (result == 0)
		result = sys->fsync(fd);
	if (result == 0)
		result = sys->renameat2(place->dir, UIDL_NAME NEW_SUFFIX, place->dir, UIDL_NAME, 0);
	if (result == 0)
		result = sys->fsync(place->dir);
	saved = errno;
	close(fd);
	if (result < 0)
		(void)sys->unlinkat(place->dir, UIDL_NAME NEW_SUFFIX, 0);
	errno = saved;
	return result;
}
