/* Of finding.h: permissions, the mark and the register of mail folders, locks that nobody holds,
 * and room on the disk. Nothing is changed. */
#include "cli/doctor/finding.h"

#include "maildrop/mail_root.h"
#include "maildrop/maildir/foreign.h"
#include "maildrop/mbox/unopened.h"
#include "maildrop/store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

enum {
	ENTRIES_MAX = 20000, /* of a mail folder that are looked at for locks */
	STALE_SECONDS = 15 * 60,
	LOW_PERCENT = 5,
	LEAST_PERCENT = 1,
};
#define LOW_OCTETS (100ull << 20)
#define LEAST_OCTETS (10ull << 20)

/* ---- permissions ---- */

/* wrong: the bits that nobody but the owner, or the group, may have. */
static void judge_mode(const struct doctor *doctor, enum severity severity, const char *path,
		       mode_t wrong, const char *what, const char *change)
{
	char mend[700];
	struct stat st;

	snprintf(mend, sizeof(mend), "chmod %s '%s'", change, path);
	if (stat(path, &st) < 0) {
		if (errno != ENOENT && errno != EACCES)
			find(doctor, SEVERITY_ERROR, "files", NULL, "%s: %s", path,
			     strerror(errno));
	} else if (st.st_mode & wrong && !(S_ISDIR(st.st_mode) && st.st_mode & S_ISVTX)) {
		find(doctor, severity, "files", mend, "%s: %s (mode %03o)", path, what,
		     (unsigned)st.st_mode & 0777);
	}
}

/* The folder in which what is remembered of the root stands. */
static bool state_folder(const struct mail_root *root, char *buf, size_t size)
{
	const char *slash = strrchr(root->memory, '/');

	if (!slash)
		return false;
	snprintf(buf, size, "%.*s", (int)(slash - root->memory), root->memory);
	return true;
}

/* -1: it cannot be opened, which is a finding of check_mail. */
static int look_at_root(const struct doctor *doctor, uint32_t i, struct mail_root *ret)
{
	const char *path = doctor->config->roots[i].path;
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd >= 0)
		mail_root_look(fd, path, ret);
	return fd;
}

void check_files(const struct doctor *doctor)
{
	const struct config *config = doctor->config;
	char folder[MAIL_ROOT_MEMORY_MAX];
	struct mail_root root;
	int fd;

	judge_mode(doctor, SEVERITY_ERROR, config->file, S_IWGRP | S_IWOTH,
		   "others can change the configuration", "go-w");
	if (config->users[0]) {
		judge_mode(doctor, SEVERITY_ERROR, config->users, S_IROTH,
			   "everybody can read the users' password hashes", "o-rwx");
		judge_mode(doctor, SEVERITY_ERROR, config->users, S_IWGRP | S_IWOTH,
			   "others can change users", "go-w");
	}
	for (uint32_t i = 0; i < config->certificate_count; i++) {
		const char *key = config->certificates[i].key;

		judge_mode(doctor, SEVERITY_ERROR, key, S_IROTH | S_IWGRP | S_IWOTH,
			   "others than its owner have the private key", "600");
		judge_mode(doctor, SEVERITY_NOTE, key, S_IRGRP,
			   "its group can read the private key", "g-r");
	}
	for (uint32_t i = 0; i < config->root_count; i++)
		judge_mode(doctor, SEVERITY_ERROR, config->roots[i].path, S_IWOTH,
			   "everybody can make and rename mail in it", "o-w");
	fd = look_at_root(doctor, 0, &root);
	if (fd < 0)
		return;
	close(fd);
	if (state_folder(&root, folder, sizeof(folder)))
		judge_mode(doctor, SEVERITY_ERROR, folder, S_IWGRP | S_IWOTH,
			   "others can change what the server remembers", "go-w");
}

/* ---- mark, register, locks ---- */

/* The process whose number stands in a dotlock is alive, or the file names none. */
static bool is_held(int folder, const char *name)
{
	char text[32] = "";
	int fd = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	long pid;

	if (fd >= 0)
		close(fd);
	pid = n > 0 ? strtol(text, NULL, 10) : 0;
	return pid > 0 && (kill((pid_t)pid, 0) == 0 || errno != ESRCH);
}

