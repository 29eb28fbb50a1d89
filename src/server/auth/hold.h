/* SASL exchanges that are held back: a client that gave up an exchange had its reply at once, so
 * the delay of that failure comes before the next exchange of the connection. On auth's loop. */
#ifndef SERVER_AUTH_HOLD_H
#define SERVER_AUTH_HOLD_H

#include "server/auth/session.h"

/* Handles a held SASL_START when its time has come. */
typedef void auth_hold_over(struct auth_session *session, enum ipc_type type,
			    const struct ipc_credentials *message);

/* Returns whether the exchange waits; then its front has its credit back. Of more than a bounded
 * number the others go on at once: their addresses have failures and come last in the queue. */
bool auth_hold(struct auth_session *session, const struct ipc_credentials *message,
	       auth_hold_over *over);
void auth_hold_drop(struct auth_session *session);

#endif
