/* The rule by which a Dovecot of this configuration made the unique ids of its Maildirs or mboxes.
 */
#ifndef CLI_IMPORT_DOVECOT_RULE_H
#define CLI_IMPORT_DOVECOT_RULE_H

#include "cli/import/dovecot_conf.h"
#include "maildrop/mail_origin.h"

/* ret: its server says whether the mail is in Maildirs or mboxes. from: where the lists of Maildirs
 * are said to be, or NULL: in the Maildirs. -1 with err: the rule cannot be followed, the mail is
 * in another form, or the lists are elsewhere. What hides messages is said on standard error. */
int dovecot_rule(const struct dovecot_conf *conf, const char *from, struct mail_origin *ret,
		 struct err *err);

#endif
