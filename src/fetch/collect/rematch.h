/*
 * Changed unique ids: a server that moved gives old messages new ones. Messages that
 * are listed under an unknown one are compared, by size and headers (TOP), with known ones that are
 * gone; a match is noted under its new id instead of being collected again.
 */
#ifndef FETCH_COLLECT_REMATCH_H
#define FETCH_COLLECT_REMATCH_H

#include "fetch/collect/transfer.h"

/* Returns how many were matched, -1 with err. refused: so many have no headers to compare (TOP). */
int64_t rematch(struct transfer *transfer, uint32_t *ret_refused, struct err *err);

/* How many of some unknown messages (at most sample) have the headers of one that is gone. */
int64_t rematch_sample(struct transfer *transfer, uint32_t sample, uint32_t *ret_refused,
		       struct err *err);

/* Where there is no TOP: a message that was received is one that is gone. 1: noted under its new
 * id; 0: it is none; -1: err. */
int rematch_received(struct transfer *transfer, const struct message *message, uint64_t octets,
		     uint64_t head_hash, struct err *err);

#endif
