/* The state of a transfer at work, shared by transfer.c (requests) and receive.c (replies); for
 * these two alone. */
#ifndef FETCH_COLLECT_RECEIVE_H
#define FETCH_COLLECT_RECEIVE_H

#include "base/digest.h"
#include "fetch/collect/head.h"
#include "fetch/collect/notice.h"
#include "fetch/collect/transfer.h"

struct staged_message {
	uint32_t number, entry, doubt;
	uint64_t octets, head_hash;
	int64_t time;
	bool partial;
	bool completes; /* its headers were delivered before */
};

/* A place in the order of the plan: by rank, then by number. */
struct cursor {
	uint8_t rank;
	uint32_t index;
};

struct work {
	struct transfer *t;
	struct cursor next_fetch, next_delete;
	uint32_t flying; /* RETR and TOP unanswered */
	uint64_t flying_octets;
	uint64_t window;
	int64_t began;
	uint64_t received;

	/* the message that is being received */
	bool receiving, dropped;
	bool endless; /* it went on beyond what is believed */
	uint32_t number;
	uint64_t octets;
	struct head_hash head;
	struct digest digest; /* of a message without unique id */
	uint32_t extra;       /* octets that we put in front */

	struct staged_message batch[SINK_BATCH_MAX];
	unsigned batched;
	bool batch_failed;
	uint64_t batch_octets;
	int64_t batch_since;
	int64_t last_time; /* given to a message */
	bool sink_broken;  /* nothing more can be delivered */
	struct notice notice;
};

static inline struct message *work_message(struct work *work, uint32_t number)
{
	return &work->t->messages[number - 1];
}

/* An event of RETR or TOP. */
int receive_event(struct work *work, const struct pop3_client_event *event, struct err *err);
/* Makes what is staged durable and published: from then on it is ours. */
int receive_finish_batch(struct work *work, struct err *err);

#endif
