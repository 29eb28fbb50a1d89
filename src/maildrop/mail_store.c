/* See mail_store.h. The writer may be root in a folder of somebody else, as that of the mark. */
#include "maildrop/mail_store.h"

#include "maildrop/store.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#define STAGED_NAME MAIL_STORE_NAME ".new"
enum {
	LINE_MAX_HERE = 16,
	ENTRIES_BUFFER = 4096,
	LOOKED_AT_MAX = 4096, /* entries */
};

static const char *const words[STORE_KINDS] = {[STORE_MAILDIR] = "maildir", [STORE_MBOX] = "mbox"};

int mail_store_of_word(const char *word)
{
	for (int kind = 0; kind < STORE_KINDS; kind++)
		if (strcmp(words[kind], word) == 0)
			return kind;
	return -1;
}

const char *mail_store_word(int kind)
{
	return words[kind];
}

int mail_store_read(const struct maildrop_syscalls *sys, int root_fd)
{
	/* not to wait for a FIFO of that name */
	int fd = sys->openat(root_fd, MAIL_STORE_NAME,
			     O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0);
	char line[LINE_MAX_HERE] = "";
	struct stat st, root;
	ssize_t n = -1;

	if (fd < 0)
		return -1;
	if (sys->fstat(fd, &st) == 0 && sys->fstat(root_fd, &root) == 0 && S_ISREG(st.st_mode) &&
	    (st.st_uid == 0 || st.st_uid == root.st_uid))
		n = maildrop_pread(sys, fd, line, sizeof(line) - 1, 0);
	close(fd);
	if (n <= 0 || line[n - 1] != '\n')
		return -1;
	line[n - 1] = '\0';
	return mail_store_of_word(line);
}

/* fd: of the new file, which gets its name when it is on the disk. */
static int fill(int root_fd, int fd, const char *word)
{
	char line[LINE_MAX_HERE];
	int n = snprintf(line, sizeof(line), "%s\n", word);

	if (maildrop_pwrite(&maildrop_kernel, fd, line, (size_t)n, 0) < 0 || fchmod(fd, 0644) < 0 ||
	    fsync(fd) < 0 || renameat(root_fd, STAGED_NAME, root_fd, MAIL_STORE_NAME) < 0)
		return -1;
	return fsync(root_fd);
}

int mail_store_write(int root_fd, int kind, struct err *err)
{
	int fd, rc;

	(void)unlinkat(root_fd, STAGED_NAME, 0); /* of a crash */
	fd = openat(root_fd, STAGED_NAME, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
		    0644);
	rc = fd < 0 ? -1 : fill(root_fd, fd, words[kind]);
	if (rc < 0) {
		err_sys(err, fd < 0 ? EX_CANTCREAT : EX_IOERR, errno,
			"its file " MAIL_STORE_NAME " cannot be written");
		(void)unlinkat(root_fd, STAGED_NAME, 0);
	}
	if (fd >= 0)
		close(fd);
	return rc;
}

/* ---- what is there ---- */

static bool is_lock(const char *name)
{
	size_t n = strlen(name);

	return n > 5 && strcmp(name + n - 5, ".lock") == 0;
}

/* An empty one may be a mailbox of which all mail was collected. */
static bool is_mailbox(int root_fd, const char *name)
{
	int fd = openat(root_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	char begin[5];
	ssize_t n = fd < 0 ? -1 : pread(fd, begin, sizeof(begin), 0);

	if (fd >= 0)
		close(fd);
	return n == 0 || (n == sizeof(begin) && memcmp(begin, "From ", sizeof(begin)) == 0);
}

struct found {
	bool mailboxes, folders;
};

static void look_at(int root_fd, const char *name, struct found *found)
{
	struct stat st;

	if (name[0] == '.' || strcmp(name, "lost+found") == 0 ||
	    fstatat(root_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return;
	if (S_ISDIR(st.st_mode))
		found->folders = true;
	else if (S_ISREG(st.st_mode) && !found->mailboxes && !is_lock(name))
		found->mailboxes = is_mailbox(root_fd, name);
}

static int look(int root_fd, struct found *found)
{
	_Alignas(struct dirent64) char buf[ENTRIES_BUFFER];
	int fd = openat(root_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), left = LOOKED_AT_MAX;
	ssize_t n = fd < 0 ? -1 : 1;

	while (left > 0 && fd >= 0 && (n = maildrop_kernel.getdents64(fd, buf, sizeof(buf))) > 0)
		for (ssize_t at = 0; at < n && left > 0; left--) {
			const struct dirent64 *entry = (const struct dirent64 *)(buf + at);

			look_at(root_fd, entry->d_name, found);
			at += entry->d_reclen;
		}
	if (fd >= 0)
		close(fd);
	return n < 0 ? -1 : 0;
}

int mail_store_guess(int root_fd, struct err *err)
{
	struct found found = {false, false};
	struct stat st;

	if (look(root_fd, &found) < 0 || fstat(root_fd, &st) < 0)
		return err_sys(err, EX_NOINPUT, errno, "cannot be listed");
	if (found.mailboxes && found.folders)
		return err_set(err, EX_CONFIG,
			       "it holds mailboxes and folders: say which of them are the mail, by "
			       "--store mbox or --store maildir");
	if (found.mailboxes || found.folders)
		return found.mailboxes ? STORE_MBOX : STORE_MAILDIR;
	return (st.st_mode & (S_ISGID | S_IWGRP)) == (S_ISGID | S_IWGRP) ? STORE_MBOX
									 : STORE_MAILDIR;
}
