/*
 * A signed token (JWT, RFC 7519, in the compact form of RFC 7515), taken apart. Nothing of it is
 * true before its signature was verified (signature.h). Pure; thread-safe.
 */
#ifndef LOOKUP_OAUTH_JWT_H
#define LOOKUP_OAUTH_JWT_H

#include <pop3/span.h>

#include <jansson.h>

enum jwt_result {
	JWT_OK,
	JWT_OTHER, /* no token of this form: perhaps one that only its issuer can read */
	JWT_BAD,   /* of this form, and damaged, or of a kind that no login is for */
};

struct jwt {
	pop3_span head, body, signature; /* in the token: base64url */
	json_t *header, *claims;         /* objects */
	const char *algorithm;           /* in header */
	const char *kid;                 /* in header; NULL: it names no key */
};

/* Fills in *ret, to be finished, if JWT_OK; else *ret_why says why. The token stays. */
enum jwt_result jwt_read(pop3_span token, struct jwt *ret, const char **ret_why);
void jwt_finish(struct jwt *jwt);

#endif
