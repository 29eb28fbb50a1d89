/* See logins_folder.h. */
#include "server/monitor/logins_folder.h"

#include "users/last_logins.h"
#include "users/learned.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

/* A second name of the file would be a file of somebody else: that one is not given away. */
static int give_file(int fd, const char *name, const struct stat *folder, uid_t uid, gid_t gid)
{
	struct stat file;

	if (fstatat(fd, name, &file, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(file.st_mode) ||
	    file.st_nlink != 1 || file.st_uid != folder->st_uid)
		return 0;
	return fchownat(fd, name, uid, gid, AT_SYMLINK_NOFOLLOW);
}

/* The folder, and the files of a user that had it before. */
static int give(int fd, uid_t uid, gid_t gid)
{
	struct stat folder;

	if (fstat(fd, &folder) < 0)
		return -1;
	if (folder.st_uid == uid)
		return 0;
	if (give_file(fd, LAST_LOGINS_FILE, &folder, uid, gid) < 0 ||
	    give_file(fd, LEARNED_FILE, &folder, uid, gid) < 0)
		return -1;
	return fchown(fd, uid, gid);
}

int logins_folder_open(const struct mail_root *mail, bool root, uid_t uid, gid_t gid, int *ret,
		       struct err *err)
{
	char path[MAIL_ROOT_MEMORY_MAX];
	int fd;

	if (mail_root_last_logins(mail, true, path) < 0)
		return err_set(err, EX_CANTCREAT, "there is no state folder: set STATE_DIRECTORY");
	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return err_sys(err, EX_CANTCREAT, errno, "%s cannot be made", path);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return err_sys(err, EX_NOINPUT, errno, "%s", path);
	if (root && give(fd, uid, gid) < 0) {
		err_sys(err, EX_NOPERM, errno, "%s cannot be given to its user", path);
		close(fd);
		return -1;
	}
	*ret = fd;
	return 0;
}
