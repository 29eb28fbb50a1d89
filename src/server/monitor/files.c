/* See files.h. Runs in the monitor, as root when that is root; paths come from the
 * configuration. */
#include "server/monitor/files.h"

#include "base/log.h"
#include "config/path.h"
#include "server/certificates.h"
#include "server/monitor/spool_files.h"
#include "sys/process.h"
#include "sys/sandbox.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

enum {
	FILES_WANTED = 1 << 20, /* descriptors of a process */
	FILES_NEEDED = 64,
	LOOKED_AT_MAX = 4096, /* folders of the mail root, to learn whose they are */
};

int files_find_user(const char *name, uid_t *uid, gid_t *gid, struct err *err)
{
	if (sandbox_user(name, uid, gid, NULL) == 0)
		return 0;
	return err_set(err, EX_NOUSER,
		       "there is no system user \"%s\" to give up root for; make the users of "
		       "dist/sysusers.d/valija.conf: "
		       "systemd-sysusers dist/sysusers.d/valija.conf",
		       name);
}

/* True: a folder below the mail root belongs to another user than root, as where the root is the
 * folder of system users' homes. */
static bool has_other_owners(int mail_fd)
{
	int fd = openat(mail_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *folder = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	struct stat st;
	bool found = false;

	if (!folder) {
		if (fd >= 0)
			close(fd);
		return false;
	}
	for (int n = 0; n < LOOKED_AT_MAX && !found && (entry = readdir(folder)) != NULL; n++)
		found = strcmp(entry->d_name, "..") != 0 &&
			fstatat(fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
			S_ISDIR(st.st_mode) && st.st_uid != 0;
	closedir(folder);
	return found;
}

static int find_owner(struct generation_files *files, struct err *err)
{
	struct stat st;

	if (fstat(files->mail_fd, &st) < 0)
		return err_sys(err, EX_OSERR, errno, "cannot look at %s", files->config->mail);
	files->mail_uid = st.st_uid;
	files->mail_gid = st.st_gid;
	if (st.st_uid == 0 && !has_other_owners(files->mail_fd))
		log_warning(
			"%s belongs to root: its keepers run as root, without capabilities; "
			"better: a user of its own for this folder and what is in it, vmail for "
			"one: see valijad(8)",
			files->config->mail);
	return 0;
}

/* Missing mail gets a log line at the start, before a user logs in. */
static void look_at_root(struct generation_files *files)
{
	bool in_use = mail_root_in_use(&maildrop_kernel, files->mail_fd);

	mail_root_look(files->mail_fd, files->config->mail, &files->root);
	switch (atomic_load(&files->root.state)) {
	case MAIL_ROOT_NEW:
		return;
	case MAIL_ROOT_KNOWN:
		if (in_use)
			return;
		break;
	case MAIL_ROOT_OTHER:
		break;
	case MAIL_ROOT_UNMARKED:
		if (!mail_mark_earned(files->mail_fd)) /* else the start makes it */
			log_warning(
				"%s has no mark " MAIL_MARK_NAME ": maildrops that are there are "
				"served, none is made; see that its filesystem is mounted, then: "
				"valija mark %s, and reload",
				files->config->mail, files->config->mail);
		return;
	}
	if (in_use)
		log_error(
			"%s is not the folder that had maildrops before: users without one here "
			"cannot log in, and their mail is put off; mount the right filesystem and "
			"reload; if mail was moved to this one: valija mark %s, then reload",
			files->config->mail, files->config->mail);
	else
		log_error(
			"%s is empty, but it had maildrops before: nobody can log in, and mail is "
			"put off; mount its filesystem and reload; if it is meant to be empty: "
			"valija mark %s, then reload",
			files->config->mail, files->config->mail);
}

bool files_remember_root(struct generation_files *files)
{
	struct err err;

	if (mail_root_remember(&files->root, files->mail_fd, files->config->mail, &err) < 0)
		log_warning("%s: its filesystem cannot be remembered, so after a restart an "
			    "unmounted one goes unnoticed: %s",
			    files->config->mail, err.text);
	return atomic_load(&files->root.state) != MAIL_ROOT_NEW;
}

bool files_need_keys(const struct config *config)
{
	for (uint32_t i = 0; i < config->listener_count && config->certificate_count; i++)
		if (config->listeners[i].service != SERVICE_LMTP)
			return true;
	return false;
}

/* Root is refused by a network filesystem that takes it for nobody. */
static int open_mail(struct generation_files *files, bool root, struct err *err)
{
	struct err why;

	if (config_open_directory(files->config->mail, O_RDONLY, &files->mail_fd, &why) == 0)
		return 0;
	if (root && why.errnum == EACCES)
		return err_set(
			err, why.code,
			"%s; a server of NFS with root_squash takes root for nobody: let all "
			"enter and read that folder (chmod 755; the maildrops in it stay their "
			"owners' own), or export it with no_root_squash",
			why.text);
	if (err)
		*err = why;
	return -1;
}

int files_open(struct generation_files *files, const struct config *config, bool root,
	       struct err *err)
{
	*files = (struct generation_files){.config = config,
					   .config_fd = -1,
					   .certificates_fd = -1,
					   .keys_fd = -1,
					   .mail_fd = -1,
					   .spool_fd = -1,
					   .users_fd = -1,
					   .aliases_fd = -1};
	files->certificates_fd =
		certificates_pack(config, PACKED_CERTIFICATES, &files->certificates_size, err);
	if (files->certificates_fd < 0)
		return -1;
	files->keys_fd = certificates_pack(config, PACKED_KEYS, &files->keys_size, err);
	if (files->keys_fd < 0 || open_mail(files, root, err) < 0 ||
	    config_open_parent(files->config->users, &files->users_fd, err) < 0)
		return -1;
	if (files->config->aliases[0] &&
	    config_open_parent(files->config->aliases, &files->aliases_fd, err) < 0)
		return -1;
	if (files->config->lmtp_spool[0] &&
	    spool_files_open(files->config->lmtp_spool, &files->spool_fd, err) < 0)
		return -1;
	if (lookups_open(files->lookups, config, root, err) < 0)
		return -1;
	look_at_root(files);
	files->config_fd = config_seal(config, err);
	if (files->config_fd < 0)
		return -1;
	if (!root)
		return 0;
	if (files_find_user(files->config->user_net, &files->net_uid, &files->net_gid, err) < 0 ||
	    files_find_user(files->config->user_auth, &files->auth_uid, &files->auth_gid, err) < 0)
		return -1;
	if (files_need_keys(config) &&
	    files_find_user(files->config->user_keys, &files->keys_uid, &files->keys_gid, err) < 0)
		return -1;
	return find_owner(files, err);
}

void files_close(struct generation_files *files)
{
	int fds[] = {files->config_fd, files->certificates_fd, files->keys_fd, files->mail_fd,
		     files->users_fd,  files->aliases_fd,      files->spool_fd};

	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		if (fds[i] >= 0)
			close(fds[i]);
	lookups_close(files->lookups, files->config);
}

int files_raise_limit(unsigned long *ret, struct err *err)
{
	*ret = process_raise_nofile(FILES_WANTED);
	if (*ret >= FILES_NEEDED)
		return 0;
	return err_set(err, EX_OSERR,
		       "%lu descriptors a process are too few: at least %u are needed "
		       "(LimitNOFILE= of the "
		       "unit, ulimit -n)",
		       *ret, FILES_NEEDED);
}
