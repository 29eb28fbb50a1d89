/*
 * A Maildir that moves here from a server that lives (docs/moving-in.md): messages of that server
 * are copied, octet by octet, into a folder beside cur, where no session sees them; at the switch
 * those that are still there get their unique ids and go into cur, and a record says that the mail
 * is here from now on. With the rights of the mail's owner; may block on the disk. For `valija
 * migrate`; what sessions see of it: look.h.
 *
 * Until the switch the session lock of the maildrop is held from migration_open to migration_close:
 * a keeper that cannot take it tells us that a client waits (migration_wanted), and nobody opens a
 * session at the other server meanwhile.
 */
#ifndef MAILDROP_MAILDIR_MIGRATE_MIGRATE_H
#define MAILDROP_MAILDIR_MIGRATE_MIGRATE_H

#include "maildrop/maildrop.h"

#include <pop3/span.h>

struct migration;

struct migration_totals {
	uint64_t copied;     /* messages whose copies are on the disk */
	uint64_t gone;       /* ids that were copied, and went there before the switch */
	uint64_t octets;     /* of the copies made since migration_open */
	bool has_switched;   /* the mail is here */
	int64_t switched_at; /* since then: seconds of 1970 */
};

/* folder stays the caller's; home names it. source: "SECTION NAME", which a journal that is there
 * has to have, too. look: nothing is written or locked. IN_USE: a session or another call has it.
 */
enum maildrop_status migration_open(const struct maildrop_settings *settings, int folder,
				    const char *home, const char *source, bool look,
				    struct migration **ret, struct err *err);
/* What was copied and not flushed is forgotten. */
void migration_close(struct migration *migration);

void migration_totals(const struct migration *migration, struct migration_totals *ret);
/* Whether the message with that unique id is to be copied. After the switch none is that was copied
 * once, wherever it went since. */
bool migration_wants(const struct migration *migration, pop3_span id);
/* Whether it was copied, and did not go there before the switch: then its owner has it, or deleted
 * it here. */
bool migration_has(const struct migration *migration, pop3_span id);
/* A client waits for the maildrop: end the session there, and close. */
bool migration_wanted(const struct migration *migration);

/* One message: begin, its octets, end; or begin anew. Not OK: err. */
enum maildrop_status migration_begin(struct migration *migration, pop3_span id, struct err *err);
enum maildrop_status migration_add(struct migration *migration, pop3_span octets, struct err *err);
enum maildrop_status migration_end(struct migration *migration, struct err *err);
/* The messages that ended are on the disk, and their ids in the journal. */
enum maildrop_status migration_flush(struct migration *migration, struct err *err);

/*
 * The switch: that server has exactly these messages, in this order, no session of its maildrop is
 * open, and all of them were copied and flushed. Copies of others are removed: their owner deleted
 * them there. accept: even if none is left of many. OK: from now on sessions are opened here.
 */
enum maildrop_status migration_switch(struct migration *migration, const pop3_span *ids,
				      uint32_t count, bool accept, struct err *err);
/* After the switch: messages that were copied since are shown as new mail. */
enum maildrop_status migration_publish(struct migration *migration, struct err *err);
/* Before the switch: removes the copies and the journal. PERM after it. */
enum maildrop_status migration_undo(struct migration *migration, struct err *err);

#endif
