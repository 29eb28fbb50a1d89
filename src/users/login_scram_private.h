/* The keys that SCRAM is answered with: a user's own, or such as no proof fits. In auth, in the
 * worker that has the attempt or on its loop. */
#ifndef USERS_LOGIN_SCRAM_PRIVATE_H
#define USERS_LOGIN_SCRAM_PRIVATE_H

#include "users/login_attempt_private.h"

/* sasl_callbacks.scram; argument is a struct login. */
void login_on_scram(void *argument, const struct scram_hash *hash, pop3_span authid,
		    pop3_span authzid, struct scram_keys *ret);

#endif
