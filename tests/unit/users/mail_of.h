/* A site with mail folders, for tests of users. */
#ifndef TESTS_USERS_MAIL_OF_H
#define TESTS_USERS_MAIL_OF_H

#include "config/keys.h"
#include "users/users.h"

#include <stdlib.h>
#include <string.h>

/* The folders as the setting mail has them, with a blank between two. NULL: no site. Good until the
 * next call. */
static inline const struct user_mail *mail_of(const char *folders)
{
	static struct config config;
	static struct user_mail mail;
	char copy[1024], *rest = copy, *word;
	struct err err;

	if (!folders)
		return NULL;
	memset(&config, 0, sizeof(config));
	mail = (struct user_mail){.config = &config};
	strcpy(copy, folders);
	while ((word = strtok_r(rest, " ", &rest)))
		if (config_root_parse("mail", word, "/", &config.roots[config.root_count++], &err) <
		    0)
			abort();
	return &mail;
}

#endif
