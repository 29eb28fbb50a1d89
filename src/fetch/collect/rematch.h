/*
 * --accept-new-uidls: a server that moved gives old messages new unique ids. Messages that
 * are listed under an unknown one are compared, by size and headers (TOP), with known ones that are
 * gone; a match is noted under its new id instead of being collected again.
 */
#ifndef FETCH_COLLECT_REMATCH_H
#define FETCH_COLLECT_REMATCH_H

#include "fetch/collect/transfer.h"

/* Returns how many were matched, -1 with err. */
int64_t rematch(struct transfer *transfer, struct err *err);

/* How many of some unknown messages (at most sample) have the headers of one that is gone. */
int64_t rematch_sample(struct transfer *transfer, uint32_t sample, struct err *err);

#endif
