/* The keys for a SCRAM exchange: a user's own, or keys that no proof fits. */
#ifndef USERS_LOGIN_SCRAM_PRIVATE_H
#define USERS_LOGIN_SCRAM_PRIVATE_H

#include "users/login_attempt_private.h"

/* sasl_callbacks.scram; argument is a struct login. */
void login_on_scram(void *argument, const struct scram_hash *hash, pop3_span authid,
		    pop3_span authzid, struct scram_keys *ret);

#endif
