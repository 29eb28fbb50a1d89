/*
 * The files of a generation that its children get: the sealed configuration, certificates, and the
 * folders of mail, users and aliases, opened once and checked; and the system users that children
 * become. Runs in the monitor, as root when that is root.
 */
#ifndef SERVER_MONITOR_FILES_H
#define SERVER_MONITOR_FILES_H

#include "config/config.h"
#include "ipc/messages.h"
#include "maildrop/mail_root.h"
#include "users/lookups.h"
#include "server/monitor/mail_folder.h"

#include <stdbool.h>
#include <sys/types.h>

struct generation_files {
	const struct config *config;
	int config_fd, users_fd, aliases_fd; /* -1: not open */
	int spool_fd;                        /* the same, and if none is configured */
	int certificates_fd, keys_fd;        /* the same */
	int logins_fd;                       /* the same; see logins_folder.h */
	int remotes_fd;                      /* the same: passwords of remote sections */
	int learn_fd; /* the same: keys that seal passwords, for auth. An upgrade hands none on */
	uint64_t remotes_size, learn_size;
	uint64_t certificates_size, keys_size;
	uint32_t certificates_number; /* how often they were changed: see certificate_watch.h */
	int keeper_fd; /* the program of keepers, of a store that has its own; -1: valijad */
	struct lookup_program lookups[CONFIG_DATABASES_MAX]; /* of the databases that need one */
	struct files_root {
		int fd;                /* -1: not open */
		struct mail_root root; /* what is known of fd */
		bool locked;           /* lock files in it are made by a locker of that group */
		gid_t lock_gid;        /* -1: no locker can be started */
	} roots[CONFIG_ROOTS_MAX];     /* of config->roots */
	struct ipc_uids peer_uids;     /* for mta; its head is not filled in */
	struct ipc_control_peers control_peers; /* for auth; the same */
	/* set if the monitor is root */
	uid_t net_uid, auth_uid, keys_uid, logins_uid, lock_uid, connector_uid;
	uid_t mail_uid; /* the owner of the first root, whose keepers always run */
	gid_t net_gid, auth_gid, mail_gid, keys_gid, logins_gid, connector_gid;
};

/* Whether a site needs a process for private keys. */
bool files_need_keys(const struct config *config);
/* Nothing is open but the mail folders, one for each root of config: their descriptors are taken
 * over. config must live as long as files. files_close ends it. */
void files_begin(struct generation_files *files, const struct config *config,
		 const struct mail_folder *mail);
/* Opens everything else that the configuration names. 0, or -1 with err. */
int files_open(struct generation_files *files, bool root, const struct mail_folder *mail,
	       struct err *err);
void files_close(struct generation_files *files);
/* Makes and opens the folder of last logins, if the site keeps them and there is a place for it. */
void files_open_logins(struct generation_files *files, bool root);
/* Opens the program of keepers, if the site's store has its own. 0, or -1 with err. */
int files_open_keeper(struct generation_files *files, struct err *err);
/* Records which folder a mail root is, if that holds a maildrop by now. */
void files_remember_root(struct generation_files *files, uint32_t root,
			 const struct mail_root_facts *facts);

/* Raises the limit of descriptors as far as it goes, and returns it. -1: a start would not get far
 * with so few. */
int files_raise_limit(unsigned long *ret, struct err *err);

#endif
