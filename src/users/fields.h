/*
 * Fields of a user by name: password, home, maildir, uid, gid, quota_messages, quota_octets,
 * nologin, allow_networks, remote, migrate, login_delay, and Dovecot's names for some of them
 * (mail, allow_nets, quota_rule, each perhaps with "userdb_" in front); some more of Dovecot's are
 * passed over. One judge for the extra fields of the users file and for what databases say. No I/O.
 * Used within users, and by auth for answers of databases.
 */
#ifndef USERS_FIELDS_H
#define USERS_FIELDS_H

#include "users/location.h"
#include "users/users.h"

/* An entry that is being read. Values are borrowed until user_fields_end. */
struct user_fields {
	struct user *user;
	struct user_mail mail;
	struct location_words words;
	pop3_span uid, gid;
	pop3_span migrate; /* the name of a section */
};

enum user_field {
	USER_FIELD_TAKEN,
	USER_FIELD_UNKNOWN, /* there is no such field: the user is not served; err says so */
	USER_FIELD_BAD,     /* err says why */
};

/* user->name is set already. mail: see users_open_passwd_file. */
void user_fields_begin(struct user_fields *fields, struct user *user, const struct user_mail *mail);
enum user_field user_fields_set(struct user_fields *fields, pop3_span name, pop3_span value,
				struct err *err);
/* Whether a field of that name is Dovecot's and changes nothing here. */
bool user_field_is_passed_over(pop3_span name);
/* Places the user's mail. -1: it cannot be served; err says why. On 0 err may hold a note about a
 * field that is not used. */
int user_fields_end(struct user_fields *fields, struct err *err);

#endif
