/*
 * A keeper's questions to the monitor about maildrops that are not there: the monitor owns the
 * register of all that ever were. A maildrop that is there costs no question; the first opening of
 * each is reported, so that the register knows it. Before a maildrop may pass for a new one, or is
 * made, the other places where the settings could have the user's mail are asked about, too: a user
 * who has a maildrop in one of them gets an error, no empty one. On the keeper's loop.
 */
#ifndef SERVER_KEEPER_LOCATION_H
#define SERVER_KEEPER_LOCATION_H

#include "server/keeper/place.h"

/* Called once: allowed, or why (a text for the log) it is not. */
typedef void keeper_located(void *context, bool allowed, const char *why);

/* The user whose maildrop it is. name: borrowed until the answer. */
struct keeper_whose {
	const char *name;
	bool placed; /* the user's entry says where it is */
};

/* Asks; the answer comes later, on the loop. Until then the keeper is busy. */
void keeper_location_ask(struct keeper *keeper, enum ipc_location_ask ask,
			 const struct keeper_place *place, const struct keeper_whose *whose,
			 keeper_located *located, void *context);
void keeper_location_answer(struct keeper *keeper, const struct ipc_location_answer *message);
/* The maildrop of the place was opened or delivered to. */
void keeper_location_seen(struct keeper *keeper, const struct keeper_place *place);

#endif
