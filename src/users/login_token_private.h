/* OAUTHBEARER and XOAUTH2: the steps of an attempt with a token. Whether the token is good is asked
 * of the databases of driver oauth. See login_attempt_private.h. */
#ifndef USERS_LOGIN_TOKEN_PRIVATE_H
#define USERS_LOGIN_TOKEN_PRIVATE_H

#include "users/login_attempt_private.h"

/* Takes the client's response: LOGIN_ASK, or a verdict. */
enum login_verdict login_token_response(struct login *login, pop3_span response, bool has_response);
/* The verdict on the token; LOGIN_ASK while no database has judged it. */
enum login_verdict login_token_verdict(struct login *login);

#endif
