/* See trusted_path.h. The path is walked by descriptors, so what was judged is what is used. */
#include "sys/trusted_path.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

enum { LINKS_MAX = 16 };

struct walk {
	char left[PATH_MAX]; /* of the path, behind at */
	char name[NAME_MAX + 1];
	int at; /* the folder that was reached */
	unsigned links;
	const char *path; /* as it was asked for */
};

static int refuse(const struct walk *walk, const char *why, struct err *err)
{
	return err_set(err, EX_NOPERM, "%s: %s%s %s", walk->path, walk->name[0] ? walk->name : "/",
		       walk->left[0] || !walk->name[0] ? " on its way" : "", why);
}

/* Whether only root and this user decide what it is. */
static int judge(const struct walk *walk, const struct stat *st, struct err *err)
{
	bool is_folder = S_ISDIR(st->st_mode);

	if (st->st_uid != 0 && st->st_uid != geteuid())
		return refuse(walk, "belongs to neither root nor the user of valijad", err);
	if (S_ISLNK(st->st_mode) || (is_folder && st->st_mode & S_ISVTX))
		return 0;
	if (st->st_mode & S_IWOTH)
		return refuse(walk, "can be written by everybody", err);
	if (st->st_mode & S_IWGRP && st->st_gid != 0 && st->st_gid != getegid())
		return refuse(walk, "can be written by its group", err);
	return 0;
}

/* Takes the first name of left. False: there is none. */
static bool take_name(struct walk *walk)
{
	const char *from = walk->left + strspn(walk->left, "/");
	size_t size = strcspn(from, "/");

	if (!size || size > NAME_MAX)
		return false;
	memcpy(walk->name, from, size);
	walk->name[size] = '\0';
	from += size;
	memmove(walk->left, from, strlen(from) + 1);
	return true;
}

/* A link's text comes in front of what is left. */
static int follow(struct walk *walk, int link, struct err *err)
{
	char text[PATH_MAX], joined[2 * PATH_MAX];
	ssize_t size = readlinkat(link, "", text, sizeof(text) - 1);
	int root;

	if (size <= 0 || ++walk->links > LINKS_MAX)
		return refuse(walk, "is a link that cannot be followed", err);
	text[size] = '\0';
	snprintf(joined, sizeof(joined), "%s/%s", text, walk->left);
	if (strlen(joined) >= sizeof(walk->left))
		return refuse(walk, "is a link that is too long", err);
	strcpy(walk->left, joined);
	if (text[0] != '/')
		return 0;
	root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		return err_sys(err, EX_OSERR, errno, "%s", walk->path);
	close(walk->at);
	walk->at = root;
	return 0;
}

/* One name. Returns 1 when the file is reached: it is *ret then. */
static int step(struct walk *walk, int *ret, struct err *err)
{
	struct stat st;
	int fd, rc;

	if (!take_name(walk))
		return err_set(err, EX_NOINPUT, "%s: it is no file", walk->path);
	fd = openat(walk->at, walk->name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0) {
		rc = err_sys(err, EX_NOINPUT, errno, "%s", walk->path);
	} else if ((rc = judge(walk, &st, err)) == 0 && S_ISREG(st.st_mode)) {
		*ret = fd;
		return 1;
	} else if (rc == 0 && S_ISLNK(st.st_mode)) {
		rc = follow(walk, fd, err);
	} else if (rc == 0 && S_ISDIR(st.st_mode)) {
		close(walk->at);
		walk->at = fd;
		return 0;
	} else if (rc == 0) {
		rc = err_set(err, EX_NOINPUT, "%s: it is no file", walk->path);
	}
	if (fd >= 0)
		close(fd);
	return rc;
}

static int check_file(const struct walk *walk, int fd, struct err *err)
{
	if (strspn(walk->left, "/") != strlen(walk->left))
		return err_set(err, EX_NOINPUT, "%s: %s is no folder", walk->path, walk->name);
	if (faccessat(fd, "", X_OK, AT_EMPTY_PATH | AT_EACCESS) < 0)
		return err_sys(err, EX_NOPERM, errno, "%s cannot be executed", walk->path);
	return 0;
}

int trusted_path_open(const char *path, struct err *err)
{
	struct walk walk = {.path = path, .at = -1};
	int fd = -1, rc;

	if (path[0] != '/' || strlen(path) >= sizeof(walk.left))
		return err_set(err, EX_NOINPUT, "%s: it is no absolute path", path);
	strcpy(walk.left, path);
	walk.at = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (walk.at < 0)
		return err_sys(err, EX_OSERR, errno, "/");
	do
		rc = step(&walk, &fd, err);
	while (rc == 0);
	close(walk.at);
	if (rc < 0)
		return -1;
	if (check_file(&walk, fd, err) == 0)
		return fd;
	close(fd);
	return -1;
}
