/*
 * dovecot-uidlist, in which Dovecot keeps the numbers and ids of a Maildir's messages, taken apart:
 * versions 1 and 3. Pure.
 */
#ifndef MAILDROP_MAILDIR_ADOPT_UIDLIST_H
#define MAILDROP_MAILDIR_ADOPT_UIDLIST_H

#include "base/err.h"

#include <pop3/span.h>

#include <stdint.h>

struct uidlist_entry {
	uint32_t uid;
	uint32_t order; /* O: place among the messages of a POP3 session; 0: by uid, behind those */
	pop3_span saved; /* P: a POP3 id that was saved; data NULL: none */
	pop3_span guid;  /* G; data NULL: the name of the file */
	pop3_span file;  /* up to the flags, 1 to 255 octets */
	pop3_span line;  /* all of it */
};

struct uidlist {
	uint32_t version; /* 1 or 3 */
	uint32_t uidvalidity;
	struct uidlist_entry *entries;
	uint32_t count;
	uint32_t bad; /* lines that make no sense: passed over */
};

/* The spans point into text. -1 with err, which does not name the file: it is no uidlist, has more
 * than INDEX_COUNT_MAX lines, or memory is short. */
int uidlist_parse(pop3_span text, struct uidlist *ret, struct err *err);
void uidlist_finish(struct uidlist *list);

#endif
