/* EXTERNAL (RFC 4422 appendix A): the steps of an attempt with a client's certificate, which its
 * front has verified. See login_attempt_private.h. */
#ifndef USERS_LOGIN_EXTERNAL_PRIVATE_H
#define USERS_LOGIN_EXTERNAL_PRIVATE_H

#include "users/login_attempt_private.h"

/* Takes the client's response, whom it wants to act for: LOGIN_ASK, or a verdict. */
enum login_verdict login_external(struct login *login, pop3_span authzid, bool has_response);

#endif
