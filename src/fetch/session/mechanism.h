/*
 * The mechanisms of a login and their order. Pure; for authenticate.c, in the fetch process.
 */
#ifndef FETCH_SESSION_MECHANISM_H
#define FETCH_SESSION_MECHANISM_H

#include <stdbool.h>

/* The strength of a login: the less it gives away, the stronger. Under verified TLS the password
 * itself is as safe as a digest of it, and any server can check it, so the two are of one strength
 * there. */
enum fetch_strength {
	FETCH_PLAIN_IN_CLEAR, /* the password itself, no TLS */
	FETCH_PLAIN_TLS,      /* under TLS: the password itself, a digest of it, a token */
	FETCH_DIGEST,         /* CRAM-MD5, APOP, no TLS */
	FETCH_SCRAM,          /* neither side can be played by somebody who listened */
	FETCH_SCRAM_BOUND,    /* and the TLS channel is part of it */
};

struct fetch_choice {
	const char *offered; /* space-separated, upper case */
	const char *asked;   /* by name; "": the strongest */
	const char *last;    /* mechanism of the last good login; preferred among equals; "" none */
	bool tls, binding;
	bool stamp;     /* the greeting has one */
	bool token;     /* the secret is an access token (RFC 6750), no password */
	unsigned tried; /* one bit a mechanism that was refused: fetch_mechanism_bit */
};

/* The mechanism to use, NULL: none. */
const char *fetch_choose(const struct fetch_choice *choice, int *ret_strength);
unsigned fetch_mechanism_bit(const char *name);
/* The client sends the first octets (RFC 4422): an initial response is possible (RFC 5034). */
bool fetch_mechanism_speaks_first(const char *name);
bool fetch_mechanism_takes_token(const char *name);

#endif
