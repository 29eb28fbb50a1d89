/*
 * SCRAM keys that were derived from a password in clear text, remembered by network, name and
 * entry: the next first step of that name from that network costs no PBKDF2. The network belongs to
 * it so that a first step that is answered quickly tells only what that network knows already. Keys
 * of names that are no user's are remembered in the same way. Thread-safe, bounded. Used within
 * users only.
 */
#ifndef USERS_DERIVED_H
#define USERS_DERIVED_H

#include "base/err.h"
#include "users/scram.h"

#include <stdbool.h>

#define DERIVED_ID 32

struct derived;

/* The origin of keys: user, secret and salt. */
struct derived_of {
	const struct scram_hash *hash;
	pop3_span network; /* empty: not remembered */
	pop3_span name;    /* in its canonical form */
	pop3_span secret;  /* that they are derived from */
	const struct scram_keys *salt;
};

int derived_create(struct derived **ret, struct err *err);
void derived_destroy(struct derived *derived);
/* false: not remembered; else both keys are filled in. */
bool derived_get(struct derived *derived, const struct derived_of *of, struct scram_keys *ret);
void derived_put(struct derived *derived, const struct derived_of *of,
		 const struct scram_keys *keys);

#endif
