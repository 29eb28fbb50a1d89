/* Users whose maildrops `valija import` works on: of the configuration, with maildrops and owners,
 * found once for all of them. With the rights of the caller. */
#ifndef CLI_IMPORT_PEOPLE_H
#define CLI_IMPORT_PEOPLE_H

#include "cli/maker.h"
#include "cli/name_list.h"

#include <stdint.h>

struct person {
	char *name, *home; /* home: below the root */
	uint32_t root;
	uid_t uid;
	gid_t gid;
};

struct people {
	const struct config *config;
	struct maker maker;
	struct person *persons; /* those of one owner stand together */
	size_t count, room;
	uint64_t failed; /* users that have no place here: said on standard error */
	uint64_t absent; /* users whose mbox is not there: left out */
};

/* named: users; none: all that can be listed. -1 with err; people_finish must be called then,
 * too. */
int people_find(struct people *people, const struct config *config, const struct name_list *named,
		struct err *err);
void people_finish(struct people *people);

#endif
