/*
 * An access token of a grant (RFC 6749 section 6): good still, or refreshed. Pure: asking and
 * keeping are the caller's, who holds one lock from reading the grant to the last keep: providers
 * that rotate refresh tokens take two uses of one for a theft, and end the grant.
 */
#ifndef OAUTH_REFRESH_H
#define OAUTH_REFRESH_H

#include "base/err.h"
#include "oauth/answer.h"
#include "oauth/form.h"
#include "oauth/grant.h"

struct oauth_source {
	const char *name; /* of the provider, for err */
	int consent;      /* err's code when a person has to consent */
	/* Who we are to the provider; read when it is needed. secret "": a public client, which
	 * must send none. The texts live as long as the source. */
	int (*client)(void *context, const char **ret_id, const char **ret_secret, struct err *err);
	/* Sends form to the token endpoint. 0: ret has tokens or an error code (it was initialised,
	 * and is finished by the caller); -1: no answer that can be understood, ret is empty. */
	int (*ask)(void *context, const struct form *form, struct oauth_answer *ret,
		   struct err *err);
	/* Writes the grant durably. */
	int (*keep)(void *context, const struct grant *grant, struct err *err);
	/* Explain to a person: an error code that is not the grant's; a grant that has ended. */
	void (*refused)(void *context, const struct oauth_answer *answer, struct err *err);
	void (*ended)(void *context, const struct grant *grant, const struct oauth_answer *answer,
		      int64_t now, struct err *err);
	void *context;
};

/*
 * Makes grant->access good for some minutes from now (seconds since 1970). refused: a token that
 * the mail server did not accept, so that another is needed; NULL: none. Before a refresh token is
 * spent the grant is kept once as it is: where the disk is full a rotated token would have no place
 * to go, and the consent would be lost. Returns -1 with err.
 */
int oauth_access(const struct oauth_source *source, struct grant *grant,
		 const struct secret *refused, int64_t now, struct err *err);

#endif
