/* See foreign.h. With the rights of the caller. */
#include "maildrop/maildir/foreign.h"

#include "maildrop/maildir/bring.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	LEVELS = 4,
	LOOKED_AT_MAX = 4096, /* entries: a check does not wait for a million of them */
	PATH_OCTETS = 512,
};

struct search {
	int budget;
	char *ret;
	size_t size;
	unsigned *ret_lists;
};

static bool has_maildir(int fd)
{
	struct stat st;

	return fstatat(fd, "cur", &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode);
}

static bool search(struct search *search, int parent, const char *name, const char *path,
		   int levels);

static bool search_inside(struct search *state, DIR *folder, const char *path, int levels)
{
	const struct dirent *entry;
	bool found = false;

	while (!found && state->budget-- > 0 && (entry = readdir(folder)) != NULL) {
		char below[PATH_OCTETS];
		int n;

		if (entry->d_name[0] == '.' ||
		    (entry->d_type != DT_DIR && entry->d_type != DT_UNKNOWN))
			continue;
		n = snprintf(below, sizeof(below), "%s%s%s", path, *path ? "/" : "", entry->d_name);
		if (n > 0 && (size_t)n < sizeof(below))
			found = search(state, dirfd(folder), entry->d_name, below, levels - 1);
	}
	return found;
}

static bool search(struct search *state, int parent, const char *name, const char *path, int levels)
{
	int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	DIR *folder = fd < 0 ? NULL : fdopendir(fd);
	bool found = false;

	if (!folder) {
		if (fd >= 0)
			close(fd);
		return false;
	}
	if (*path && has_maildir(fd)) {
		*state->ret_lists = maildir_foreign_lists(fd, path);
		found = *state->ret_lists != 0;
		if (found)
			snprintf(state->ret, state->size, "%s", path);
	} else if (levels > 0) {
		found = search_inside(state, folder, path, levels);
	}
	closedir(folder);
	return found;
}

bool maildir_foreign_find(int root_fd, char *ret, size_t size, unsigned *ret_lists)
{
	struct search state = {
		.budget = LOOKED_AT_MAX, .ret = ret, .size = size, .ret_lists = ret_lists};
	struct mail_origin origin;

	if (mail_origin_read(&maildrop_kernel, root_fd, &origin, NULL) != 0)
		return false;
	return search(&state, root_fd, ".", "", LEVELS);
}
