/*
 * Dovecot's configuration as `doveconf -n` prints it: 2.2, 2.3 and 2.4. Nothing is evaluated: a
 * setting is its text and the sections around it.
 */
#ifndef CLI_IMPORT_DOVECOT_CONF_H
#define CLI_IMPORT_DOVECOT_CONF_H

#include "base/err.h"

#include <stddef.h>

struct dovecot_setting {
	char *section; /* "", "protocol pop3", "service pop3-login/inet_listener pop3s" */
	char *key, *value;
};

struct dovecot_conf {
	struct dovecot_setting *settings; /* in the order of the text */
	size_t count, room;
	char version[32]; /* of the first comment; "": not known */
};

/* Reads a file, or standard input for "-"; NULL: what `doveconf -n` prints here. -1 with err;
 * dovecot_conf_finish must be called then, too. */
int dovecot_conf_read(const char *file, struct dovecot_conf *ret, struct err *err);
void dovecot_conf_finish(struct dovecot_conf *conf);
/* The value of a setting in a section, the last one counts; NULL: none. */
const char *dovecot_conf_get(const struct dovecot_conf *conf, const char *section, const char *key);
/* The same for the POP3 server: its own section, else the common one. */
const char *dovecot_conf_pop3(const struct dovecot_conf *conf, const char *key);

#endif
