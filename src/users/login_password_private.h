/* Names with passwords or digests: PASS, PLAIN, LOGIN, APOP, CRAM-MD5. In auth: on its loop, or in
 * the worker that has the attempt. */
#ifndef USERS_LOGIN_PASSWORD_PRIVATE_H
#define USERS_LOGIN_PASSWORD_PRIVATE_H

#include "users/login_attempt_private.h"

/* Checks the claimed name with login->password. fast: returns LOGIN_SLOW instead of computing a
 * hash. */
enum login_verdict login_verify(struct login *login, bool fast);
enum login_verdict login_verify_apop(struct login *login);
enum login_verdict login_cram_challenge(struct login *login);
enum login_verdict login_cram_response(struct login *login, pop3_span response);

#endif
