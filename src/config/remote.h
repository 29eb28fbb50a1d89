/*
 * Other POP3 servers that have the mail of users here: `remote "NAME" { server = … }` sections. A
 * user's field `remote` names a section, never a host. No secret stands here: password_file is read
 * by the monitor. Used wherever struct config is.
 */
#ifndef CONFIG_REMOTE_H
#define CONFIG_REMOTE_H

#include "config/config.h"

#include <stddef.h>

/* A setting of a section, for the manual and the parser. */
struct remote_key {
	const char *name;
	const char *standard; /* NULL: has to be set; "": none */
	const char *help;
};

size_t config_remote_key_count(void);
const struct remote_key *config_remote_key(size_t index);
/* The place of the section of that name in config->remotes, or -1. */
int config_remote_find(const struct config *config, pop3_span name);
/* The value of a setting of a section, as text; "": none. buf may be used for it. */
const char *config_remote_text(const struct config_remote *remote, const char *name, char *buf,
			       size_t size);
/* The name that a user of ours has at the other server. -1: it does not fit. */
int config_remote_login(const struct config_remote *remote, pop3_span user, char *buf, size_t size);

/* ---- for the parser; err without file and line ---- */

int config_remote_begin(struct config *config, const char *title, uint32_t line, struct err *err);
/* Sets a value of the last section, once. */
int config_remote_set(struct config *config, const char *name, const char *value, struct err *err);
/* Finds the databases that sections mean, when all are read. err has file and line. */
int config_remote_check(struct config *config, struct err *err);
/* Checks that the last section is whole. */
int config_remote_end(struct config *config, struct err *err);

#endif
