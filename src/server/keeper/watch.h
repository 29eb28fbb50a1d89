/*
 * Jobs that take long: the log says which maildrop waits for what, once, and once more when it goes
 * on; a client whose maildrop does not open gets an answer. On the keeper's loop.
 */
#ifndef SERVER_KEEPER_WATCH_H
#define SERVER_KEEPER_WATCH_H

#include "server/keeper/lane.h"

/* A job is about to be added to the lane. */
void keeper_watch_add(struct keeper *keeper, struct keeper_lane *lane);
/* The lane is about to be freed: nothing of it waits any more. */
void keeper_watch_leave(struct keeper *keeper, struct keeper_lane *lane);

#endif
