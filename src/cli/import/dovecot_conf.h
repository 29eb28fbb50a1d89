/*
 * Dovecot's configuration as `doveconf -n` prints it: 2.2, 2.3 and 2.4. Nothing is evaluated: a
 * setting is its text and the sections around it.
 */
#ifndef CLI_IMPORT_DOVECOT_CONF_H
#define CLI_IMPORT_DOVECOT_CONF_H

#include "base/err.h"

#include <pop3/span.h>

#include <stdbool.h>
#include <stddef.h>

/* One without a key stands for the beginning of its section, which may have nothing else in it. */
struct dovecot_setting {
	char *section; /* "", "protocol pop3", "service pop3-login/inet_listener pop3s" */
	char *key, *value;
	unsigned line;  /* from 1 */
	unsigned block; /* the line that opens the innermost section; 0: outside of all */
	bool taken;     /* by a reader that answers for every setting; false at first */
};

struct dovecot_conf {
	struct dovecot_setting *settings; /* in the order of the text */
	size_t count, room;
	char version[32]; /* of the first comment; "": not known */
};

/* Reads a file, or standard input for "-"; NULL: what `doveconf -n` prints here. -1 with err;
 * dovecot_conf_finish must be called then, too. */
int dovecot_conf_read(const char *file, struct dovecot_conf *ret, struct err *err);
/* The same for a text at hand; name is for errors. A backslash at the end of a line joins the next
 * one to it, as in files that Dovecot includes. */
int dovecot_conf_parse(pop3_span text, const char *name, struct dovecot_conf *ret, struct err *err);
void dovecot_conf_finish(struct dovecot_conf *conf);
/* The value of a setting in a section, the last one counts; NULL: none. */
const char *dovecot_conf_get(const struct dovecot_conf *conf, const char *section, const char *key);
/* The same for the POP3 server: its own section, else the common one. */
const char *dovecot_conf_pop3(const struct dovecot_conf *conf, const char *key);

#endif
