/*
 * Entries of the system's users, by the name service (NSS): files, sssd, LDAP, whatever
 * nsswitch.conf names. In worker threads of the lookup process, without rights, and once more in
 * the PAM server's child, which is root and believes no other process. Modules of the name service
 * may block; there is no way to limit that here.
 */
#ifndef LOOKUP_SYSTEM_ENTRY_H
#define LOOKUP_SYSTEM_ENTRY_H

#include "config/config.h"

#include <sys/types.h>

/* Users outside these, and uid 0 always, are no users of the database. */
struct entry_range {
	uid_t min, max;
};

struct entry {
	char name[256]; /* as the system spells it */
	char home[CONFIG_PATH_MAX];
	uid_t uid;
	gid_t gid;
};

enum entry_status {
	ENTRY_FOUND,
	ENTRY_UNKNOWN,
	ENTRY_DOWN, /* the name service cannot be asked; errnum says why */
	ENTRY_BAD,  /* longer than any entry should be, or of another name */
};

/* Looks name up in exactly this spelling. */
enum entry_status entry_find(const char *name, const struct entry_range *range, struct entry *ret,
			     int *ret_errnum);
/* Whether the entry's user belongs to the group, as its first one or by membership. */
enum entry_status entry_in_group(const struct entry *entry, const char *group, int *ret_errnum);

/* Calls each for every entry of the range that the name service lists, until it returns false;
 * sssd lists none by default. One thread of a process at a time. False: it failed, with errno. */
bool entry_each(const struct entry_range *range,
		bool (*each)(void *context, const struct entry *entry), void *context);

#endif
