/* HURRY: a login will want a maildrop whose mail moves here, and asks the server that has it first:
 * what copies from there is told to give way. On the keeper's loop. */
#ifndef SERVER_KEEPER_HURRY_H
#define SERVER_KEEPER_HURRY_H

#include "server/keeper/place.h"

void keeper_hurry(struct peer *auth, const struct ipc_hurry *message);

#endif
