/*
 * Access tokens for another server's mailboxes: of grants that lie in a folder of this process's
 * system user, refreshed at the provider's token endpoint (RFC 6749 section 6). In worker threads;
 * a user's grant has one lock. The refresh token leaves this process to the provider alone.
 */
#ifndef LOOKUP_OAUTH_ACCESS_H
#define LOOKUP_OAUTH_ACCESS_H

#include "lookup/driver.h"
#include "lookup/web/web.h"

struct access;

/* NULL in ret: the database has no token_url, and no grants. Opens the folder. */
int access_create(const struct lookup_database *database, struct sandbox *sandbox,
		  struct access **ret, struct err *err);
/*
 * Of names[0]; the secret is a token that the other server has refused, or empty. FOUND: field
 * "access_token". UNKNOWN: there is no grant. REFUSED: a person has to consent. DOWN: the provider
 * cannot be asked, or the token could not be kept.
 */
void access_ask(struct access *access, struct web *web, const struct lookup_question *question,
		struct lookup_answer *answer);

#endif
