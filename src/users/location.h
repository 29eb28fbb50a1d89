/*
 * The location of a user's maildrop: one function for logins, deliveries, `valijad -t` and the
 * commands. A location is a folder of the setting mail and a path below it. No I/O: neither a mail
 * folder nor the register is looked at. Used within users, by keepers and by commands.
 */
#ifndef USERS_LOCATION_H
#define USERS_LOCATION_H

#include "config/config.h"
#include "users/users.h"

/* The words of an entry about it; no data: the entry has no such word. */
struct location_words {
	pop3_span home, mail, maildir;
};

/*
 * Fills root, home and placed of user, whose name is set:
 * - mail ("maildir:PATH", Dovecot's) says where the Maildir is;
 * - else it is maildir below the home, or where maildir says if that is a whole path; maildir is
 *   the entry's, or the setting, or there is none;
 * - the home is the entry's, or what the setting mail of its database, or the first folder of the
 *   setting mail outside of the sections, makes of the name.
 * A whole path is below one of the folders; another one is below the database's, or the first.
 * -1: it cannot be served; err says why.
 */
int user_location(const struct user_mail *mail, const struct location_words *words,
		  struct user *user, struct err *err);

/*
 * The other places where the settings, as they are or were, would have the mail of that user: in
 * each other folder of the setting mail, unless the entry says where it is (placed), and without
 * the setting maildir. A maildrop there is not to be passed over for an empty one. index counts
 * from 0. Returns false: there is none left.
 */
bool user_location_elsewhere(const struct config *config, const struct user *user, unsigned index,
			     uint32_t *ret_root, char ret_home[USER_HOME_MAX + 1]);

#endif
