/* See folder.h. */
#include "rados/tool/folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

enum {
	PATH_SIZE = 512,
	LEVELS = 4, /* as domain/letter/user/Maildir */
	FLAGS = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC,
};

bool folder_path_is_safe(const char *path)
{
	if (!*path || strlen(path) >= PATH_SIZE)
		return false;
	for (const char *part = path; part; part = strchr(part, '/')) {
		part += part != path;
		if (*part == '/' || *part == '\0' || *part == '.')
			return false;
	}
	return true;
}

/* The connection is there: its files may be readable for root only. */
static int become_owner(int fd, const char *path, struct err *err)
{
	struct stat st;

	if (geteuid() != 0)
		return 0;
	if (fstat(fd, &st) < 0)
		return err_sys(err, EX_NOINPUT, errno, "%s", path);
	if (st.st_uid == 0)
		return err_set(err, EX_USAGE,
			       "%s belongs to root: chown it to the owner of the mail", path);
	if (setgroups(0, NULL) < 0 || setgid(st.st_gid) < 0 || setuid(st.st_uid) < 0)
		return err_sys(err, EX_OSERR, errno, "cannot become uid %u", (unsigned)st.st_uid);
	return 0;
}

int folder_open(const char *path, struct err *err)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return err_sys(err, EX_NOINPUT, errno, "%s", path);
	if (become_owner(fd, path, err) == 0)
		return fd;
	close(fd);
	return -1;
}

int folder_make(int root, const char *path, struct err *err)
{
	int fd = fcntl(root, F_DUPFD_CLOEXEC, 0);
	char part[PATH_SIZE];

	for (const char *at = path; fd >= 0 && *at; at += *at == '/') {
		size_t size = strcspn(at, "/");
		int next = -1;

		memcpy(part, at, size);
		part[size] = '\0';
		if (mkdirat(fd, part, 0700) == 0 ? fsync(fd) == 0 : errno == EEXIST)
			next = openat(fd, part, FLAGS);
		close(fd);
		fd = next;
		at += size;
	}
	return fd < 0 ? err_sys(err, EX_CANTCREAT, errno, "%s", path) : fd;
}

/* ---- what is there ---- */

struct scan {
	int (*each)(void *context, const char *path, struct err *err);
	void *context;
	struct err *err;
};

static bool has(int fd, const char *name)
{
	struct stat st;

	return fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode);
}

static int scan(struct scan *s, int parent, const char *name, const char *path, int levels)
{
	int fd = openat(parent, name, FLAGS), rc = 0;
	DIR *folder = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	if (!folder) {
		if (fd >= 0)
			close(fd);
		if (errno == ENOTDIR || errno == ENOENT || errno == ELOOP)
			return 0;
		return err_sys(s->err, EX_NOINPUT, errno, "%s", path);
	}
	if (*path && (has(fd, "cur") || has(fd, "new"))) {
		closedir(folder);
		return s->each(s->context, path, s->err);
	}
	while (rc == 0 && levels && (entry = readdir(folder)) != NULL) {
		char below[PATH_SIZE];

		if (entry->d_name[0] == '.' ||
		    snprintf(below, sizeof(below), "%s%s%s", path, *path ? "/" : "",
			     entry->d_name) >= PATH_SIZE)
			continue;
		rc = scan(s, fd, entry->d_name, below, levels - 1);
	}
	closedir(folder);
	return rc;
}

int folder_scan(int root, int (*each)(void *context, const char *path, struct err *err),
		void *context, struct err *err)
{
	struct scan s = {each, context, err};

	return scan(&s, root, ".", "", LEVELS);
}
