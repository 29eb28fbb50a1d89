/*
 * The processes that ask databases of users: the program of each driver, the system user that it
 * becomes, and the secrets of its database, which the monitor reads and gives to that process
 * alone. Runs in the monitor, as root when that is root, and in `valija user` with its rights.
 */
#ifndef USERS_LOOKUPS_H
#define USERS_LOOKUPS_H

#include "config/config.h"

#include <stdbool.h>
#include <sys/types.h>

struct lookup_program {
	int program_fd; /* valija-lookup-NAME; -1: none */
	int secrets_fd; /* sealed memory file, see struct ipc_database */
	uint64_t secrets_size;
	uid_t uid; /* set if the monitor is root */
	gid_t gid;
};

/* The passwords of remote sections, in a sealed memory file: name NUL value NUL …; *ret_fd is -1 if
 * there are none. Returns 0, or -1 with err. */
int remotes_open(const struct config *config, int *ret_fd, uint64_t *ret_size, struct err *err);

/* The same of their keys that seal passwords which are learned (base/seal.h). */
int learns_open(const struct config *config, int *ret_fd, uint64_t *ret_size, struct err *err);

/* Opens what the databases of config need; lookups has an element for each. Returns 0, or -1 with
 * err: lookups_close must be called then, too. */
int lookups_open(struct lookup_program *lookups, const struct config *config, bool root,
		 struct err *err);
/* The same for one of them: lookup_close must be called in any case. */
int lookup_open(struct lookup_program *lookup, const struct config *config,
		const struct config_database *database, bool root, struct err *err);
void lookup_close(struct lookup_program *lookup);
void lookups_close(struct lookup_program *lookups, const struct config *config);

#endif
