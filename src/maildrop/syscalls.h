/*
 * The system calls of the maildrop that can fail or leave something on a disk, as one replaceable
 * table: so that tests make every I/O error, full disk and crash point happen. Each entry has the
 * meaning of the libc function of its name. No state; the default table is constant.
 */
#ifndef MAILDROP_SYSCALLS_H
#define MAILDROP_SYSCALLS_H

#include <fcntl.h>
#include <stddef.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <time.h>

struct maildrop_syscalls {
	int (*openat)(int dir, const char *path, int flags, mode_t mode);
	int (*memory_file)(const char *name); /* memfd_create, sealable, close-on-exec */
	ssize_t (*pread)(int fd, void *buf, size_t n, off_t offset);
	ssize_t (*pwrite)(int fd, const void *buf, size_t n, off_t offset);
	ssize_t (*getdents64)(int fd, void *buf, size_t n);
	int (*ftruncate)(int fd, off_t size);
	int (*fsync)(int fd);
	int (*fdatasync)(int fd);
	int (*renameat2)(int old_dir, const char *old_name, int new_dir, const char *new_name,
			 unsigned flags);
	int (*linkat)(int old_dir, const char *old_name, int new_dir, const char *new_name,
		      int flags);
	int (*unlinkat)(int dir, const char *name, int flags);
	int (*mkdirat)(int dir, const char *name, mode_t mode);
	int (*fstat)(int fd, struct stat *st);
	int (*fstatat)(int dir, const char *name, struct stat *st, int flags);
	int (*futimens)(int fd, const struct timespec times[2]);
	int (*lock)(int fd, int command, struct flock *lock); /* fcntl */
	int (*flock)(int fd, int operation);
	int (*clock_gettime)(clockid_t clock, struct timespec *ret);
};

extern const struct maildrop_syscalls maildrop_kernel;
/*
 * The same, but what is not in memory fails with EAGAIN instead of waiting for a disk (openat,
 * pread); only reading, and locks that are not waited for. fstatat is the kernel's and waits for a
 * name that is not in memory: who calls it says why it is. A read may end early, where the next
 * octets are not in memory. Stays on the filesystem it begins on, and means what it says where
 * maildrop_is_local.
 */
extern const struct maildrop_syscalls maildrop_cached;

/* One read, begun again after a signal. A short count is the end of a regular file, or (cached)
 * of what is in memory. */
ssize_t maildrop_pread(const struct maildrop_syscalls *sys, int fd, void *buf, size_t n,
		       off_t offset);
/* Writes all of it: 0, or -1. */
int maildrop_pwrite(const struct maildrop_syscalls *sys, int fd, const void *data, size_t size,
		    off_t offset);

#endif
