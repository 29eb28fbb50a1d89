/* App passwords in login attempts: PASS, PLAIN, LOGIN. In auth: on its loop, or in the worker that
 * has the attempt. */
#ifndef USERS_LOGIN_APP_PRIVATE_H
#define USERS_LOGIN_APP_PRIVATE_H

#include "users/login_attempt_private.h"

/* Whether login->password is an app password of the claimed name; looked at once an attempt. */
bool login_app_matches(struct login *login);
/* The verdict where it is: the user's entry is all that is asked for. */
enum login_verdict login_app_verdict(struct login *login);

#endif
