/* See mail_line.h. */
#include "maildrop/mail_line.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NAME_SIZE = 64 };

static ssize_t read_open(const struct maildrop_syscalls *sys, int root_fd, int fd, char *ret,
			 size_t size)
{
	char line[MAIL_LINE_MAX + 1];
	struct stat st, root;
	ssize_t n;

	if (sys->fstat(fd, &st) < 0 || sys->fstat(root_fd, &root) < 0)
		return MAIL_LINE_FAILED;
	if (!S_ISREG(st.st_mode) || (st.st_uid != 0 && st.st_uid != root.st_uid))
		return MAIL_LINE_NOT_OURS;
	n = maildrop_pread(sys, fd, line, size + 1, 0);
	if (n < 0)
		return MAIL_LINE_FAILED;
	if (n == 0 || (size_t)n > size || line[n - 1] != '\n')
		return MAIL_LINE_NO_LINE;
	line[n - 1] = '\0';
	memcpy(ret, line, (size_t)n);
	return n - 1;
}

ssize_t mail_line_read(const struct maildrop_syscalls *sys, int root_fd, const char *name,
		       char *ret, size_t size)
{
	/* not to wait for a FIFO of that name */
	int fd = sys->openat(root_fd, name,
			     O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0);
	ssize_t n;
	int saved;

	if (fd < 0)
		return MAIL_LINE_FAILED;
	n = read_open(sys, root_fd, fd, ret, size);
	saved = errno;
	close(fd);
	errno = saved;
	return n;
}

/* fd: of the staged file, which gets its name when it is on the disk. */
static int fill(int root_fd, int fd, const char *staged, const char *name, const char *line)
{
	char text[MAIL_LINE_MAX + 1];
	int n = snprintf(text, sizeof(text), "%s\n", line);

	if (maildrop_pwrite(&maildrop_kernel, fd, text, (size_t)n, 0) < 0 || fchmod(fd, 0644) < 0 ||
	    fsync(fd) < 0 || renameat(root_fd, staged, root_fd, name) < 0)
		return MAIL_LINE_NOT_WRITTEN;
	return fsync(root_fd) < 0 ? MAIL_LINE_NOT_KEPT : 0;
}

int mail_line_write(int root_fd, const char *name, const char *line)
{
	char staged[NAME_SIZE];
	int fd, result, saved;

	snprintf(staged, sizeof(staged), "%s.new", name);
	(void)unlinkat(root_fd, staged, 0); /* of a crash */
	fd = openat(root_fd, staged, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd < 0)
		return MAIL_LINE_NOT_MADE;
	result = fill(root_fd, fd, staged, name, line);
	saved = errno;
	if (result == MAIL_LINE_NOT_WRITTEN)
		(void)unlinkat(root_fd, staged, 0);
	close(fd);
	errno = saved;
	return result;
}
