/* Login attempts, from a front's messages to the verdict. On auth's loop; hashes are computed in
 * its workers. */
#ifndef SERVER_AUTH_LOGIN_H
#define SERVER_AUTH_LOGIN_H

#include "server/auth/session.h"

/* Handles PASS, APOP, SASL_START or SASL_RESPONSE. */
void auth_login_message(struct auth_session *session, enum ipc_type type,
			const struct ipc_credentials *message);
/* Drops the attempt under way, if there is one, without an answer. */
void auth_login_cancel(struct auth_session *session);
/* The same for a client that gave up: if the attempt had cost work, that is a failure. */
void auth_login_given_up(struct auth_session *session);

/* VERDICT of a connector: the other server has judged the password. */
void auth_login_judged(struct peer *connector, const struct ipc_verdict *message);

#endif
