/*
 * Orders of people for the other machines that serve the same maildrops: from auth and the monitor
 * to the store, which reaches those machines' keepers, and from it to this one's auth and monitor.
 * On the keeper's loop.
 */
#ifndef SERVER_KEEPER_NODES_H
#define SERVER_KEEPER_NODES_H

#include "server/keeper/place.h"

void keeper_nodes_tell(struct keeper *keeper, const struct ipc_nodes *message);
void keeper_nodes_tell_ban(struct keeper *keeper, const struct ipc_ban *message);
/* For struct store_host: octets are another machine's, of any version. */
void keeper_store_told(void *context, pop3_span octets);

#endif
