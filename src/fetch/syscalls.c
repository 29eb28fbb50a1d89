/* The real system calls behind struct fetch_files, and the clock; for every room of fetch, in each
 * of its processes. Descriptors stay the caller's. */
#include "fetch/syscalls.h"

#include "base/descriptor.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static int real_openat(int dir, const char *name, int flags, mode_t mode)
{
	return openat(dir, name, flags | O_CLOEXEC, mode);
}

static int real_rename(int from_dir, const char *from, int to_dir, const char *to)
{
	return renameat(from_dir, from, to_dir, to);
}

/* Filesystems without RENAME_NOREPLACE (NFS): link and unlink, which never replaces either. */
static int real_publish(int from_dir, const char *from, int to_dir, const char *to)
{
	if (renameat2(from_dir, from, to_dir, to, RENAME_NOREPLACE) == 0)
		return 0;
	if (errno != EINVAL && errno != ENOSYS)
		return -1;
	if (linkat(from_dir, from, to_dir, to, 0) < 0)
		return -1;
	return unlinkat(from_dir, from, 0);
}

const struct fetch_files fetch_files_real = {
	.openat = real_openat,
	.write = write,
	.fsync = fsync,
	.syncfs = syncfs,
	.rename = real_rename,
	.publish = real_publish,
	.unlinkat = unlinkat,
	.mkdirat = mkdirat,
	.ftruncate = ftruncate,
	.close = close,
};

int fetch_write_all(const struct fetch_files *files, int fd, const void *data, size_t size)
{
	return write_all_by(files->write, fd, data, size);
}

int fetch_replace(const struct fetch_files *files, int dir, const char *name, const char *text,
		  mode_t mode)
{
	char fresh[PATH_MAX];
	int fd, rc, saved;

	if (snprintf(fresh, sizeof(fresh), "%s.new", name) >= (int)sizeof(fresh)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	fd = files->openat(dir, fresh, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, mode);
	if (fd < 0)
		return -1;
	rc = fetch_write_all(files, fd, text, strlen(text));
	if (rc == 0) /* whatever the umask, or the one that was left there */
		rc = fchmod(fd, mode);
	if (rc == 0)
		rc = files->rename(dir, fresh, dir, name);
	saved = errno;
	files->close(fd);
	errno = saved;
	return rc;
}

int fetch_flush_parent(const struct fetch_files *files, const char *path)
{
	char copy[PATH_MAX];
	int fd, rc, saved;

	snprintf(copy, sizeof(copy), "%s", path);
	fd = files->openat(AT_FDCWD, dirname(copy), O_RDONLY | O_DIRECTORY, 0);
	if (fd < 0)
		return errno == EACCES ? 0 : -1;
	rc = files->fsync(fd);
	saved = errno;
	files->close(fd);
	errno = saved;
	return rc;
}

void fetch_write_behind(int fd, uint64_t from)
{
	sync_file_range(fd, (off_t)from, 0, SYNC_FILE_RANGE_WRITE);
}

int64_t fetch_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}
