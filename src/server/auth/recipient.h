/* Recipients of LMTP: an address becomes users, and each user's keeper learns that a front may
 * deliver to it in this transaction. */
#ifndef SERVER_AUTH_RECIPIENT_H
#define SERVER_AUTH_RECIPIENT_H

#include "server/auth/session.h"

int auth_recipients_open(struct auth *auth, struct err *err);
void auth_recipient(struct peer *front, const struct ipc_recipient *message);

#endif
