/* See ban_file.h. */
#include "server/monitor/ban_file.h"

#include "base/descriptor.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

enum { PATH_MAX_HERE = 1024 };

static int read_text(int fd, const char *path, char **ret, size_t *ret_size, struct err *err)
{
	struct stat st;
	char *text;
	ssize_t n;

	if (fstat(fd, &st) < 0)
		return err_sys(err, EX_NOINPUT, errno, "%s", path);
	if (!S_ISREG(st.st_mode) || st.st_size > BAN_TEXT_MAX)
		return err_set(err, EX_DATAERR, "%s: it is no regular file, or is too large", path);
	text = malloc(BAN_TEXT_MAX);
	if (!text)
		return err_set(err, EX_OSERR, "%s: no memory", path);
	n = read_all(fd, text, BAN_TEXT_MAX);
	if (n < 0) {
		free(text);
		return err_sys(err, EX_NOINPUT, errno, "%s cannot be read", path);
	}
	*ret = text;
	*ret_size = (size_t)n;
	return 0;
}

int ban_file_read(const char *path, int64_t now, struct ban_list *list, struct err *err)
{
	int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC), rc;
	char *text;
	size_t size;

	if (fd < 0 && errno == ENOENT)
		return 0;
	if (fd < 0)
		return err_sys(err, EX_NOINPUT, errno, "%s cannot be opened", path);
	rc = read_text(fd, path, &text, &size, err);
	close(fd);
	if (rc < 0)
		return -1;
	rc = ban_list_parse(list, (pop3_span){text, size}, path, now, err);
	free(text);
	return rc;
}

static int flush_folder(const char *path)
{
	char folder[PATH_MAX_HERE];
	const char *slash = strrchr(path, '/');
	int fd, rc;

	snprintf(folder, sizeof(folder), "%.*s", slash ? (int)(slash - path) + 1 : 1,
		 slash ? path : ".");
	fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	rc = fd < 0 ? -1 : fsync(fd);
	close_fd(&fd);
	return rc;
}

int ban_file_write(const char *path, const char *text, size_t size, struct err *err)
{
	char staged[PATH_MAX_HERE];
	int fd, rc;

	snprintf(staged, sizeof(staged), "%s.new", path);
	fd = open(staged, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_sys(err, EX_CANTCREAT, errno, "%s cannot be made", staged);
	rc = write_all(fd, text, size) < 0 || fsync(fd) < 0 ? -1 : 0;
	if (rc == 0)
		rc = rename(staged, path) < 0 || flush_folder(path) < 0 ? -1 : 0;
	if (rc < 0)
		err_sys(err, EX_IOERR, errno, "%s cannot be written", path);
	close_fd(&fd);
	return rc;
}
