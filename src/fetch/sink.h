/*
 * Where messages go. One message at a time: begin, write…, end (or drop). What is ended is only
 * staged; the transfer then calls settle (make the staged durable), writes the journal, and calls
 * publish. With a Maildir that order makes a message appear exactly once whatever is cut or killed;
 * the other sinks deliver at end or settle, so a crash may repeat a message, and they pass its
 * delivery id, which is the same every time, for the receiver to tell.
 */
#ifndef FETCH_SINK_H
#define FETCH_SINK_H

#include "base/err.h"
#include "fetch/account.h"
#include "fetch/files.h"
#include "fetch/journal.h"

#include <pop3/span.h>

#include <stdbool.h>
#include <stdint.h>

#define SINK_ID_SIZE 33 /* 32 hex digits and a NUL */
#define SINK_BATCH_MAX 256

enum sink_result {
	SINK_OK = 0,
	SINK_FAILED = -1, /* this message can't be delivered (now); others may */
	SINK_BROKEN = -2, /* nothing can be delivered: full disk, no permission */
};

struct sink_message {
	char id[SINK_ID_SIZE]; /* delivery id, from account and unique id */
	uint64_t octets;       /* on the wire */
	int64_t time;          /* of collection; becomes part of the name */
};

struct sink;

struct sink_ops {
	/* id may be another one than that of end: a message without unique id gets one of its
	 * contents */
	enum sink_result (*begin)(struct sink *, const char *id, struct err *);
	enum sink_result (*write)(struct sink *, pop3_span, struct err *);
	enum sink_result (*end)(struct sink *, const struct sink_message *, struct err *);
	void (*drop)(struct sink *);
	enum sink_result (*settle)(struct sink *, struct err *);
	enum sink_result (*publish)(struct sink *, struct err *);
	void (*destroy)(struct sink *);
};

struct sink {
	const struct sink_ops *ops;
	const struct fetch_files *files;
};

/* The message's identity in this account; 128 bits of SHA-256. key names the account. */
void sink_id(pop3_span key, pop3_span identity, char ret[SINK_ID_SIZE]);

/*
 * Opens a Maildir for an account; makes it if only its last component is missing. Takes over what
 * an earlier run left: staged messages that the journal names are published, others removed. The
 * journal is settled before that.
 */
int sink_maildir_open(const struct fetch_files *files, const char *path, pop3_span key,
		      struct journal *journal, struct sink **ret, struct err *err);
/* For policy "follow": whether a delivered message is still in the Maildir or one of its folders;
 * looks once, at the first call. */
int sink_maildir_scan(struct sink *sink, struct err *err);
bool sink_maildir_has(struct sink *sink, const char *id);
/* Messages the Maildir has of those delivered here; for the local brake. */
void sink_maildir_remove_partial(struct sink *sink, const char *id);

#endif
