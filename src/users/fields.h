/*
 * Fields of a user by name: password, home, maildir, uid, gid, quota_messages, quota_octets,
 * nologin, allow_networks, and Dovecot's names for some of them (mail, allow_nets, quota_rule, each
 * perhaps with "userdb_" in front). One judge for the extra fields of the users file and for what
 * databases say. No I/O. Used within users, and by auth for answers of databases.
 */
#ifndef USERS_FIELDS_H
#define USERS_FIELDS_H

#include "users/users.h"

/* An entry that is being read. Values are borrowed until user_fields_end. */
struct user_fields {
	struct user *user;
	const char *mail_root;
	pop3_span home, mail, maildir, uid, gid;
};

enum user_field {
	USER_FIELD_TAKEN,
	USER_FIELD_UNKNOWN, /* there is no such field */
	USER_FIELD_BAD,     /* err says why */
};

/* user->name is set already. mail_root: see users_open_passwd_file. */
void user_fields_begin(struct user_fields *fields, struct user *user, const char *mail_root);
enum user_field user_fields_set(struct user_fields *fields, pop3_span name, pop3_span value,
				struct err *err);
/* Places the user's mail. -1: it cannot be served; err says why. On 0 err may hold a note about a
 * field that is not used. */
int user_fields_end(struct user_fields *fields, struct err *err);

#endif
