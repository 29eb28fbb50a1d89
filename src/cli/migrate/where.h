/* Where the mail of a user is that moves here, in words: for `valija user show`. With the rights of
 * its caller; the maildrop is looked into as its owner. */
#ifndef CLI_MIGRATE_WHERE_H
#define CLI_MIGRATE_WHERE_H

#include "config/config.h"
#include "users/users.h"

enum { WHERE_WORDS_MAX = 512 };

/* user has the field migrate. Where it cannot be told, the words say why. */
void migrate_where(const struct config *config, const struct user *user,
		   char words[WHERE_WORDS_MAX]);

#endif
