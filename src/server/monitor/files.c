/* See files.h. Runs in the monitor, as root when that is root; paths come from the
 * configuration. */
#include "server/monitor/files.h"

#include "base/log.h"
#include "config/path.h"
#include "server/certificates.h"
#include "server/monitor/logins_folder.h"
#include "server/monitor/control_peers.h"
#include "server/monitor/peer_uids.h"
#include "server/monitor/root_stores.h"
#include "server/monitor/spool_files.h"
#include "users/program.h"
#include "users/system_user.h"
#include "sys/process.h"
#include "sys/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#define KEEPER_OF_RADOS "valija-keeper-rados"

enum {
	FILES_WANTED = 1 << 20, /* descriptors of a process */
	FILES_NEEDED = 96,
};

/* Mail in another root whose owner is another one has keepers on demand. A later root that is
 * empty, as /home of a new machine is, gets maildrops of users with homes only, who own them. */
static void find_owners(struct generation_files *files, const struct mail_folder *mail)
{
	files->mail_uid = mail->uid;
	/* files of a folder of group mail are no keeper's */
	files->mail_gid = files->roots[0].locked ? PROCESS_NO_GROUP : mail->gid;
	for (uint32_t i = 0; i < files->config->root_count; i++)
		if (mail[i].only_of_root && (i == 0 || mail[i].facts.in_use) &&
		    files->config->roots[i].store == CONFIG_MAILDIR)
			log_warning("%s belongs to root: its keepers run as root, without "
				    "capabilities; better: a user of its own for this folder and "
				    "what is in it, vmail for one: see valijad(8)",
				    files->config->roots[i].path);
}

/* The folders of mboxes in which lock files are made by a process with their group. */
static void find_lockers(struct generation_files *files, const struct mail_folder *mail)
{
	gid_t gid;
	struct err err;

	for (uint32_t i = 0; i < files->config->root_count; i++) {
		struct files_root *of = &files->roots[i];

		of->locked = files->config->roots[i].store == CONFIG_MBOX &&
			     root_stores_need_locker(&mail[i]);
		of->lock_gid = mail[i].gid;
		if (!of->locked ||
		    system_user_find(CONFIG_USER_LOOKUP, &files->lock_uid, &gid, &err) == 0)
			continue;
		of->lock_gid = (gid_t)-1;
		log_warning("no lock files are made beside the mailboxes in %s, so nothing is "
			    "deleted from them: %s",
			    files->config->roots[i].path, err.text);
	}
}

/* One folder by two paths, by a link for one: a maildrop would have two keepers. */
static int check_different(const struct config *config, const struct mail_folder *mail,
			   struct err *err)
{
	for (uint32_t i = 0; i < config->root_count; i++)
		for (uint32_t j = i + 1; j < config->root_count; j++)
			if (mail[i].device == mail[j].device &&
			    mail[i].facts.inode == mail[j].facts.inode)
				return err_set(err, EX_CONFIG,
					       "mail: %s and %s are the same folder: write it once",
					       config->roots[i].path, config->roots[j].path);
	return 0;
}

/* A site that is older than the register, or has mail of other software. */
static void look_at_register(const struct mail_root *root, const struct mail_root_facts *facts)
{
	if (facts->store != STORE_MBOX && !mail_root_has_register(root))
		log_warning(
			"no maildrop of %s is in the register yet: each is entered when it is "
			"opened or delivered to, and one that goes missing before passes for a new "
			"user's; to enter all that are there now: valija mark %s",
			root->path, root->path);
}

/* Missing mail gets a log line at the start, before a user logs in. */
static void look_at_root(struct mail_root *root, const char *path,
			 const struct mail_root_facts *facts)
{
	bool in_use = facts->in_use;

	mail_root_judge(facts, path, root);
	switch (atomic_load(&root->state)) {
	case MAIL_ROOT_NEW:
		return;
	case MAIL_ROOT_KNOWN:
		if (in_use) {
			look_at_register(root, facts);
			return;
		}
		break;
	case MAIL_ROOT_OTHER:
		break;
	case MAIL_ROOT_UNMARKED:
		if (facts->earned) /* the start makes it */
			look_at_register(root, facts);
		else
			log_warning(
				"%s has no mark " MAIL_MARK_NAME ": maildrops that are there are "
				"served, none is made; see that its filesystem is mounted, then: "
				"valija mark %s, and reload",
				root->path, root->path);
		return;
	}
	if (in_use)
		log_error(
			"%s is not the folder that had maildrops before: users without one here "
			"cannot log in, and their mail is put off; mount the right filesystem and "
			"reload; if mail was moved to this one: valija mark %s, then reload",
			root->path, root->path);
	else
		log_error(
			"%s is empty, but it had maildrops before: nobody can log in, and mail is "
			"put off; mount its filesystem and reload; if it is meant to be empty: "
			"valija mark %s, then reload",
			root->path, root->path);
}

void files_remember_root(struct generation_files *files, uint32_t root,
			 const struct mail_root_facts *facts)
{
	struct files_root *of = &files->roots[root];
	struct err err;

	if (mail_root_remember(&of->root, facts, of->fd, &err) < 0)
		log_warning("%s: its filesystem cannot be remembered, so after a restart an "
			    "unmounted one goes unnoticed: %s",
			    of->root.path, err.text);
}

