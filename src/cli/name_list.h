/* A list of users' names, made before any of their maildrops is worked on: of what a person named,
 * or of all users that can be listed. With the rights of the caller. */
#ifndef CLI_NAME_LIST_H
#define CLI_NAME_LIST_H

#include "config/config.h"
#include "users/users.h"

#include <pop3/span.h>

#define NAME_LIST_NAME_THEM "name them with --user" /* advice of commands that have that */

struct name_list {
	char **names;
	size_t count, room;
	bool short_of_memory; /* names are missing */
};

/* The databases whose users are listed, and the names that are taken. */
struct name_list_filter {
	bool only_logins;    /* databases for recipients alone are passed over */
	bool only_valid;     /* names that no user could have are passed over */
	const char *command; /* "import": for messages */
	const char *advice;  /* where a database cannot be listed: "name them" */
};

/* Of name_list_each: where all users are looked for. */
struct name_list_all {
	const struct config *config;
	struct users *users;
	const char *command, *advice; /* as above */
};

/* Adds a copy of the name. */
void name_list_add(struct name_list *list, pop3_span name);
/* Adds the users of the configuration's databases. One that cannot be listed is a message on
 * standard error. -1 with err: the users of one did not all come. */
int name_list_add_databases(struct name_list *list, const struct config *config,
			    const struct name_list_filter *filter, struct err *err);
/* The users of the file and of the databases that are for logins, where nobody was named with
 * --user. command, advice: as above. -1 with err, as above. */
int name_list_add_all(struct name_list *list, const struct config *config, struct users *users,
		      const char *command, const char *advice, struct err *err);
/* Calls take with each of named, or, if it is empty, with each of name_list_add_all. take: -1:
 * memory is short, which is said when all others had their turn. -1 with err. */
int name_list_each(const struct name_list *named, const struct name_list_all *all,
		   int (*each)(void *context, const char *name), void *context, struct err *err);
void name_list_finish(struct name_list *list);

#endif
