/*
 * A keeper's part of the guard of unique ids (maildrop/guard.h): a worker that opens a Maildir
 * without an index leaves what it found, and its work; the loop asks the monitor, whose register
 * knows which Maildir it was, and the work is done again. What sessions opened is reported, so that
 * the register knows it.
 */
#ifndef SERVER_KEEPER_GUARD_H
#define SERVER_KEEPER_GUARD_H

#include "server/keeper/place.h"

void keeper_guard_init(struct keeper_guard *guard);
/* For struct store_host. */
void keeper_guard_prove(struct store_where *where, struct store_proof *proof);
/* False: the answer is to no question of these. */
bool keeper_guard_answer(struct keeper *keeper, const struct ipc_location_answer *message);
/* A session has the maildrop of the place. */
void keeper_guard_seen(struct keeper *keeper, const struct keeper_place *place,
		       const struct maildrop_snapshot *snapshot);
/* The maildrop was refused. */
void keeper_guard_tripped(struct keeper *keeper, const struct keeper_place *place);

#endif
