/* Opening a maildrop for a POP3 session: at once, by an operation of the store, or later, when the
 * session that has it is over. On the keeper's loop. */
#ifndef SERVER_KEEPER_OPENING_H
#define SERVER_KEEPER_OPENING_H

#include "server/keeper/session.h"

/* OPEN of auth, or OPEN_MIGRATES. */
void keeper_open(struct peer *auth, const struct ipc_open *message, bool migrates);
/* OPEN_REMOTE: the maildrop at path of the connector's store, with that name and secret there. */
void keeper_open_remote(struct peer *auth, const struct ipc_open_remote *message, pop3_span path,
			pop3_span name, pop3_span secret);
/* GO of auth: the front gets the maildrop that the other server has opened, or it is closed. */
void keeper_go(struct peer *auth, const struct ipc_verdict *message);
/* Called once, at the start: maildrops that do not open in time get an answer. */
void keeper_opening_init(struct keeper *keeper);

#endif
