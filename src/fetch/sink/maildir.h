/* The Maildir sink's inside, shared by sink_maildir.c (delivery) and maildir_recover.c (what an
 * earlier run left, what is still there). */
#ifndef FETCH_SINK_MAILDIR_H
#define FETCH_SINK_MAILDIR_H

#include "fetch/sink/sink.h"

#define MAILDIR_STAGED_MAX (17 + SINK_ID_SIZE)
#define MAILDIR_FINAL_MAX 200

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

	char (*present)[SINK_ID_SIZE]; /* ids found by sink_maildir_scan, sorted */
	size_t present_count, present_capacity;
};

void maildir_final_name(const struct maildir_sink *m, const char *id, int64_t time, uint64_t stored,
			uint64_t octets, char *buf, size_t size);
/* The id in such a name, whatever flags are behind it; NULL: it is none of ours. */
const char *maildir_name_id(const char *name);
/* Publishes or removes what an earlier run staged. */
int maildir_recover(struct maildir_sink *m, struct journal *journal, struct err *err);

#endif
