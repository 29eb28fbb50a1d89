/*
 * Whether children work: pings, processes that hang, and fronts that others cannot reach. Runs in
 * the monitor; messages of children are hostile.
 */
#ifndef SERVER_MONITOR_HEALTH_H
#define SERVER_MONITOR_HEALTH_H

#include "server/monitor/members.h"

/* Milliseconds between two looks. */
uint64_t health_pulse(const struct generation *g);
/* Pings all children, kills those that do not answer. Returns one that was killed and hangs in the
 * kernel, or NULL. */
/* Sets the gauges of descriptors. */
void health_count(const struct generation *g);
struct slot *health_look(struct generation *g);
/* PONG. */
void health_pong(struct slot *slot, const struct ipc_pong *message);
/* PEER_LOST: from has no channel any more to the process of that instance. */
void health_peer_lost(struct slot *from, uint64_t instance);

#endif
