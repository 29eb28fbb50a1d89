/* LMTP deliveries: recipients that auth opened, messages that the LMTP front sends for them. On the
 * keeper's loop. */
#ifndef SERVER_KEEPER_DELIVERY_H
#define SERVER_KEEPER_DELIVERY_H

#include "server/keeper/place.h"

void keeper_recipient(struct peer *auth, const struct ipc_recipient_open *message);
void keeper_deliver(struct peer *front, const struct ipc_deliver *message, int *fd);
void keeper_forget(struct peer *front, const struct ipc_transaction *message);
/* The front is gone: its transactions end, but jobs under way are finished. */
void keeper_transactions_end(struct peer *front);

#endif