static void look_for_locks(const struct doctor *doctor, int fd, const char *path)
{
	DIR *folder = fdopendir(dup(fd));
	const struct dirent *entry;
	unsigned seen = 0;

	while (folder && (entry = readdir(folder)) && seen++ < ENTRIES_MAX) {
		const char *dot = strrchr(entry->d_name, '.');
		char mend[CONFIG_PATH_MAX + 300];
		struct stat st;

		if (!dot || strcmp(dot, ".lock") != 0 ||
		    fstatat(fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
		    !S_ISREG(st.st_mode) || time(NULL) - st.st_mtime < STALE_SECONDS ||
		    is_held(fd, entry->d_name))
			continue;
		snprintf(mend, sizeof(mend), "rm '%s/%.255s'", path, entry->d_name);
		find(doctor, SEVERITY_WARNING, "mail", mend,
		     "%s/%s: a dotlock that no process holds, %ld minutes old: deliveries wait for "
		     "it",
		     path, entry->d_name, (long)(time(NULL) - st.st_mtime) / 60);
	}
	if (folder)
		closedir(folder);
}

static void judge_root(const struct doctor *doctor, const struct mail_root *root, const char *path,
		       const char *mend)
{
	struct err err = {0};

	switch ((enum mail_root_state)atomic_load(&root->state)) {
	case MAIL_ROOT_UNMARKED:
		find(doctor, SEVERITY_ERROR, "mail", mend,
		     "%s has no mark: no maildrop is made in it (is its filesystem mounted?)",
		     path);
		return;
	case MAIL_ROOT_OTHER:
		find(doctor, SEVERITY_ERROR, "mail", mend,
		     "%s is another folder than the one that had the mail: no maildrop is made in "
		     "it (is its filesystem mounted?)",
		     path);
		return;
	case MAIL_ROOT_KNOWN:
		if (!mail_root_has_register(root)) {
			find(doctor, SEVERITY_WARNING, "mail", mend,
			     "%s has no register of its maildrops: one that is missing is not "
			     "noticed",
			     path);
			return;
		}
		break;
	case MAIL_ROOT_NEW:
		break;
	}
	if (geteuid() == 0 && mail_root_check_state(root, &err) < 0)
		find(doctor, SEVERITY_WARNING, "mail",
		     "set STATE_DIRECTORY to a folder that valijad may write",
		     "nothing can be remembered of %s: %s", path, err.text);
	else
		find(doctor, SEVERITY_OK, "mail", NULL, "%s: mark and register are there", path);
}

static void look_for_foreign(const struct doctor *doctor, int fd, const char *path)
{
	char demand[ORIGIN_DEMAND_MAX];
	struct maildir_foreign found;

	maildir_foreign_find(fd, &found);
	if (*found.refused) {
		mail_origin_demand(found.lists, demand);
		find(doctor, SEVERITY_WARNING, "mail",
		     found.lists & ORIGIN_HAS(ORIGIN_DOVECOT) ? "valija import dovecot --dry-run"
							      : "valija import courier --dry-run",
		     "%s/%s: %s; until then its user cannot log in", path, found.refused, demand);
	} else if (*found.unopened) {
		find(doctor, SEVERITY_NOTE, "mail", "valija import maildir --ids qmail --dry-run",
		     "%s/%s " MAIL_ORIGIN_UNOPENED_MAILDIR, path, found.unopened);
	}
}

static void look_for_unopened(const struct doctor *doctor, int fd, const struct mail_root *root,
			      const char *path)
{
	char name[MBOX_UNOPENED_NAME];

	if (mbox_unopened_find(fd, root, name))
		find(doctor, SEVERITY_NOTE, "mail", "valija import mbox --ids SERVER --dry-run",
		     "%s/%s " MAIL_ORIGIN_UNOPENED_MBOX, path, name);
}

void check_mail(const struct doctor *doctor)
{
	for (uint32_t i = 0; i < doctor->config->root_count; i++) {
		const char *path = doctor->config->roots[i].path;
		struct mail_root root;
		char mend[600];
		int fd = look_at_root(doctor, i, &root);

		snprintf(mend, sizeof(mend), "see that it is mounted, then: valija mark '%s'",
			 path);
		if (fd < 0) {
			find(doctor, SEVERITY_ERROR, "mail",
			     errno == ENOENT ? "mount it, or make it: valija init" : NULL,
			     "%s cannot be opened: %s", path, strerror(errno));
			continue;
		}
		judge_root(doctor, &root, path, mend);
		look_for_locks(doctor, fd, path);
		if (mail_store_read(&maildrop_kernel, fd) == STORE_MBOX)
			look_for_unopened(doctor, fd, &root, path);
		else
			look_for_foreign(doctor, fd, path);
		close(fd);
	}
}

/* ---- room ---- */

static void judge_room(const struct doctor *doctor, const char *path)
{
	struct statvfs vfs;
	unsigned long long octets;
	unsigned percent, inodes;
	char mend[600];

	if (statvfs(path, &vfs) < 0 || !vfs.f_blocks)
		return; /* it is not there yet, or has no size: that is another finding */
	octets = (unsigned long long)vfs.f_bavail * vfs.f_frsize;
	percent = (unsigned)(vfs.f_bavail * 100ull / vfs.f_blocks);
	inodes = vfs.f_files ? (unsigned)(vfs.f_favail * 100ull / vfs.f_files) : 100;
	snprintf(mend, sizeof(mend), "df -h '%s'; du -x --max-depth=1 '%s' | sort -n | tail", path,
		 path);
	if (percent < LOW_PERCENT || octets < LOW_OCTETS)
		find(doctor,
		     percent < LEAST_PERCENT || octets < LEAST_OCTETS ? SEVERITY_ERROR
								      : SEVERITY_WARNING,
		     "disk", mend, "%s: %llu MB are free (%u %%)", path, octets >> 20, percent);
	snprintf(mend, sizeof(mend), "df -i '%s'", path);
	if (inodes < LOW_PERCENT)
		find(doctor, inodes < LEAST_PERCENT ? SEVERITY_ERROR : SEVERITY_WARNING, "disk",
		     mend, "%s: %u %% of its inodes are free: each message needs one", path,
		     inodes);
	if (percent >= LOW_PERCENT && octets >= LOW_OCTETS && inodes >= LOW_PERCENT)
		find(doctor, SEVERITY_OK, "disk", NULL, "%s: %llu MB are free (%u %%)", path,
		     octets >> 20, percent);
}

void check_disk(const struct doctor *doctor)
{
	const struct config *config = doctor->config;
	char folder[MAIL_ROOT_MEMORY_MAX];
	struct mail_root root;
	int fd = look_at_root(doctor, 0, &root);

	for (uint32_t i = 0; i < config->root_count; i++)
		judge_room(doctor, config->roots[i].path);
	if (config->lmtp_spool[0])
		judge_room(doctor, config->lmtp_spool);
	if (fd >= 0 && state_folder(&root, folder, sizeof(folder)))
		judge_room(doctor, folder);
	if (fd >= 0)
		close(fd);
}
