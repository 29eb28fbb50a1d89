/* The two ways to a person's consent; for login.c. Each fills ret with tokens, or says why not. */
#ifndef FETCH_OAUTH_FLOW_H
#define FETCH_OAUTH_FLOW_H

#include "fetch/oauth/endpoint.h"

/* RFC 8628: a code to type in at another device. */
int oauth_device(const struct fetch_oauth *oauth, struct oauth_answer *ret, struct err *err);
/* RFC 8252: the browser comes back to a listener on 127.0.0.1, or a person pastes the address that
 * it could not open. user: whose consent; start: a browser may be started. */
int oauth_browser(const struct fetch_oauth *oauth, const char *user, bool start,
		  struct oauth_answer *ret, struct err *err);

#endif
