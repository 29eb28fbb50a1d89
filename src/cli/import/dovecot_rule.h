/* The rule by which a Dovecot of this configuration made the unique ids of its Maildirs. */
#ifndef CLI_IMPORT_DOVECOT_RULE_H
#define CLI_IMPORT_DOVECOT_RULE_H

#include "cli/import/dovecot_conf.h"
#include "maildrop/maildir/bring.h"

/* from: where its lists are said to be, or NULL: in the Maildirs. -1 with err: the rule cannot be
 * followed, the mail is in no Maildirs, or the lists are elsewhere. What hides messages is said on
 * standard error. */
int dovecot_rule(const struct dovecot_conf *conf, const char *from, struct mail_origin *ret,
		 struct err *err);

#endif
