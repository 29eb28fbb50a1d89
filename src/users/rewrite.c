/* See rewrite.h. */
#include "users/rewrite.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sysexits.h>
#include <unistd.h>

int rewrite_real_path(const char *path, char real[PATH_MAX], struct err *err)
{
	char directory[PATH_MAX];
	const char *slash = strrchr(path, '/');

	if (realpath(path, real))
		return 0;
	if (errno != ENOENT || strlen(path) >= sizeof(directory))
		return err_sys(err, EX_NOINPUT, errno, "%s", path);
	snprintf(directory, sizeof(directory), "%.*s", slash ? (int)(slash - path + 1) : 1,
		 slash ? path : ".");
	if (!realpath(directory, real) ||
	    strlen(real) + strlen(slash ? slash : path) + 2 > PATH_MAX)
		return err_sys(err, EX_NOINPUT, errno, "%s", path);
	strncat(real, "/", PATH_MAX - strlen(real) - 1);
	strncat(real, slash ? slash + 1 : path, PATH_MAX - strlen(real) - 1);
	return 0;
}

int rewrite_lock(const char *path, bool make, struct stat *ret_st, struct err *err)
{
	struct stat st, now;
	int fd;

	for (;;) {
		fd = open(path,
			  (make ? O_RDWR | O_CREAT : O_RDWR) | O_CLOEXEC | O_NOCTTY | O_NOFOLLOW,
			  0640);
		if (fd < 0)
			return err_sys(err, errno == ENOENT ? EX_NOINPUT : EX_NOPERM, errno, "%s",
				       path);
		if (flock(fd, LOCK_EX) < 0) {
			err_sys(err, EX_OSERR, errno, "locking %s", path);
			break;
		}
		if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
			err_set(err, EX_NOINPUT, "%s: not a regular file", path);
			break;
		}
		/* another writer may have replaced it while we waited for its lock */
		if (lstat(path, &now) == 0 && now.st_ino == st.st_ino && now.st_dev == st.st_dev) {
			*ret_st = st;
			return fd;
		}
		close(fd);
	}
	close(fd);
	return -1;
}

static int flush_directory(const char *path, struct err *err)
{
	char directory[PATH_MAX];
	const char *slash = strrchr(path, '/');
	int fd, status;

	snprintf(directory, sizeof(directory), "%.*s", slash == path ? 1 : (int)(slash - path),
		 path);
	fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	status = fd < 0 ? -1 : fsync(fd);
	if (status < 0)
		err_sys(err, EX_IOERR, errno, "flushing %s", directory);
	if (fd >= 0)
		close(fd);
	return status;
}

static int keep_owner(int fd, const struct stat *like, const char *path, struct err *err)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return err_sys(err, EX_OSERR, errno, "%s", path);
	if ((st.st_uid != like->st_uid || st.st_gid != like->st_gid) &&
	    fchown(fd, like->st_uid, like->st_gid) < 0)
		return err_sys(
			err, EX_NOPERM, errno,
			"%s: its owner and group cannot be kept; try again as its owner or as "
			"root",
			path);
	if (fchmod(fd, like->st_mode & 07777) < 0)
		return err_sys(err, EX_NOPERM, errno, "%s", path);
	return 0;
}

int rewrite_replace(const char *path, const struct stat *like, rewrite_write *write, void *argument,
		    struct err *err)
{
	char temporary[PATH_MAX];
	FILE *out;
	int fd;

	if ((size_t)snprintf(temporary, sizeof(temporary), "%s.XXXXXX", path) >= sizeof(temporary))
		return err_set(err, EX_DATAERR, "%s: the path is too long", path);
	fd = mkostemp(temporary, O_CLOEXEC);
	if (fd < 0)
		return err_sys(err, EX_CANTCREAT, errno, "%s", temporary);
	out = fdopen(fd, "w");
	if (!out) {
		close(fd);
		err_set(err, EX_OSERR, "out of memory");
		goto drop;
	}
	if (write(out, argument, err) < 0 || keep_owner(fd, like, path, err) < 0) {
		fclose(out);
		goto drop;
	}
	if (fflush(out) != 0 || ferror(out) || fsync(fd) < 0) {
		err_sys(err, EX_IOERR, errno, "writing %s", temporary);
		fclose(out);
		goto drop;
	}
	if (fclose(out) != 0 || rename(temporary, path) < 0) {
		err_sys(err, EX_IOERR, errno, "%s", path);
		goto drop;
	}
	return flush_directory(path, err);
drop:
	unlink(temporary);
	return -1;
}
