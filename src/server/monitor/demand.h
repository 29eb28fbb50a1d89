/*
 * Keepers on demand: when one is started for an owner of mail, when it is asked to end for another,
 * and what its end means. Runs in the monitor; messages of children are hostile.
 */
#ifndef SERVER_MONITOR_DEMAND_H
#define SERVER_MONITOR_DEMAND_H

#include "server/monitor/members.h"

/* KEEPER_WANTED of auth. */
void demand_keeper(struct slot *from, const struct ipc_owner *wanted);
/* The process of a slot has ended, tidily or not. Returns true when that was a keeper on demand
 * whose slot is gone: it is not started again as others are. */
bool demand_ended(struct generation *g, struct slot *slot, bool tidy);
/* For the timer room of struct generation. */
void demand_room(struct loop_timer *timer);

#endif
