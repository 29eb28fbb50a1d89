/* Questions to a provider's token endpoint, for refresh.c and the flows of a login. */
#ifndef FETCH_OAUTH_ENDPOINT_H
#define FETCH_OAUTH_ENDPOINT_H

#include "fetch/account/provider.h"
#include "oauth/answer.h"
#include "oauth/form.h"

#include <stdbool.h>

/* Puts the client's JSON file in the place of client_id and client_secret, if there is one; -1 with
 * the page to open if there is no client id at all. */
int oauth_client(struct fetch_oauth *oauth, struct err *err);
/* Adds client_id, and client_secret if there is one: public clients must send none. */
void oauth_form_client(struct form *form, const struct fetch_oauth *oauth);
/*
 * Sends form to url. 0: ret has tokens or an error code (the caller finishes it); -1: there is no
 * answer that can be understood (EX_TEMPFAIL and others), ret is empty.
 */
int oauth_ask(const char *url, const struct form *form, struct oauth_answer *ret, struct err *err);
/* Explains an error code that the caller does not await to a person, in err. Returns -1. */
int oauth_refused(const struct fetch_oauth *oauth, const struct oauth_answer *answer,
		  struct err *err);

#endif
