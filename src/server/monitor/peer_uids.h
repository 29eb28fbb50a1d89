/* The system users whose programs mta believes at a Unix socket: sasl.peers, root, and the user
 * that valijad was started as. In the monitor: children look no names up. */
#ifndef SERVER_MONITOR_PEER_UIDS_H
#define SERVER_MONITOR_PEER_UIDS_H

#include "config/config.h"
#include "ipc/messages.h"

/* Fills in uids and count. -1 with err: the configuration names a user who does not exist. */
int peer_uids_find(const struct config *config, struct ipc_uids *ret, struct err *err);

#endif
