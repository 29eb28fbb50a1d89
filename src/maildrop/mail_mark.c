/* See mail_mark.h. The writer may be root in a folder of somebody else: names are never followed
 * as links, and what is removed or renamed is that folder's own, which its owner could do, too. */
#include "maildrop/mail_mark.h"

#include "base/random.h"
#include "base/text.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#define STAGED_NAME MAIL_MARK_NAME ".new"
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
	/* not to wait for a FIFO of that name */
	int fd = sys->openat(root_fd, MAIL_MARK_NAME,
			     O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0);
	char line[MAIL_MARK_SIZE + 1] = "";
	struct stat st, root;
	ssize_t n = -1;

	if (fd < 0)
		return -1;
	if (sys->fstat(fd, &st) == 0 && sys->fstat(root_fd, &root) == 0 && S_ISREG(st.st_mode) &&
	    (st.st_uid == 0 || st.st_uid == root.st_uid))
		n = maildrop_pread(sys, fd, line, sizeof(line), 0);
	close(fd);
	if (n != MAIL_MARK_SIZE || line[MAIL_MARK_SIZE - 1] != '\n')
		return -1;
	line[MAIL_MARK_SIZE - 1] = '\0';
	if (!mail_mark_valid(line, strlen(line)))
		return -1;
	memcpy(ret, line, MAIL_MARK_SIZE);
	return 0;
}

/* fd: of the new file, which gets its name when it is on the disk. */
static int fill(int root_fd, int fd, const char id[MAIL_MARK_SIZE])
{
	char line[MAIL_MARK_SIZE];

	memcpy(line, id, MAIL_MARK_SIZE - 1);
	line[MAIL_MARK_SIZE - 1] = '\n';
	/* readable for keepers of other users, whatever the umask */
	if (maildrop_pwrite(&maildrop_kernel, fd, line, sizeof(line), 0) < 0 ||
	    fchmod(fd, 0644) < 0 || fsync(fd) < 0 ||
	    renameat(root_fd, STAGED_NAME, root_fd, MAIL_MARK_NAME) < 0)
		return -1;
	return fsync(root_fd);
}

int mail_mark_write(int root_fd, char ret[MAIL_MARK_SIZE], struct err *err)
{
	unsigned char octets[ID_OCTETS];
	char id[MAIL_MARK_SIZE];
	int fd, result;

	if (mail_mark_read(&maildrop_kernel, root_fd, ret) == 0)
		return 0;
	if (random_octets(octets, sizeof(octets)) < 0)
		return err_sys(err, EX_OSERR, errno, "no random octets");
	hex_encode(octets, sizeof(octets), id);
	(void)unlinkat(root_fd, STAGED_NAME, 0); /* of a crash */
	fd = openat(root_fd, STAGED_NAME, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
		    0644);
	result = fd < 0 ? -1 : fill(root_fd, fd, id);
	if (result < 0) {
		err_sys(err, fd < 0 ? EX_CANTCREAT : EX_IOERR, errno,
			"its mark " MAIL_MARK_NAME " cannot be written");
		/* one that a power cut may take away is none; what was there did not count */
		if (fd >= 0 && unlinkat(root_fd, STAGED_NAME, 0) < 0)
			(void)unlinkat(root_fd, MAIL_MARK_NAME, 0);
	} else {
		memcpy(ret, id, MAIL_MARK_SIZE);
	}
	if (fd >= 0)
		close(fd);
	return result;
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
