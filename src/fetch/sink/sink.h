/*
 * The sinks, as one interface. One message at a time: begin, write…, end (or drop). A message that
 * ended is only staged; the transfer then calls settle (the staged become durable), writes the
 * journal, and calls publish. With a Maildir that order makes a message appear exactly once
 * whatever is cut or killed; the other sinks deliver at end or settle, so a crash may repeat a
 * message, and they pass its delivery id, which is the same every time, so that the receiver can
 * recognize it. run.c owns the sink; it runs in the confined process, and messages are hostile.
 */
#ifndef FETCH_SINK_SINK_H
#define FETCH_SINK_SINK_H

#include "base/err.h"
#include "fetch/account/account.h"
#include "fetch/syscalls.h"
#include "fetch/journal/delivery_id.h"
#include "fetch/journal/journal.h"

#include <pop3/span.h>

#include <stdbool.h>
#include <stdint.h>

enum { SINK_BATCH_MAX = 256 };

enum sink_result {
	SINK_OK = 0,
	SINK_FAILED = -1, /* this message cannot be delivered (now); others may */
	SINK_BROKEN = -2, /* nothing can be delivered: full disk, no permission */
	SINK_REFUSED =
		-3, /* for good, and kept aside: err has the destination's words and the place */
	SINK_LATER = -4, /* the destination takes nothing now: the run ends, back-off begins */
};

struct sink_message {
	char id[DELIVERY_ID_SIZE]; /* delivery id, from account and unique id */
	uint64_t octets;           /* on the wire */
	int64_t time; /* of collection, microseconds since 1970; becomes part of the name */
};

struct sink;

enum sink_answer {
	SINK_THERE,
	SINK_ABSENT,
	SINK_UNKNOWN,   /* it cannot be asked, now or later */
	SINK_NO_ANSWER, /* not now: err, and later, say why */
};

struct sink_ops {
	/* id may be another one than that of end: a message without unique id gets one of its
	 * contents */
	enum sink_result (*begin)(struct sink *, const char *id, struct err *);
	enum sink_result (*write)(struct sink *, pop3_span, struct err *);
	enum sink_result (*end)(struct sink *, const struct sink_message *, struct err *);
	/* Instead of end, for a message that was on its way when its run was cut: whether the
	 * destination has it. NULL: no question is possible, and *sending* is not written down. */
	enum sink_answer (*ask)(struct sink *, const struct sink_message *, struct err *);
	void (*drop)(struct sink *);
	enum sink_result (*settle)(struct sink *, struct err *);
	enum sink_result (*publish)(struct sink *, struct err *);
	void (*destroy)(struct sink *);
};

struct sink {
	const struct sink_ops *ops;
	unsigned batch; /* messages between two journal entries, at most SINK_BATCH_MAX: what is
			   delivered at once should be noted at once */
	const struct fetch_files *files;
	uint32_t wait; /* with SINK_LATER: seconds that the destination asked for, 0: none */
	bool later;    /* SINK_LATER was the end of this run */
	bool broken;   /* it was the end of this run, that or another way */
};

struct sink_settings {
	const struct fetch_files *files;
	const struct fetch_account *account;
	pop3_span key;
	int state_dir;     /* for spool files; the caller's */
	bool output_apart; /* standard output is for events (--json) */
};

/*
 * Opens the sink that account->target names. A Maildir is made if only its last component is
 * missing, and what an earlier run left in it is taken over: staged messages that the journal names
 * are published, others removed; the journal is settled before that.
 */
int sink_open(const struct sink_settings *settings, struct journal *journal, struct sink **ret,
	      struct err *err);

/* Maildir only. Looks through the Maildir and its folders for delivered messages. */
int sink_maildir_scan(struct sink *sink, struct err *err);
/* After a scan: whether the message is still there. */
bool sink_maildir_has(struct sink *sink, const char *id);
/* Removes headers that were delivered under this id, now that the whole message is here. */
int sink_maildir_remove(struct sink *sink, const char *id, struct err *err);

#endif
