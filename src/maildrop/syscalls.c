/* See syscalls.h: the table that asks the kernel. */
#include "maildrop/syscalls.h"

#include "maildrop/maildrop.h"

#include <dirent.h>
#include <errno.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <unistd.h>

static int kernel_openat(int dir, const char *path, int flags, mode_t mode)
{
	return openat(dir, path, flags, mode);
}

static int kernel_memory_file(const char *name)
{
	return memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
}

static int kernel_lock(int fd, int command, struct flock *lock)
{
	return fcntl(fd, command, lock);
}

const struct maildrop_syscalls maildrop_kernel = {
	.openat = kernel_openat,
	.memory_file = kernel_memory_file,
	.pread = pread,
	.pwrite = pwrite,
	.getdents64 = getdents64,
	.ftruncate = ftruncate,
	.fsync = fsync,
	.fdatasync = fdatasync,
	.renameat2 = renameat2,
	.linkat = linkat,
	.unlinkat = unlinkat,
	.mkdirat = mkdirat,
	.fstat = fstat,
	.fstatat = fstatat,
	.futimens = futimens,
	.lock = kernel_lock,
	.flock = flock,
	.clock_gettime = clock_gettime,
};

static int cached_openat(int dir, const char *path, int flags, mode_t mode)
{
	struct open_how how = {.flags = (unsigned)flags,
			       .resolve = RESOLVE_CACHED | RESOLVE_NO_XDEV};

	(void)mode; /* nothing is made here */
	return (int)syscall(SYS_openat2, dir, path, &how, sizeof(how));
}

static int step_cached(int dir, const char *path)
{
	struct open_how how = {.flags = O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC,
			       .resolve = RESOLVE_CACHED | RESOLVE_NO_SYMLINKS};

	return (int)syscall(SYS_openat2, dir, path, &how, sizeof(how));
}

/* The deepest folder on the way that is in memory. -1: not even the first. */
static int deepest_cached(int root_fd, const char *home)
{
	char component[256];
	int dir = step_cached(root_fd, home), next;

	if (dir >= 0)
		return dir;
	while (*home) {
		size_t n = strcspn(home, "/");

		if (n >= sizeof(component))
			break;
		memcpy(component, home, n);
		component[n] = '\0';
		next = step_cached(dir < 0 ? root_fd : dir, component);
		if (next < 0)
			break;
		if (dir >= 0)
			close(dir);
		dir = next;
		home += n + (home[n] == '/');
	}
	return dir;
}

/* Nothing but the device is asked for, and no server is asked for that. */
uint64_t maildrop_device(int root_fd, const char *home)
{
	int dir = deepest_cached(root_fd, home);
	struct statx st = {0};

	(void)statx(dir < 0 ? root_fd : dir, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, 0, &st);
	if (dir >= 0)
		close(dir);
	return (uint64_t)st.stx_dev_major << 32 | st.stx_dev_minor;
}

static ssize_t cached_pread(int fd, void *buf, size_t n, off_t offset)
{
	struct iovec part = {buf, n};

	return preadv2(fd, &part, 1, offset, RWF_NOWAIT);
}

static ssize_t cached_getdents64(int fd, void *buf, size_t n)
{
	(void)fd;
	(void)buf;
	(void)n;
	errno = EAGAIN;
	return -1;
}

const struct maildrop_syscalls maildrop_cached = {
	.openat = cached_openat,
	.pread = cached_pread,
	.getdents64 = cached_getdents64,
	.fstat = fstat,
	.fstatat = fstatat,
	.lock = kernel_lock,
	.flock = flock,
};

ssize_t maildrop_pread(const struct maildrop_syscalls *sys, int fd, void *buf, size_t n,
		       off_t offset)
{
	ssize_t got;

	do
		got = sys->pread(fd, buf, n, offset);
	while (got < 0 && errno == EINTR);
	return got;
}

int maildrop_pwrite(const struct maildrop_syscalls *sys, int fd, const void *data, size_t size,
		    off_t offset)
{
	const char *at = data;

	while (size) {
		ssize_t n = sys->pwrite(fd, at, size, offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n == 0)
			errno = EIO;
		if (n <= 0)
			return -1;
		at += n;
		size -= (size_t)n;
		offset += n;
	}
	return 0;
}

static enum maildrop_lending lending_of(unsigned long filesystem)
{
	switch (filesystem) {
	case BTRFS_SUPER_MAGIC:
	case EXT4_SUPER_MAGIC: /* ext2 and ext3, too */
	case F2FS_SUPER_MAGIC:
	case XFS_SUPER_MAGIC:
		return MAILDROP_LEND_FILE;
	case RAMFS_MAGIC:
	case TMPFS_MAGIC: /* memory files, too */
		return MAILDROP_LEND_MEMORY;
	}
	return MAILDROP_LEND_VALUE;
}

bool maildrop_is_local(int root_fd)
{
	struct statfs fs;

	return fstatfs(root_fd, &fs) == 0 &&
	       lending_of((unsigned long)fs.f_type) == MAILDROP_LEND_FILE;
}

/* Asked of each file, not remembered by device: the number of a device that is unmounted is given
 * to the next one. */
enum maildrop_lending maildrop_lending(int fd)
{
	enum maildrop_lending lending;
	struct statfs fs;
	char octet;

	if (fstatfs(fd, &fs) < 0)
		return MAILDROP_LEND_VALUE;
	lending = lending_of((unsigned long)fs.f_type);
	if (lending == MAILDROP_LEND_FILE && cached_pread(fd, &octet, 1, 0) < 0 && errno != EAGAIN)
		return MAILDROP_LEND_VALUE;
	return lending;
}
