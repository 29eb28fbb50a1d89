/* Users whose mail moves here: those with the field migrate. With the rights of the caller. */
#ifndef CLI_MIGRATE_PEOPLE_H
#define CLI_MIGRATE_PEOPLE_H

#include "cli/maker.h"
#include "cli/name_list.h"

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
