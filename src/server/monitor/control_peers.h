/* The users whose commands valijad obeys: root, the user that it was started as, and the members of
 * control.group. In the monitor: children look no names up. */
#ifndef SERVER_MONITOR_CONTROL_PEERS_H
#define SERVER_MONITOR_CONTROL_PEERS_H

#include "config/config.h"
#include "ipc/messages.h"

/* Fills in all but the head. -1 with err: there is no such group, or it has too many members. */
int control_peers_find(const struct config *config, struct ipc_control_peers *ret, struct err *err);

#endif
