/* One login on a dialogue whose greeting and capabilities are known; for login.c. */
#ifndef FETCH_SESSION_AUTHENTICATE_H
#define FETCH_SESSION_AUTHENTICATE_H

#include "fetch/session/login.h"

/* Tries the strongest mechanism, then, when it is refused for no reason that is given, the next
 * that is not weaker. stamp: of the greeting. profile gets what succeeded. */
int fetch_authenticate(struct dialog *dialog, const struct fetch_account *account,
		       const struct secret *secret, struct fetch_profile *profile, pop3_span stamp,
		       struct err *err);

#endif
