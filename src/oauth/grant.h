/*
 * A person's consent (RFC 6749): its tokens and when they came, and their form in a file or a
 * keyring. Pure. Where it is kept, and one lock from reading to writing, are the caller's.
 */
#ifndef OAUTH_GRANT_H
#define OAUTH_GRANT_H

#include "base/secret.h"

#include <stdint.h>

enum { GRANT_TEXT_MAX = 4 * SECRET_MAX };

struct grant {
	struct secret access;
	struct secret refresh;
	struct secret
		previous;  /* the refresh token before, until this one was good; size 0: none */
	int64_t expires;   /* of access; seconds since 1970 */
	int64_t refreshed; /* the refresh token was good then */
	int64_t granted;   /* a person consented then */
};

void grant_init(struct grant *grant);
void grant_finish(struct grant *grant);
/* grant_write returns the octets; -1: no room. */
int grant_write(const struct grant *grant, char *out, size_t cap);
int grant_read(pop3_span text, struct grant *ret); /* -1: it is none, or a part of one */

#endif
