/*
 * A ledger of what is not known to be on the disk: tests that put their own tables in the place of
 * the system calls note each write, each name and each flush in it, and then ask, at the moment an
 * answer is given, whether the files and folders it depends on were flushed. A flush that was left
 * out, and one that failed, both leave their file in the ledger. Header only; single-threaded test
 * programs.
 */
#ifndef TESTS_LEDGER_H
#define TESTS_LEDGER_H

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>

enum ledger_bits {
	LEDGER_OCTETS = 1,  /* of a file: written or cut */
	LEDGER_NAMES = 2,   /* of a folder: a file was renamed into it or out of it */
	LEDGER_REMOVED = 4, /* of a folder: a name was removed */
	LEDGER_MADE = 8,    /* of a folder: a file was made in it */
	LEDGER_FOLDER = 16, /* of a folder: a folder was made in it */
	LEDGER_NEVER = 32,  /* of a file: made here and never flushed since */
};

#define LEDGER_MAX 512

static struct ledger_entry {
	dev_t dev;
	ino_t ino;
	unsigned bits;
} ledger[LEDGER_MAX];
static unsigned ledger_count;

static inline void ledger_clear(void)
{
	ledger_count = 0;
}

static inline struct ledger_entry *ledger_of(const struct stat *st)
{
	for (unsigned i = 0; i < ledger_count; i++)
		if (ledger[i].dev == st->st_dev && ledger[i].ino == st->st_ino)
			return &ledger[i];
	if (ledger_count == LEDGER_MAX)
		ledger_count = 0; /* a test that long clears it itself */
	ledger[ledger_count] = (struct ledger_entry){.dev = st->st_dev, .ino = st->st_ino};
	return &ledger[ledger_count++];
}

/* Something happened to the file or folder. errno stays. */
static inline void ledger_note(int fd, unsigned bits)
{
	int saved = errno;
	struct stat st;

	/* AT_FDCWD is the folder "." */
	if ((fd == AT_FDCWD ? stat(".", &st) : fstat(fd, &st)) == 0)
		ledger_of(&st)->bits |= bits;
	errno = saved;
}

/* A file that was made a moment ago: an inode number may have been another file's before. */
static inline void ledger_made(int fd)
{
	int saved = errno;
	struct stat st;

	if (fstat(fd, &st) == 0)
		ledger_of(&st)->bits = LEDGER_OCTETS | LEDGER_NEVER;
	errno = saved;
}

static inline void ledger_flushed(int fd)
{
	int saved = errno;
	struct stat st;

	if (fstat(fd, &st) == 0)
		ledger_of(&st)->bits = 0;
	errno = saved;
}

/* What is open of the file or folder; one that nothing happened to: 0. */
static inline unsigned ledger_open(int dir, const char *path)
{
	struct stat st;

	return fstatat(dir, path, &st, AT_SYMLINK_NOFOLLOW) < 0 ? 0 : ledger_of(&st)->bits;
}

static inline unsigned ledger_open_fd(int fd)
{
	struct stat st;

	return fstat(fd, &st) < 0 ? 0 : ledger_of(&st)->bits;
}

#endif
