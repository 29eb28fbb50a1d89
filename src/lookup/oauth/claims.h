/*
 * The claims of a token: a JWT's, or an answer of introspection (RFC 7662), judged by the rules of
 * one database. Pure; thread-safe.
 */
#ifndef LOOKUP_OAUTH_CLAIMS_H
#define LOOKUP_OAUTH_CLAIMS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	CLAIMS_LEEWAY = 60, /* seconds that clocks may differ */
	CLAIMS_USER_MAX = 255,
};

struct claims_rules {
	const char *issuer;           /* "": any (introspection) */
	const char *const *audiences; /* one of them has to be named */
	size_t audience_count;        /* 0: any (introspection) */
	const char *scope;            /* each word of it is needed */
	const char *user_claim;
	bool needs_expiry, needs_issuer;
};

enum claims_result {
	CLAIMS_GOOD,
	CLAIMS_OTHER, /* of another issuer */
	CLAIMS_WRONG,
};

struct claims {
	char user[CLAIMS_USER_MAX + 1];
	uint64_t expires; /* seconds of 1970; 0: they do not say */
};

/* now: seconds of 1970. *ret: filled in if CLAIMS_GOOD; else *ret_why says why. */
enum claims_result claims_judge(const json_t *claims, const struct claims_rules *rules,
				uint64_t now, struct claims *ret, const char **ret_why);

#endif
