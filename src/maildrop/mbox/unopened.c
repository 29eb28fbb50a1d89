/* See unopened.h. With the rights of the caller. */
#include "maildrop/mbox/unopened.h"

#include "maildrop/mail_origin.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { LOOKED_AT_MAX = 4096 };

/* Does it begin as a message of an mbox does? */
static bool is_mailbox(int root_fd, const char *name)
{
	char begin[5];
	int fd = openat(root_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
	ssize_t n = fd < 0 ? -1 : pread(fd, begin, sizeof(begin), 0);

	if (fd >= 0)
		close(fd);
	return n == (ssize_t)sizeof(begin) && memcmp(begin, "From ", sizeof(begin)) == 0;
}

static bool find_mailbox(int root_fd, char ret[MBOX_UNOPENED_NAME])
{
	int fd = openat(root_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *folder = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;
	bool found = false;

	if (!folder) {
		if (fd >= 0)
			close(fd);
		return false;
	}
	for (int i = 0; !found && i < LOOKED_AT_MAX && (entry = readdir(folder)) != NULL; i++) {
		if (entry->d_name[0] == '.' ||
		    (entry->d_type != DT_REG && entry->d_type != DT_UNKNOWN))
			continue;
		found = is_mailbox(root_fd, entry->d_name);
		if (found)
			snprintf(ret, MBOX_UNOPENED_NAME, "%s", entry->d_name);
	}
	closedir(folder);
	return found;
}

bool mbox_unopened_find(int root_fd, const struct mail_root *root, char ret[MBOX_UNOPENED_NAME])
{
	struct mail_origin origin;

	return mail_origin_read(&maildrop_kernel, root_fd, &origin, NULL) == 0 &&
	       !mail_root_has_owner_states(root) && find_mailbox(root_fd, ret);
}
