/* See syscalls.h: the table that asks the kernel. */
#include "maildrop/syscalls.h"

#include <dirent.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/mman.h>
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
};
