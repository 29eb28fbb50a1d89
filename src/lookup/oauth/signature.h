/*
 * Keys of an issuer (JWKS, RFC 7517) and signatures made with them, by José and, for Ed25519, which
 * it does not know, OpenSSL. The algorithm follows from the type of the key, out of one list of
 * signatures with public keys; a token's header only chooses among what fits. Pure; thread-safe.
 */
#ifndef LOOKUP_OAUTH_SIGNATURE_H
#define LOOKUP_OAUTH_SIGNATURE_H

#include "lookup/oauth/jwt.h"

enum {
	KEY_SET_MAX = 64, /* keys */
};

struct key_set;

/* Reads a set, one hold of which is the caller's. Keys that are not for signatures, or weak, are
 * passed over. NULL with *ret_why: it is no set of keys, or none of them can be used. */
struct key_set *key_set_read(pop3_span text, const char **ret_why);
struct key_set *key_set_hold(struct key_set *set);
void key_set_release(struct key_set *set);

enum signature {
	SIGNATURE_GOOD,
	SIGNATURE_WRONG,
	SIGNATURE_NO_KEY,    /* the set has no key of that kid */
	SIGNATURE_ALGORITHM, /* one that is not taken, or not of the key's type */
};

enum signature signature_verify(const struct key_set *set, const struct jwt *jwt);

#endif
