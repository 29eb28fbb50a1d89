/*
 * A keeper's questions to the monitor about maildrops that are not there: the monitor owns the
 * register of all that ever were. A maildrop that is there costs no question; the first opening of
 * each is reported, so that the register knows it. On the keeper's loop.
 */
#ifndef SERVER_KEEPER_LOCATION_H
#define SERVER_KEEPER_LOCATION_H

#include "server/keeper/lane.h"

/* For the log; the monitor's log has more of it. */
#define KEEPER_MAIL_AWAY "the path of the mail folder leads elsewhere: see valijad's log before"

/* Called once: allowed, or why (a text for the log) it is not. */
typedef void keeper_located(void *context, bool allowed, const char *why);

/* Asks; the answer comes later, on the loop. Until then the keeper is busy. */
void keeper_location_ask(struct keeper *keeper, enum ipc_location_ask ask,
			 const struct keeper_lane *lane, keeper_located *located, void *context);
void keeper_location_answer(struct keeper *keeper, const struct ipc_location_answer *message);
/* The maildrop of the lane was opened or delivered to. */
void keeper_location_seen(struct keeper *keeper, const struct keeper_lane *lane);

#endif
