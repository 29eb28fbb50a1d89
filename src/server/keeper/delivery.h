/* LMTP deliveries: recipients that auth opened, messages that the LMTP front sends for them. On the
 * keeper's loop. */
#ifndef SERVER_KEEPER_DELIVERY_H
#define SERVER_KEEPER_DELIVERY_H

#include "server/keeper/place.h"

void keeper_recipient(struct peer *auth, const struct ipc_recipient_open *message);
/* The same for a user whose mail is on another server: path is the place, SECTION/USER. */
void keeper_recipient_remote(struct peer *auth, const struct ipc_recipient_remote *message,
			     pop3_span path);
void keeper_deliver(struct peer *front, const struct ipc_deliver *message, int *fd);
void keeper_forget(struct peer *front, const struct ipc_transaction *message);
/* The front is gone: its transactions end, but jobs under way are finished. */
void keeper_transactions_end(struct peer *front);

#endif
