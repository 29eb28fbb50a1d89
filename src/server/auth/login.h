/* Login attempts: what a front sends of them, up to their verdict. */
#ifndef SERVER_AUTH_LOGIN_H
#define SERVER_AUTH_LOGIN_H

#include "server/auth/session.h"

/* PASS, APOP, SASL_START or SASL_RESPONSE. */
void auth_login_message(struct auth_session *session, enum ipc_type type,
			const struct ipc_credentials *message);
/* Forgets the attempt under way, if any: nothing is answered. */
void auth_login_cancel(struct auth_session *session);

#endif
