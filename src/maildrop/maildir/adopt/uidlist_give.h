/*
 * dovecot-uidlist with unique ids of ours: a new text in which messages have them as saved POP3
 * ids, so that Dovecot shows what we have shown. Pure.
 */
#ifndef MAILDROP_MAILDIR_ADOPT_UIDLIST_GIVE_H
#define MAILDROP_MAILDIR_ADOPT_UIDLIST_GIVE_H

#include "base/err.h"
#include "maildrop/mail_origin.h"

#include <pop3/span.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A message of ours, in the order of a session. */
struct uidlist_message {
	pop3_span file; /* up to the flags */
	pop3_span id;
	/* of uidlist_give: */
	uint32_t uid, order; /* as Dovecot will have them */
	bool lost;           /* Dovecot cannot have it by this name */
};

struct uidlist_given {
	char *text; /* from the heap; NULL: the list is right as it is */
	size_t size;
	uint32_t saved;      /* ids that were written */
	uint32_t added;      /* of them: of messages that Dovecot did not know */
	uint32_t lost;       /* messages whose ids cannot be kept */
	uint32_t first_lost; /* the first of them */
	bool reordered;      /* each message has an order (O) now */
};

/*
 * text: of a list of version 3; what we do not know of it stays. origin: the rule by which Dovecot
 * makes ids where none is saved; NULL: not known, so that each id is saved. -1 with err, which does
 * not name the file: Dovecot would throw that list away, it is of version 1, there are no numbers
 * left, or memory is short.
 */
int uidlist_give(pop3_span text, const struct mail_origin *origin, struct uidlist_message *messages,
		 uint32_t count, struct uidlist_given *ret, struct err *err);

#endif
