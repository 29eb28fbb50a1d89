/*
 * The guard of unique ids: is a maildrop still the one whose ids clients know? What an index knows
 * is judged beside it (maildir/update/identity.h). Here it is a Maildir that has no index: the
 * register, on another filesystem than the mail, knows with which folders it was served, and
 * whether unique ids were brought there. In the monitor, for keepers, and in commands. Blocks on
 * the register's disk. docs/decisions/0052-guard.md.
 */
#ifndef MAILDROP_GUARD_H
#define MAILDROP_GUARD_H

#include "base/err.h"
#include "maildrop/register.h"

#include <pop3/span.h>

#include <stdint.h>

enum {
	GUARD_FILES = 1, /* a file of ours is in it */
	GUARD_IDS = 2,   /* unique ids that are data: valija-uidl */
	GUARD_HAS = GUARD_FILES | GUARD_IDS,
	GUARD_RULE_MAX = 513, /* octets of a rule, with its NUL */
};

/* A Maildir as it is found. */
struct guard_facts {
	uint64_t folders[2]; /* inodes of new and cur */
	uint32_t has;
	char rule[GUARD_RULE_MAX]; /* by which ids came, or would come; "": by none */
};

/* How whoever opens a maildrop asks. OK; GUARDED with err; UNPROVEN: it is not known yet, ask
 * again. By any thread. NULL: nobody judges. */
struct guard {
	int (*judge)(void *context, const char *location, const struct guard_facts *facts,
		     struct err *err); /* enum maildrop_status */
	void *context;
};

enum guard_verdict {
	GUARD_UNKNOWN = -1, /* the register cannot be read: err */
	GUARD_RIGHT,
	GUARD_WRONG, /* err says why, and what to do */
};
/* Is the Maildir without an index the one that the register knows? */
enum guard_verdict guard_judge(struct mail_register *reg, pop3_span location,
			       const struct guard_facts *facts, struct err *err);
/* A session has it: the register knows it from now on, and no alarm. *ret_entered: something was
 * entered, without a flush. */
int guard_seen(struct mail_register *reg, pop3_span location, const struct guard_facts *facts,
	       bool *ret_entered, struct err *err);
/* It was refused. */
int guard_alarm(struct mail_register *reg, pop3_span location, struct err *err);
/* A person accepts it as it is; on the disk when 0 is returned. lost_ids: unique ids that were
 * brought are gone for good. */
int guard_accept(struct mail_register *reg, pop3_span location, const struct guard_facts *facts,
		 bool lost_ids, struct err *err);
/* A person removed it: a later one is new. On the disk when 0 is returned. */
int guard_forget(struct mail_register *reg, pop3_span location, struct err *err);

#endif
