/*
 * The register of a mail root: which maildrops there ever were. Only it tells a maildrop that went
 * missing from a user who never had one, so it lies in the state folder, on another filesystem than
 * the mail. Written by the monitor, `valija deliver` and `valija mark`, each as the owner of the
 * state folder; keepers ask the monitor. Blocks on the disk. Format: docs/maildrop-format.md.
 */
#ifndef MAILDROP_REGISTER_H
#define MAILDROP_REGISTER_H

#include "base/err.h"

#include <pop3/span.h>

#include <stdbool.h>

#define REGISTER_MAX (16u << 20) /* entries: what a keeper that was taken over can write */

enum register_kind {
	REGISTER_NONE,   /* never was there, or is forgotten */
	REGISTER_MAKING, /* may have folders, never had an acknowledged message */
	REGISTER_MADE,   /* was there: if it is not, it is missing */
	REGISTER_KINDS
};

/* What else is known of a location, for the guard (guard.h): words of the fact's own each. */
enum register_fact {
	REGISTER_SERVED,  /* its folders are known, since a session had it; no words */
	REGISTER_FOLDERS, /* it is the one with these folders */
	REGISTER_BROUGHT, /* unique ids were brought there, by this rule; no words: by any */
	REGISTER_ALARM,   /* it was refused, and no person has accepted it; no words */
	REGISTER_FACTS
};

struct mail_register;

/* file: its path; it is made by the first entry. Reads nothing yet. NULL: no memory. */
struct mail_register *register_create(const char *file);
void register_destroy(struct mail_register *reg);
const char *register_file(const struct mail_register *reg);

/*
 * The register's entry of a location (a path below the mail root). Looks at the file again when
 * other processes changed it. -1 with err: it cannot be read.
 */
int register_find(struct mail_register *reg, pop3_span location, enum register_kind *ret,
		  struct err *err);
enum register_flush {
	REGISTER_LATER,     /* it may be unknown after a crash: the next flush is soon enough */
	REGISTER_WITH_NEXT, /* the caller calls register_flush before it relies on the entry */
	REGISTER_NOW,       /* it is on the disk when 0 is returned */
};
/*
 * Enters a location; the latest entry of a location counts. Nothing is written for a location that
 * is of that kind already. -1 with err: it is not known whether it will be there after a crash.
 */
int register_enter(struct mail_register *reg, pop3_span location, enum register_kind kind,
		   enum register_flush flush, struct err *err);
/* The same for a fact. A version that does not know the kind of entry passes it over. */
int register_knows(struct mail_register *reg, pop3_span location, enum register_fact fact,
		   pop3_span words, bool *ret, struct err *err);
int register_note(struct mail_register *reg, pop3_span location, enum register_fact fact,
		  pop3_span words, bool is_so, enum register_flush flush, struct err *err);
/* Flushes what was entered without it. -1 with err: nothing of that is known to be on the disk. */
int register_flush(struct mail_register *reg, struct err *err);

#endif
