/*
 * Orders of people that other machines carry out as well: those that serve the same maildrops,
 * where the store has such (docs/many-machines.md). Any keeper passes them on. A machine that is
 * down, or cut off, misses them. On auth's loop.
 */
#ifndef SERVER_AUTH_NODES_H
#define SERVER_AUTH_NODES_H

#include "ipc/messages.h"

struct auth;

enum { NODES_SEEN = 64 }; /* orders that are remembered, so that none is carried out twice */

struct nodes {
	uint64_t seen[NODES_SEEN];
	uint32_t count;
};

/* Tells the other machines. */
void nodes_tell(struct auth *auth, enum ipc_nodes_what what, uint32_t uid, pop3_span text);
/* Of an order that came: false: it was seen, or is of this machine. */
bool nodes_is_new(struct nodes *nodes, uint64_t id);

#endif
