/*
 * The Maildir sink: opened by sink.c; its struct is shared by maildir.c (delivery) and
 * maildir_recover.c (staged messages of an earlier run, messages still there). For this room alone.
 */
#ifndef FETCH_SINK_MAILDIR_H
#define FETCH_SINK_MAILDIR_H

#include "fetch/sink/maildir_name.h"
#include "fetch/sink/sink.h"

enum { MAILDIR_STAGED_MAX = 17 + DELIVERY_ID_SIZE };

struct staged {
	int fd;
	char name[MAILDIR_STAGED_MAX];
	char final[MAILDIR_FINAL_MAX];
};

struct maildir_sink {
	struct sink sink;
	int root, new_dir, staging, lock;
	pop3_span key;
	char prefix[17]; /* of this account's names in staging */
	char host[65];

	int fd; /* the message being written, −1: none */
	char staged_name[MAILDIR_STAGED_MAX];
	uint64_t stored, behind; /* octets written; of those, on their way to the disk */
	size_t buffered;
	char buffer[16384];
	struct staged batch[SINK_BATCH_MAX];
	unsigned batched;
	int64_t cost_all, cost_each; /* µs a message, of the two ways to flush; 0: not known */

	char (*present)[DELIVERY_ID_SIZE]; /* ids found by sink_maildir_scan, sorted */
	size_t present_count, present_capacity;
};

/* The caller owns *ret and ends it through its destroy; the journal stays the caller's. */
int sink_maildir_open(const struct sink_settings *settings, struct journal *journal,
		      struct sink **ret, struct err *err);
/* Publishes or removes the staged messages of an earlier run. */
int maildir_recover(struct maildir_sink *m, struct journal *journal, struct err *err);

#endif
