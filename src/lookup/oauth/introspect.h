/*
 * Introspection (RFC 7662): the issuer is asked what a token is worth. In worker threads.
 */
#ifndef LOOKUP_OAUTH_INTROSPECT_H
#define LOOKUP_OAUTH_INTROSPECT_H

#include "lookup/web/web.h"

#include <jansson.h>
#include <stdbool.h>

struct introspection {
	const char *url;
	const char *client_id, *client_secret; /* "": the issuer asks for none */
	bool in_body;                          /* client_secret_post; else client_secret_basic */
};

/* Returns 1 with the answer of an active token, to be released; 0: it is not active; -1 with why:
 * the issuer cannot be asked. */
int introspect(const struct introspection *how, struct web *web, pop3_span token, unsigned timeout,
	       json_t **ret, char why[256]);
/* The part that reads: an answer of status 200. */
int introspection_read(pop3_span text, json_t **ret, char why[256]);

#endif
