/*
 * The keys of the one issuer of this process: fetched (jwks_url, or where the issuer's
 * openid-configuration says) or read from a file, kept, and fetched again: after an hour, and when
 * a token names a key that is not there, at most once a minute. Shared by the worker threads; one
 * of them fetches, the others go on with the keys that there are.
 */
#ifndef LOOKUP_OAUTH_KEYS_H
#define LOOKUP_OAUTH_KEYS_H

#include "lookup/oauth/signature.h"
#include "lookup/web/web.h"

#include <stdbool.h>
#include <stdint.h>

struct keys;

struct keys_source {
	const char *issuer; /* the openid-configuration has to name it */
	const char *url;    /* of the keys; "": discovered */
	const char *file;   /* instead; "": none */
};

/* The texts of source live as long as the process. NULL: no memory. */
struct keys *keys_create(const struct keys_source *source);

/*
 * The keys, to be released. renew: a token named one that is not among those seen before. deadline:
 * CLOCK_MONOTONIC, milliseconds. NULL with why: there are none, or they are too old to be trusted.
 * *ret_sure: the last attempt to fetch them succeeded, so that a key that is missing does not
 * exist.
 */
struct key_set *keys_get(struct keys *keys, struct web *web, bool renew, uint64_t deadline,
			 bool *ret_sure, char why[256]);

#endif
