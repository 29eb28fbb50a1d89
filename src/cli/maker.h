/*
 * A maildrop made by a command, as keepers and the monitor make one: the register has the intention
 * on the disk, then the folders are made by the owner of the mail, then the register has the
 * maildrop. Only who may write the register makes any. For `valija deliver` and `valija user`, with
 * the rights of their caller; root does what is in the mail as the mail's owner, in a process that
 * gives up root for good.
 */
#ifndef CLI_MAKER_H
#define CLI_MAKER_H

#include "config/config.h"
#include "maildrop/guard.h"
#include "maildrop/mail_root.h"
#include "maildrop/register.h"
#include "maildrop/store.h"
#include "users/users.h"

#include <sys/types.h>

/* A mail folder. */
struct maker_root {
	int fd; /* -1: not open */
	struct mail_root root;
	struct mail_register *reg; /* NULL: there is no place for one */
	struct guard guard;        /* by that register */
	enum store_kind store;     /* as it is written in the folder */
	uid_t uid;                 /* its owner */
	gid_t gid;
};

struct maker {
	const struct config *config;
	struct maker_root roots[CONFIG_ROOTS_MAX];
};

/* Opens the mail folders and looks for their registers. config must live as long as maker. Returns
 * 0, or -1 with err: maker_finish must be called then, too. */
int maker_init(struct maker *maker, const struct config *config, struct err *err);
void maker_finish(struct maker *maker);

/* The mail folder that a user's maildrop is in. */
struct maker_root *maker_root(struct maker *maker, const struct user *user);
/* Fills in the stores of the roots of config, as far as these can be read. Before users are looked
 * up. */
void maker_find_stores(struct config *config);
/* The maildrops are in RADOS: maker_init fails. */
bool maker_in_cluster(const struct config *config);
/* Of a user with an mbox: the folder for what is kept beside it, made if need be; the caller's.
 * 0: there is none to be had, or the user has a Maildir. As the caller of the command. */
int maker_state(struct maker *maker, const struct user *user, uid_t uid, gid_t gid);
/* The owner that files in a maildrop get: its own, if it exists, else that of the nearest folder
 * above it, or, if that is root, the mail folder's. -1: the maildrop belongs to root, but the mail
 * does not. */
int maker_owner(struct maker *maker, const struct user *user, uid_t *ret_uid, gid_t *ret_gid);
/* Runs a step as the owner: in a process of its own if this one is root. Returns the step's result
 * (0 to 255, with the err that it filled), or -1 with err. */
int maker_as_owner(uid_t uid, gid_t gid, int (*step)(void *context, struct err *err), void *context,
		   struct err *err);
/* Makes the maildrop of a user, which is not there. -1 with err. */
int maker_make(struct maker *maker, const struct user *user, uid_t uid, gid_t gid, struct err *err);

#endif
