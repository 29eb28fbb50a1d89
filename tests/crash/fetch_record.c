/*
 * fetch_record LOG URL OPTION…: `valija fetch` with a table of file operations that carries each of
 * them out and writes it down, a JSON array a line: what, on which inodes, with which octets. The
 * power-cut test replays it with everything that was not flushed happening or not. Test program.
 */
#include "fetch/fetch.h"
#include "fetch/syscalls.h"
#include "fetch/run.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static FILE *record;

static unsigned long long inode(int fd)
{
	struct stat status;

	if (fd == AT_FDCWD)
		return stat(".", &status) < 0 ? 0 : (unsigned long long)status.st_ino;
	return fstat(fd, &status) < 0 ? 0 : (unsigned long long)status.st_ino;
}

static unsigned long long inode_at(int dir, const char *name)
{
	struct stat status;

	return fstatat(dir, name, &status, AT_SYMLINK_NOFOLLOW) < 0
		       ? 0
		       : (unsigned long long)status.st_ino;
}

static int log_openat(int dir, const char *name, int flags, mode_t mode)
{
	bool was = inode_at(dir, name) != 0;
	int fd = fetch_files_real.openat(dir, name, flags, mode);

	if (fd < 0)
		return fd;
	if (!was && (flags & O_CREAT))
		fprintf(record, "[\"create\", %llu, \"%s\", %llu]\n", inode(dir), name, inode(fd));
	else if (flags & O_TRUNC)
		fprintf(record, "[\"truncate\", %llu, 0]\n", inode(fd));
	fflush(record);
	return fd;
}

static ssize_t log_write(int fd, const void *data, size_t size)
{
	off_t at = fcntl(fd, F_GETFL) & O_APPEND ? lseek(fd, 0, SEEK_END) : lseek(fd, 0, SEEK_CUR);
	ssize_t n = fetch_files_real.write(fd, data, size);

	if (n < 0)
		return n;
	fprintf(record, "[\"write\", %llu, %lld, \"", inode(fd), (long long)at);
	for (ssize_t i = 0; i < n; i++)
		fprintf(record, "%02x", ((const unsigned char *)data)[i]);
	fprintf(record, "\"]\n");
	fflush(record);
	return n;
}

static int log_fsync(int fd)
{
	fprintf(record, "[\"fsync\", %llu]\n", inode(fd));
	fflush(record);
	return fetch_files_real.fsync(fd);
}

static int log_syncfs(int fd)
{
	fprintf(record, "[\"syncfs\"]\n");
	fflush(record);
	return fetch_files_real.syncfs(fd);
}

static void log_rename(int from_dir, const char *from, int to_dir, const char *to)
{
	fprintf(record, "[\"rename\", %llu, \"%s\", %llu, \"%s\"]\n", inode(from_dir), from,
		inode(to_dir), to);
	fflush(record);
}

static int log_replace(int from_dir, const char *from, int to_dir, const char *to)
{
	int rc = fetch_files_real.rename(from_dir, from, to_dir, to);

	if (rc == 0)
		log_rename(from_dir, from, to_dir, to);
	return rc;
}

static int log_publish(int from_dir, const char *from, int to_dir, const char *to)
{
	int rc = fetch_files_real.publish(from_dir, from, to_dir, to);

	if (rc == 0)
		log_rename(from_dir, from, to_dir, to);
	return rc;
}

static int log_unlinkat(int dir, const char *name, int flags)
{
	int rc = fetch_files_real.unlinkat(dir, name, flags);

	if (rc == 0)
		fprintf(record, "[\"unlink\", %llu, \"%s\"]\n", inode(dir), name);
	fflush(record);
	return rc;
}

static int log_mkdirat(int dir, const char *name, mode_t mode)
{
	const char *base = strrchr(name, '/');
	char parent[4096];
	int rc = fetch_files_real.mkdirat(dir, name, mode);

	if (rc < 0)
		return rc;
	snprintf(parent, sizeof(parent), "%.*s", base ? (int)(base - name) : 1, base ? name : ".");
	fprintf(record, "[\"mkdir\", %llu, \"%s\", %llu]\n", inode_at(dir, parent),
		base ? base + 1 : name, inode_at(dir, name));
	fflush(record);
	return rc;
}

static int log_ftruncate(int fd, off_t size)
{
	fprintf(record, "[\"truncate\", %llu, %lld]\n", inode(fd), (long long)size);
	fflush(record);
	return fetch_files_real.ftruncate(fd, size);
}

int main(int argc, char **argv)
{
	struct fetch_files files = {
		log_openat,  log_write,    log_fsync,   log_syncfs,    log_replace,
		log_publish, log_unlinkat, log_mkdirat, log_ftruncate, fetch_files_real.close};
	struct fetch_account account;
	struct fetch_options options;
	enum fetch_tls tls;
	struct err err = {0};

	if (argc < 3)
		return 2;
	record = fopen(argv[1], "we");
	fetch_account_defaults(&account);
	if (!record || fetch_options_parse(argc - 2, argv + 2, &options, &account, &err) < 0)
		return 2;
	tls = account.tls;
	if (fetch_account_url(&account, argv[2], &err) < 0)
		return 2;
	account.tls = tls;
	if (fetch_account_check(&account, &err) < 0)
		return 2;
	return fetch_run(&account, &options, &files, NULL);
}
