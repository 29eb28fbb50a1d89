/* A candidate for the POP3 server of an address; filled by the ways of find.c. */
#ifndef FETCH_SETUP_FOUND_H
#define FETCH_SETUP_FOUND_H

#include "fetch/account/provider.h"

struct found {
	const struct fetch_provider *provider; /* NULL: none of the table */
	char host[FETCH_TEXT_MAX];
	uint16_t port;
	enum fetch_tls tls;
	char user[FETCH_TEXT_MAX]; /* to log in as */
	bool tokens_only;          /* no password is taken */
	bool foreign;  /* the server is in another domain, and only unsigned DNS says so */
	char from[80]; /* who says so, for a person */
};

/* Letters, digits, "-" and ".", as in a name that may be looked up. */
bool found_host_valid(const char *text, size_t size);

#endif
