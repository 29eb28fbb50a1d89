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

/* Returns how many of at most sample unknown messages have the headers of one that is gone. */
int64_t rematch_sample(struct transfer *transfer, uint32_t sample, uint32_t *ret_refused,
		       struct err *err);

/* Compares a received message with those that are gone, for a server without TOP. 1: it is one of
 * them, noted under its new id; 0: it is none; -1: err. */
int rematch_received(struct transfer *transfer, const struct message *message, uint64_t octets,
		     uint64_t head_hash, struct err *err);

#endif
