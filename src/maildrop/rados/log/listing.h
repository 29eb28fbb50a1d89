/*
 * What sessions are given of a log: a base of the messages that were live when it was made, and a
 * delta of what has changed since (docs/maildrop-format.md), in memory files that nobody can change
 * any more. A base serves many logins, so that a login after a delivery costs what was appended,
 * not the maildrop. No other I/O; one thread.
 */
#ifndef MAILDROP_RADOS_LOG_LISTING_H
#define MAILDROP_RADOS_LOG_LISTING_H

#include "maildrop/rados/log/log.h"

struct drop_base;

struct drop_listed {
	unsigned char id[DROP_ID];
	uint64_t octets, stored;
	uint32_t flags, body_crc;
};

/* Fixed once it is made; shared by sessions. */
struct drop_listing {
	int base_fd, delta_fd; /* it owns the delta */
	uint64_t delta_size, octets;
	uint32_t count;
	/* private */
	unsigned references;
	struct drop_base *base;
	uint64_t log_size; /* the log had so many octets */
	uint32_t *removed; /* ordinals of the base, ascending */
	struct drop_listed *added;
	size_t removed_count, added_count;
};

/* What is kept from one login to the next. Embedded, all zero at first. */
struct drop_listings {
	struct drop_base *base;
	struct drop_listing *last;
};

/* Of the messages of a log that has been fed, and nothing else, since the last call. A reference,
 * which the caller releases. NULL: errno. */
struct drop_listing *drop_listings_take(struct drop_listings *listings, const struct drop_log *log);
/* The log is another one, or what was made of it is not believed. Listings that were taken stay. */
void drop_listings_forget(struct drop_listings *listings);
size_t drop_listings_octets(const struct drop_listings *listings);
/* NULL is none. */
void drop_listing_release(struct drop_listing *listing);
/* number: 1 … count. */
const struct drop_listed *drop_listing_find(const struct drop_listing *listing, uint32_t number);

#endif
