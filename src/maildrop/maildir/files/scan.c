/* See scan.h. In a keeper's worker or `valija deliver`, with the rights of the mail's owner. */
#include "maildrop/maildir/files/scan.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SCAN_BUFFER (128 * 1024)

/* The type comes with the entry on all usual filesystems. */
static bool regular(const struct maildir_place *place, int fd, const struct dirent64 *entry)
{
	struct stat st;

	if (entry->d_type != DT_UNKNOWN)
		return entry->d_type == DT_REG;
	return place->sys->fstatat(fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	       S_ISREG(st.st_mode);
}

static int take_entries(struct maildir_place *place, int fd, const char *folder, char *buf,
			size_t size, maildir_entry *entry, void *context)
{
	for (size_t at = 0; at < size;) {
		struct dirent64 *e = (struct dirent64 *)(buf + at);
		pop3_span name = {e->d_name, strlen(e->d_name)};
		int result;

		at += e->d_reclen;
		/* the kernel lets no "/" into a name; it may be longer than names are here */
		if (*e->d_name == '.' || name.size > INDEX_NAME_MAX)
			continue;
		if (!regular(place, fd, e)) {
			maildir_note_left_out(place, fd, folder, e->d_name, ENOTSUP);
			continue;
		}
		result = entry(context, name, e->d_ino);
		if (result < 0)
			return result;
	}
	return 0;
}

int maildir_scan(struct maildir_place *place, const char *folder, maildir_entry *entry,
		 void *context)
{
	/* opened anew: a reading position of its own, and the directory that has the name now */
	int fd = place->sys->openat(place->dir, folder,
				    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, 0);
	char *buf = fd < 0 ? NULL : malloc(SCAN_BUFFER);
	int result = -1, saved;

	while (buf) {
		ssize_t n = place->sys->getdents64(fd, buf, SCAN_BUFFER);

		if (n < 0 && errno == EINTR)
			continue;
		result = n < 0 ? -1
			       : take_entries(place, fd, folder, buf, (size_t)n, entry, context);
		if (n <= 0 || result < 0)
			break;
	}
	saved = errno;
	free(buf);
	if (fd >= 0)
		close(fd);
	errno = saved;
	return result;
}
