/*
 * The maildrop of one user, for a command that works in it: the user is looked up as for a login,
 * in the users file and then in the databases, with the rights of the caller; what is done in the
 * mail is done as its owner (maker_as_owner).
 */
#ifndef CLI_MAILBOX_H
#define CLI_MAILBOX_H

#include "cli/maker.h"

struct mailbox {
	struct config config;
	struct maker maker;
	struct user user; /* without the secret */
	uid_t uid;        /* of the mail's owner */
	gid_t gid;
};

/* Reads the configuration (NULL: where it usually is) and finds the user. Returns 0, or -1 with
 * err; mailbox_close must be called then, too. */
int mailbox_open(struct mailbox *mailbox, const char *config, const char *name, struct err *err);
/* Is the mail of the user an mbox, beside which nothing is kept? */
bool mailbox_is_mbox(const struct mailbox *mailbox);
/* -1 with err: it is, so what the command is for is not to be had. */
int mailbox_check_maildir(const struct mailbox *mailbox, struct err *err);
void mailbox_close(struct mailbox *mailbox);
/* Looks the user up; config is read already. 0, -1 with err. */
int mailbox_user(const struct config *config, const char *name, struct user *ret, struct err *err);
/* The same for one of many, with the users file open: a name without its domain, or one of a
 * database, is known as well. Not FOUND: err. */
enum users_status mailbox_find(const struct config *config, struct users *users, const char *name,
			       struct user *ret, struct err *err);
/* The folder of the maildrop, without following a link. -1 with err. To be called as its owner. */
int mailbox_folder(struct mailbox *mailbox, struct err *err);
/* Opens it, as its owner; a session that ends is waited for. As maildrop_open. */
enum maildrop_status mailbox_open_maildrop(struct mailbox *mailbox,
					   const struct maildrop_settings *settings,
					   struct maildrop **ret, struct err *err);
/* Runs a step as the owner of the mail: see maker_as_owner. */
int mailbox_as_owner(struct mailbox *mailbox, int (*step)(void *context, struct err *err),
		     void *context, struct err *err);

#endif
