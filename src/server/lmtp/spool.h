/*
 * Room for messages that are being received and delivered, in memory or on a disk: a bound for all
 * of them, and who has to give way when it is reached. A sender is a user of this machine (Unix
 * socket) or a network address. Messages that hardly grow give way first, then those of the sender
 * that holds most; so nobody who drips, or who holds much, stops the deliveries of others. In the
 * LMTP front, which calls it with the time; no I/O here.
 */
#ifndef SERVER_LMTP_SPOOL_H
#define SERVER_LMTP_SPOOL_H

#include "base/table.h"

#include <stdbool.h>
#include <stdint.h>

enum {
	SPOOL_STEP = 128 * 1024,           /* a message that grows so much … */
	SPOOL_STEP_MS = 10 * 1000,         /* … in this time is on its way; another one is slow */
	SPOOL_SMALL = 1024 * 1024,         /* a message that is held in memory */
	SPOOL_TIME_MS = 600 * 1000,        /* for a message, and in addition … */
	SPOOL_OCTETS_A_SECOND = 16 * 1024, /* … the time that its octets take at this rate */
};

struct spool_sender;

/* Embedded in a transaction; zeroed: it holds nothing. Members are spool.c's alone. */
struct spool_message {
	struct spool_message *next, *previous; /* of those that still grow, the oldest first */
	struct spool_sender *sender;           /* NULL: it holds nothing */
	uint64_t size;
	uint64_t step_at, step_size; /* when it last grew by a step, and to what */
	bool grows;
};

struct spool {
	uint64_t max, held;
	uint64_t small; /* a message for which the last quarter of the room is kept */
	struct table senders;
	struct spool_message *first, *last;
	/* The message must give way: the owner throws it away and calls spool_end. */
	void (*evict)(struct spool *spool, struct spool_message *message);
};

void spool_init(struct spool *spool, uint64_t max, uint64_t small,
		void (*evict)(struct spool *spool, struct spool_message *message));

/* The key of a sender: address is IPv4 mapped or IPv6 (counted by /64); all zero: uid's socket. */
uint64_t spool_key(const uint8_t address[16], uint32_t uid);

/*
 * A message begins; declared: its octets, 0 if not known. A sender that has its share (a quarter of
 * all room) gets the last quarter for small messages only. False: there is no room for it and no
 * slow message that could give way, or no memory: it may be tried again later.
 */
bool spool_begin(struct spool *spool, struct spool_message *message, uint64_t key,
		 uint64_t declared, uint64_t now);
/* It grows by size octets. False: no room under the same rule, and no message can give way; the
 * caller ends it. */
bool spool_grow(struct spool *spool, struct spool_message *message, uint64_t size, uint64_t now);
/* Whether a message that began then, and has so many octets now, takes longer than any sender
 * needs. */
bool spool_late(uint64_t begun, uint64_t octets, uint64_t now);
/* It is complete: it holds its room until spool_end, but gives way no more. */
void spool_complete(struct spool *spool, struct spool_message *message);
/* It is gone. Legal for one that holds nothing. */
void spool_end(struct spool *spool, struct spool_message *message);

#endif
