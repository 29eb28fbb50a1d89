/*
 * The system calls on files that `valija fetch` makes, as one table: tests put their own in its
 * place to fail, to count and to record each of them. Semantics are those of the calls; −1 and
 * errno. Everything that mail or its state depends on goes through here. Beside it the
 * monotonic clock, which every room reads.
 */
#ifndef FETCH_SYSCALLS_H
#define FETCH_SYSCALLS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct fetch_files {
	int (*openat)(int dir, const char *name, int flags, mode_t mode);
	ssize_t (*write)(int fd, const void *data, size_t size);
	int (*fsync)(int fd);
	int (*syncfs)(int fd);
	int (*rename)(int from_dir, const char *from, int to_dir, const char *to); /* replaces */
	int (*publish)(int from_dir, const char *from, int to_dir,
		       const char *to); /* rename that never replaces: EEXIST */
	int (*unlinkat)(int dir, const char *name, int flags);
	int (*mkdirat)(int dir, const char *name, mode_t mode);
	int (*ftruncate)(int fd, off_t size);
	int (*close)(int fd);
};

extern const struct fetch_files fetch_files_real;

/* Writes all of it, or -1. */
int fetch_write_all(const struct fetch_files *files, int fd, const void *data, size_t size);
/* Puts text in the place of a file as a whole, so that no reader sees half of it: written as
 * NAME.new and renamed. Not flushed: a power cut may bring the old one back. 0, or -1. */
int fetch_replace(const struct fetch_files *files, int dir, const char *name, const char *text,
		  mode_t mode);
/* Flushes the folder that the path is in: a file or folder that was just made may lose its name to
 * a power cut, with all that was flushed in it. 0, or -1; one that may not be read cannot be
 * flushed, and is passed over. */
int fetch_flush_parent(const struct fetch_files *files, const char *path);
/* Starts writing fd's octets to the disk, from there on, without waiting: the fsync that follows is
 * short. */
void fetch_write_behind(int fd, uint64_t from);
/* Milliseconds of the monotonic clock: only differences mean something. */
int64_t fetch_now(void);

#endif
