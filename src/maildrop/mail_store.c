/* See mail_store.h. */
#include "maildrop/mail_store.h"

#include "maildrop/mail_line.h"
#include "maildrop/store.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

enum {
	WORD_SIZE = 16,
	ENTRIES_BUFFER = 4096,
	LOOKED_AT_MAX = 4096, /* entries */
};

static const char *const words[STORE_KINDS] = {
	[STORE_MAILDIR] = "maildir", [STORE_MBOX] = "mbox", [STORE_RADOS] = "rados"};

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
	char word[WORD_SIZE];

	return mail_line_read(sys, root_fd, MAIL_STORE_NAME, word, sizeof(word)) < 0
		       ? -1
		       : mail_store_of_word(word);
}

int mail_store_write(int root_fd, int kind, struct err *err)
{
	int result = mail_line_write(root_fd, MAIL_STORE_NAME, words[kind]);

	if (result < 0)
		return err_sys(err, result == MAIL_LINE_NOT_MADE ? EX_CANTCREAT : EX_IOERR, errno,
			       "its file " MAIL_STORE_NAME " cannot be written");
	return 0;
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
