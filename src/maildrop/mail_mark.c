/* See mail_mark.h. */
#include "maildrop/mail_mark.h"

#include "base/random.h"
#include "base/text.h"
#include "maildrop/mail_line.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#define LOCK_NAME "valija-lock"
enum {
	ID_OCTETS = (MAIL_MARK_SIZE - 1) / 2,
	LEVELS = 3, /* as domain/user/Maildir */
	ENTRIES_BUFFER = 4096,
	LOOKED_AT_MAX = 4096, /* entries: a start does not wait for a million of them */
};

bool mail_mark_valid(const char *id, size_t size)
{
	return size == MAIL_MARK_SIZE - 1 && strspn(id, "0123456789abcdef") >= size;
}

int mail_mark_read(const struct maildrop_syscalls *sys, int root_fd, char ret[MAIL_MARK_SIZE])
{
	char line[MAIL_MARK_SIZE];
	ssize_t n = mail_line_read(sys, root_fd, MAIL_MARK_NAME, line, sizeof(line));

	if (n < 0 || !mail_mark_valid(line, (size_t)n))
		return -1;
	memcpy(ret, line, MAIL_MARK_SIZE);
	return 0;
}

int mail_mark_write(int root_fd, char ret[MAIL_MARK_SIZE], struct err *err)
{
	unsigned char octets[ID_OCTETS];
	char id[MAIL_MARK_SIZE];
	int result;

	if (mail_mark_read(&maildrop_kernel, root_fd, ret) == 0)
		return 0;
	if (random_octets(octets, sizeof(octets)) < 0)
		return err_sys(err, EX_OSERR, errno, "no random octets");
	hex_encode(octets, sizeof(octets), id);
	result = mail_line_write(root_fd, MAIL_MARK_NAME, id);
	if (result == 0) {
		memcpy(ret, id, MAIL_MARK_SIZE);
		return 0;
	}
	err_sys(err, result == MAIL_LINE_NOT_MADE ? EX_CANTCREAT : EX_IOERR, errno,
		"its mark " MAIL_MARK_NAME " cannot be written");
	/* one that a power cut may take away is none; what was there did not count */
	if (result == MAIL_LINE_NOT_KEPT)
		(void)unlinkat(root_fd, MAIL_MARK_NAME, 0);
	return -1;
}

static bool search(int parent, const char *name, int levels, int *budget);

/* System calls only: it may run in a process that was forked beside a thread with a lock. */
static bool search_entries(int fd, int levels, int *budget)
{
	_Alignas(struct dirent64) char buf[ENTRIES_BUFFER];
	ssize_t n = 1;

	while (*budget > 0 && (n = maildrop_kernel.getdents64(fd, buf, sizeof(buf))) > 0)
		for (ssize_t at = 0; at < n && (*budget)-- > 0;) {
			const struct dirent64 *entry = (const struct dirent64 *)(buf + at);

			if (entry->d_name[0] != '.' &&
			    (entry->d_type == DT_DIR || entry->d_type == DT_UNKNOWN) &&
			    search(fd, entry->d_name, levels - 1, budget))
				return true;
			at += entry->d_reclen;
		}
	return false;
}

static bool search(int parent, const char *name, int levels, int *budget)
{
	int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat st;
	bool found;

	if (fd < 0)
		return false;
	found = levels < LEVELS && fstatat(fd, LOCK_NAME, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		S_ISREG(st.st_mode);
	found = found || (levels > 0 && search_entries(fd, levels, budget));
	close(fd);
	return found;
}

bool mail_mark_earned(int root_fd)
{
	int budget = LOOKED_AT_MAX;

	return search(root_fd, ".", LEVELS, &budget);
}
