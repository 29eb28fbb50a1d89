/*
 * --accept-new-uidls: a server that moved gives old messages new unique ids. Those that are listed
 * under an unknown one are compared, by size and headers (TOP), with those that are known and gone;
 * a match is noted under its new id instead of being collected again.
 */
#ifndef FETCH_REMATCH_H
#define FETCH_REMATCH_H

#include "fetch/transfer.h"

/* Returns how many were matched, -1 with err. */
int64_t rematch(struct transfer *transfer, struct err *err);

#endif
