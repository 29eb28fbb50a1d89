/* Users whose mail moves here: those with the field migrate. With the rights of the caller. */
#ifndef CLI_MIGRATE_PEOPLE_H
#define CLI_MIGRATE_PEOPLE_H

#include "cli/maker.h"
#include "cli/name_list.h"

/* The users, as the configuration has them: opened once, asked for as many as are wanted. */
struct people {
	const struct config *config;
	struct users *users;
	int fd;
};

enum people_found {
	PEOPLE_MOVES,
	PEOPLE_STAYS,   /* the entry has no migrate */
	PEOPLE_UNKNOWN, /* err */
	PEOPLE_WRONG,   /* it has, and cannot be used: err */
	PEOPLE_BROKEN,  /* nobody knows, or the entry cannot be used: err */
};

/* -1 with err: people_close must be called then, too. */
int people_open(struct people *people, const struct config *config, struct err *err);
void people_close(struct people *people);
/* The names of all that can be listed. advice: for a person, about databases of others. -1 with
 * err: some are missing. */
int people_list(struct people *people, const char *advice, struct name_list *ret, struct err *err);
/* *ret: the caller wipes it. */
enum people_found people_look(struct people *people, const char *name, struct user *ret,
			      struct err *err);

struct movers {
	struct user *users; /* without their secrets, but for remote_password */
	size_t count, room;
	size_t failed; /* users that cannot be moved as they are: said on standard error */
};

/* named: users; none: all that can be listed. -1 with err; movers_finish must be called then,
 * too. */
int movers_find(struct movers *movers, const struct config *config, const struct name_list *named,
		struct err *err);
void movers_finish(struct movers *movers);
/* A line about a user, on standard error. */
void movers_complain(const char *name, const char *what);

#endif