bool files_need_keys(const struct config *config)
{
	for (uint32_t i = 0; i < config->listener_count && config->certificate_count; i++)
		if (config->listeners[i].service < SERVICE_LMTP)
			return true;
	return false;
}

void files_begin(struct generation_files *files, const struct config *config,
		 const struct mail_folder *mail)
{
	*files = (struct generation_files){.config = config,
					   .config_fd = -1,
					   .certificates_fd = -1,
					   .keys_fd = -1,
					   .spool_fd = -1,
					   .logins_fd = -1,
					   .remotes_fd = -1,
					   .learn_fd = -1,
					   .keeper_fd = -1,
					   .users_fd = -1,
					   .aliases_fd = -1};
	for (uint32_t i = 0; i < CONFIG_ROOTS_MAX; i++)
		files->roots[i].fd = i < config->root_count ? mail[i].fd : -1;
}

int files_open_keeper(struct generation_files *files, struct err *err)
{
	char path[PROGRAM_PATH_MAX];

	files->keeper_fd = -1;
	if (files->config->roots[0].store != CONFIG_RADOS)
		return 0;
	files->keeper_fd = program_open(KEEPER_OF_RADOS, path);
	if (files->keeper_fd >= 0)
		return 0;
	return err_sys(
		err, EX_UNAVAILABLE, errno,
		"%s, the program of keepers for maildrops in RADOS: build Valija with librados "
		"(meson -Drados=enabled)",
		path);
}

int files_open(struct generation_files *files, bool root, const struct mail_folder *mail,
	       struct err *err)
{
	const struct config *config = files->config;

	if (check_different(config, mail, err) < 0)
		return -1;
	files->certificates_fd =
		certificates_pack(config, PACKED_CERTIFICATES, &files->certificates_size, err);
	if (files->certificates_fd < 0)
		return -1;
	files->keys_fd = certificates_pack(config, PACKED_KEYS, &files->keys_size, err);
	if (files->keys_fd < 0 ||
	    config_open_parent(files->config->users, &files->users_fd, err) < 0)
		return -1;
	if (files->config->aliases[0] &&
	    config_open_parent(files->config->aliases, &files->aliases_fd, err) < 0)
		return -1;
	if (files->config->lmtp_spool[0] &&
	    spool_files_open(files->config->lmtp_spool, &files->spool_fd, err) < 0)
		return -1;
	if (files_open_keeper(files, err) < 0 ||
	    lookups_open(files->lookups, config, root, err) < 0 ||
	    peer_uids_find(config, &files->peer_uids, err) < 0 ||
	    control_peers_find(config, &files->control_peers, err) < 0 ||
	    remotes_open(config, &files->remotes_fd, &files->remotes_size, err) < 0 ||
	    learns_open(config, &files->learn_fd, &files->learn_size, err) < 0)
		return -1;
	for (uint32_t i = 0; i < config->root_count; i++)
		look_at_root(&files->roots[i].root, config->roots[i].path, &mail[i].facts);
	files->config_fd = config_seal(config, err);
	if (files->config_fd < 0)
		return -1;
	if (!root)
		return 0;
	if (system_user_find(files->config->user_net, &files->net_uid, &files->net_gid, err) < 0 ||
	    system_user_find(files->config->user_auth, &files->auth_uid, &files->auth_gid, err) < 0)
		return -1;
	if (files_need_keys(config) &&
	    system_user_find(files->config->user_keys, &files->keys_uid, &files->keys_gid, err) < 0)
		return -1;
	if (config->remote_count && system_user_find(CONFIG_USER_CONNECTOR, &files->connector_uid,
						     &files->connector_gid, err) < 0)
		return -1;
	find_lockers(files, mail);
	find_owners(files, mail);
	return 0;
}

static bool learns(const struct config *config)
{
	for (uint32_t i = 0; i < config->remote_count; i++)
		if (config->remotes[i].learn[0])
			return true;
	return false;
}

/* A failure here costs the days of last logins, and passwords that are learned, no start. */
void files_open_logins(struct generation_files *files, bool root)
{
	const struct config *config = files->config;
	bool logins = false;
	struct err err;

	for (uint32_t i = 0; i < config->listener_count; i++)
		logins |= config->listeners[i].service < SERVICE_LMTP ||
			  config->listeners[i].service == SERVICE_SASL;
	if (!(config->last_logins || learns(config)) || !logins)
		return;
	if (root && system_user_find(CONFIG_USER_LOOKUP, &files->logins_uid, &files->logins_gid,
				     &err) < 0) {
		log_warning("last logins are not written down: %s", err.text);
		return;
	}
	if (logins_folder_open(&files->roots[0].root, root, files->logins_uid, files->logins_gid,
			       &files->logins_fd, &err) < 0)
		log_warning("last logins are not written down: %s; login.last_logins = no says "
			    "that they need not be",
			    err.text);
}

void files_close(struct generation_files *files)
{
	int fds[] = {files->config_fd,  files->certificates_fd, files->keys_fd,   files->users_fd,
		     files->aliases_fd, files->spool_fd,        files->logins_fd, files->remotes_fd,
		     files->learn_fd,   files->keeper_fd};

	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		if (fds[i] >= 0)
			close(fds[i]);
	for (size_t i = 0; i < CONFIG_ROOTS_MAX; i++)
		if (files->roots[i].fd >= 0)
			close(files->roots[i].fd);
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
