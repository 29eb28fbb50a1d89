/* See grant_folder.h. */
#include "oauth/grant_folder.h"

#include "base/descriptor.h"
#include "base/err.h"
#include "base/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

enum { LOCK_PAUSE_MS = 20 };

int grant_folder_open(const char *path, uid_t owner, struct err *err)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct stat st;

	if (fd < 0)
		return err_sys(err, EX_CONFIG, errno, "cannot open the folder of grants %s", path);
	if (fstat(fd, &st) == 0 && st.st_uid == owner && !(st.st_mode & (S_IRWXG | S_IRWXO)))
		return fd;
	close(fd);
	return err_set(err, EX_NOPERM,
		       "%s holds refresh tokens: it has to be of uid %lu, and closed to others "
		       "(chown %lu %s; chmod 700 %s)",
		       path, (unsigned long)owner, (unsigned long)owner, path, path);
}

/* ---- the lock ---- */

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int wait_for_lock(int fd, int64_t deadline)
{
	const struct timespec pause = {.tv_nsec = LOCK_PAUSE_MS * 1000000L};
	struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

	while (fcntl(fd, F_OFD_SETLK, &whole) < 0) {
		if (errno != EAGAIN && errno != EACCES && errno != EINTR)
			return -1;
		if (now_ms() >= deadline) {
			errno = ETIMEDOUT;
			return -1;
		}
		nanosleep(&pause, NULL);
	}
	return 0;
}

/* As root: what is made is the spender's, who has to open it later. */
static int give(const struct grant_file *file, int fd)
{
	return geteuid() == 0 ? fchown(fd, file->owner, (gid_t)-1) : 0;
}

int grant_file_open(int dir, const char *user, uid_t owner, int64_t deadline,
		    struct grant_file *ret, struct err *err)
{
	char lock[sizeof(ret->name) + 8];
	size_t n = strlen(user);

	*ret = (struct grant_file){.dir = dir, .lock = -1, .owner = owner};
	if (n > GRANT_NAME_MAX)
		return err_set(err, EX_DATAERR, "a name of over %d octets has no grant",
			       GRANT_NAME_MAX);
	if (n == 0 || user[0] == '.' || strchr(user, '/'))
		return err_set(err, EX_DATAERR, "a grant has no such name");
	snprintf(ret->name, sizeof(ret->name), "%s.grant", user);
	snprintf(lock, sizeof(lock), "%s.lock", ret->name);
	ret->lock = openat(dir, lock, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (ret->lock < 0)
		return err_sys(err, EX_CANTCREAT, errno, "cannot open %s", lock);
	if (give(ret, ret->lock) == 0 && wait_for_lock(ret->lock, deadline) == 0)
		return 0;
	err_sys(err, EX_TEMPFAIL, errno, "cannot lock %s", lock);
	grant_file_close(ret);
	return -1;
}

void grant_file_close(struct grant_file *file)
{
	close_fd(&file->lock);
}

/* ---- the file ---- */

static ssize_t read_text(const struct grant_file *file, char *text, struct err *err)
{
	int fd = openat(file->dir, file->name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	ssize_t n;

	if (fd < 0 && errno == ENOENT)
		return 0;
	n = fd < 0 ? -1 : read(fd, text, GRANT_TEXT_MAX);
	if (n < 0)
		err_sys(err, EX_IOERR, errno, "cannot read %s", file->name);
	close_fd(&fd);
	return n;
}

int grant_file_load(const struct grant_file *file, struct grant *ret, struct err *err)
{
	char *text = malloc(GRANT_TEXT_MAX);
	ssize_t n;
	int rc;

	grant_init(ret);
	if (!text)
		return err_sys(err, EX_OSERR, errno, "memory");
	n = read_text(file, text, err);
	rc = n > 0 ? 1 : (int)n;
	if (n > 0 && grant_read((pop3_span){text, (size_t)n}, ret) < 0)
		rc = err_set(err, EX_DATAERR,
			     "%s holds no tokens, or a part of them: consent again", file->name);
	wipe(text, GRANT_TEXT_MAX);
	free(text);
	return rc;
}

static int write_text(const struct grant_file *file, const char *text, size_t size, struct err *err)
{
	char temporary[sizeof(file->name) + 8];
	int fd, rc = -1;

	snprintf(temporary, sizeof(temporary), "%s.new", file->name);
	/* left by a process that was killed; the lock says that nobody writes it */
	unlinkat(file->dir, temporary, 0);
	fd = openat(file->dir, temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_sys(err, EX_CANTCREAT, errno, "cannot make %s", temporary);
	if (give(file, fd) == 0 && write_all(fd, text, size) == 0 && fsync(fd) == 0 &&
	    renameat(file->dir, temporary, file->dir, file->name) == 0 && fsync(file->dir) == 0)
		rc = 0;
	else
		err_sys(err, EX_IOERR, errno, "cannot write %s", file->name);
	close(fd);
	return rc;
}

int grant_file_save(const struct grant_file *file, const struct grant *grant, struct err *err)
{
	char *text = malloc(GRANT_TEXT_MAX);
	int n = text ? grant_write(grant, text, GRANT_TEXT_MAX) : -1, rc;

	if (n < 0)
		rc = err_set(err, EX_SOFTWARE, "the tokens are too long");
	else
		rc = write_text(file, text, (size_t)n, err);
	if (text)
		wipe(text, GRANT_TEXT_MAX);
	free(text);
	return rc;
}

int grant_file_remove(const struct grant_file *file, struct err *err)
{
	if ((unlinkat(file->dir, file->name, 0) < 0 && errno != ENOENT) || fsync(file->dir) < 0)
		return err_sys(err, EX_IOERR, errno, "cannot remove %s", file->name);
	return 0;
}
