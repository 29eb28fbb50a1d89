/* dovecot-keywords: the letter that stands for a keyword of IMAP in the names of a Maildir's files.
 * Pure, but for keywords_read. */
#ifndef MAILDROP_MAILDIR_ADOPT_KEYWORDS_H
#define MAILDROP_MAILDIR_ADOPT_KEYWORDS_H

#include "maildrop/maildir/files/place.h"

#include <stdbool.h>

/* The letter of a keyword by the text of that file; '\0': none. */
char keywords_letter(pop3_span text, const char *keyword);
/* Of the file in control; one that is not there has none. -1 with err. */
int keywords_read(const struct maildir_place *place, int control, const char *keyword,
		  char *ret_letter, struct err *err);
/* Whether the file of that name has that letter among its flags. */
bool keywords_has(pop3_span name, char letter);

#endif
