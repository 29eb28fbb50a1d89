/* Recipients of LMTP: an address becomes users, and each user's keeper gets the permission of a
 * front to deliver to that user in this transaction. On auth's loop. */
#ifndef SERVER_AUTH_RECIPIENT_H
#define SERVER_AUTH_RECIPIENT_H

#include "server/auth/session.h"

int auth_recipients_open(struct auth *auth, struct err *err);
void auth_recipient(struct peer *front, const struct ipc_recipient *message);

#endif
