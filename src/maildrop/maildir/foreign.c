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
};

struct search {
	int budget;
	bool any_of_ours;
	struct maildir_foreign *ret;
};

static bool has_maildir(int fd)
{
	struct stat st;

	return fstatat(fd, "cur", &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode);
}

static bool search(struct search *search, int parent, const char *name, const char *path,
		   int levels);

/* true: it is refused, which is all that has to be known. */
static bool judge(struct search *state, int fd, const char *path)
{
	struct maildir_foreign *ret = state->ret;
	struct maildir_looked looked;

	if (maildir_look(fd, path, &looked) < 0)
		return false;
	state->any_of_ours = state->any_of_ours || looked.is == ADOPT_OURS;
	if (looked.is == ADOPT_FOREIGN) {
		ret->lists = looked.lists;
		snprintf(ret->refused, sizeof(ret->refused), "%s", path);
		return true;
	}
	if (looked.has_mail && looked.is == ADOPT_PLAIN && !*ret->unopened)
		snprintf(ret->unopened, sizeof(ret->unopened), "%s", path);
	return false;
}

static bool search_inside(struct search *state, DIR *folder, const char *path, int levels)
{
	const struct dirent *entry;
	bool found = false;

	while (!found && state->budget-- > 0 && (entry = readdir(folder)) != NULL) {
		char below[MAILDIR_FOREIGN_PATH];
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
		found = judge(state, fd, path);
	} else if (levels > 0) {
		found = search_inside(state, folder, path, levels);
	}
	closedir(folder);
	return found;
}

void maildir_foreign_find(int root_fd, struct maildir_foreign *ret)
{
	struct search state = {.budget = LOOKED_AT_MAX, .ret = ret};
	struct mail_origin origin;

	*ret = (struct maildir_foreign){0};
	if (mail_origin_read(&maildrop_kernel, root_fd, &origin, NULL) != 0)
		return;
	(void)search(&state, root_fd, ".", "", LEVELS);
	if (state.any_of_ours)
		ret->unopened[0] = '\0';
}
