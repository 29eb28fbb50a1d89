/*
 * The listing of a maildrop on another server: LIST and UIDL become an index in sealed memory
 * files, as fronts read it. Everything that server says is hostile: the numbers have to be 1, 2, 3
 * … in both, sizes are its guesses, and a unique id that no client could get (RFC 1939 section 7)
 * is replaced by a digest of it, which stays the same. No I/O but to memory.
 */
#ifndef MAILDROP_REMOTE_LISTING_H
#define MAILDROP_REMOTE_LISTING_H

#include "base/err.h"
#include "maildrop/index/write.h"

struct remote_listing {
	uint64_t *sizes; /* of messages 1 …, as LIST has them */
	uint32_t count, room;
	uint32_t ids;
	uint32_t replaced; /* of them, by a digest */
	struct index_writer writer;
	bool writing;
	uint64_t octets;
	int base_fd, delta_fd; /* -1: not made yet */
};

void remote_listing_init(struct remote_listing *listing);
void remote_listing_finish(struct remote_listing *listing);
/* The lines of LIST, then those of UIDL, then the end. 0; -1 with err: no such listing is served.
 */
int remote_listing_size(struct remote_listing *listing, uint32_t number, uint64_t octets,
			struct err *err);
int remote_listing_id(struct remote_listing *listing, uint32_t number, pop3_span id,
		      struct err *err);
int remote_listing_end(struct remote_listing *listing, struct err *err);

#endif
