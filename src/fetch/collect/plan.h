/*
 * The action for each message of a listing, and its reason: the account's policy against the
 * journal. Pure, so that --dry-run shows exactly what a run would do. Also the brake: a server
 * whose known messages have mostly vanished or changed their unique ids is not believed.
 */
#ifndef FETCH_COLLECT_PLAN_H
#define FETCH_COLLECT_PLAN_H

#include "fetch/account/account.h"
#include "fetch/journal/journal.h"

enum plan_action {
	PLAN_NOTHING,
	PLAN_FETCH,   /* RETR */
	PLAN_PARTIAL, /* TOP: the headers */
	PLAN_DELETE,  /* it is ours already: DELE */
};

enum plan_reason {
	REASON_NEW,
	REASON_SEEN,          /* collected before, stays on the server */
	REASON_MARKED,        /* passed over by --mark-seen */
	REASON_DELIVERED,     /* collected before, to be deleted now */
	REASON_EXPIRED,       /* kept for its days */
	REASON_OLD,           /* not among the newest that are kept */
	REASON_REMOVED,       /* gone from the Maildir */
	REASON_LARGE,         /* above the size limit */
	REASON_WHOLE,         /* partial before, wanted whole */
	REASON_RUN_LIMIT,     /* comes with a later run */
	REASON_NO_ID,         /* without a usable unique id: known only after reading it */
	REASON_DOUBT,         /* known, but of another size */
	REASON_NOT_LISTED,    /* UIDL names it, LIST does not */
	REASON_DEADLY,        /* sessions broke at it again and again: left out */
	REASON_REFUSED,       /* by the destination, before */
	REASON_REFUSED_AGAIN, /* refused before, wanted once more */
};

/* Deaths of sessions at one message: it is taken behind all others, then not any more. */
enum {
	PLAN_LAST_DEATHS = 2,
	PLAN_LEFT_OUT_DEATHS = 3,
};

struct message {
	uint64_t size;  /* announced, 0: unknown */
	uint32_t entry; /* in the journal; JOURNAL_NONE: no usable unique id */
	uint32_t doubt; /* entry of its unique id, which may belong to another; or JOURNAL_NONE */
	bool listed;    /* LIST has it */
	bool failed;    /* could not be collected in this run */
	bool ours;      /* delivered, now or before: DELE is allowed */
	uint8_t action; /* enum plan_action */
	uint8_t reason; /* enum plan_reason */
	uint8_t rank;   /* messages of rank 0 come first; 1: may break the session, 2: did */
};

struct plan_totals {
	uint32_t fetch, remove, known, later, left_out;
	uint8_t last_rank; /* of a message that is fetched or deleted */
	uint64_t fetch_octets;
};

struct plan_settings {
	const struct fetch_account *account;
	int64_t now;                                             /* seconds since 1970 */
	bool (*removed)(void *context, const struct seen *seen); /* FETCH_FOLLOW; else NULL */
	void *context;
	const char *whole; /* unique id wanted whole or tried again, "all", or NULL */
	bool retry_refused;
};

/* The journal's entry that counts the deaths of sessions at a message: its own, that of an id that
 * may be another's, or one for messages of its size that have no id. make: it is made if missing.
 * JOURNAL_NONE: there is none. */
uint32_t plan_suspect(struct journal *journal, const struct message *message, bool make);
/* messages[0] is message number 1. */
void plan_make(const struct plan_settings *settings, struct journal *journal,
	       struct message *messages, uint32_t count, struct plan_totals *ret);
const char *plan_reason_text(enum plan_reason reason);

struct plan_brake {
	uint32_t known, missing, just_missing, fresh;
	bool renewed; /* few messages, most gone and others there: ids that change in each session?
		       */
	bool many_unknown; /* about as many unknown messages are listed: changed ids */
	bool stop;         /* the listing is not believed unless an option allows it */
};

/* Compares the listing (entries' listed) with what the journal expects to be on the server. */
void plan_brake(struct journal *journal, const struct message *messages, uint32_t count,
		struct plan_brake *ret);

#endif
