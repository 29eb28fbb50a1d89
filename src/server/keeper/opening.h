/* Opening a maildrop for a POP3 session: at once, by an operation of the store, or later, when the
 * session that has it is over. On the keeper's loop. */
#ifndef SERVER_KEEPER_OPENING_H
#define SERVER_KEEPER_OPENING_H

#include "server/keeper/session.h"

/* OPEN of auth. */
void keeper_open(struct peer *auth, const struct ipc_open *message);
/* Called once, at the start: maildrops that do not open in time get an answer. */
void keeper_opening_init(struct keeper *keeper);

#endif
