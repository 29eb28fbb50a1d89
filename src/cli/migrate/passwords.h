/*
 * Passwords that the server has learned (users/learned.h), opened with the private key that lies
 * beside the key of a section's `learn`. Only the sealed lines are kept in memory, and read again
 * when the file has changed: processes that write are started from this one. With the rights of the
 * caller, who has to be able to read the private key. For the files of this folder.
 */
#ifndef CLI_MIGRATE_PASSWORDS_H
#define CLI_MIGRATE_PASSWORDS_H

#include "base/secret.h"
#include "config/config.h"

struct passwords;

/* Whether a password of the user was learned that the server of the section has accepted. 1: yes;
 * 0: no; -1 with err. *passwords is NULL at first. */
int passwords_have(struct passwords **passwords, const struct config *config,
		   const struct config_remote *section, const char *name, struct err *err);
/* The latest one. -1 with err: there is none, or the key does not open it. */
int passwords_find(struct passwords **passwords, const struct config *config,
		   const struct config_remote *section, const char *name, struct secret *ret,
		   struct err *err);
void passwords_free(struct passwords *passwords); /* NULL is legal */

#endif
