/*
 * From the connected socket to the TRANSACTION state: greeting, STLS, capabilities, authentication
 * by the strongest mechanism both sides know. Earlier offers of an account's server are remembered
 * in its journal, so that less is never accepted in silence, and nothing is asked twice.
 */
#ifndef FETCH_SESSION_LOGIN_H
#define FETCH_SESSION_LOGIN_H

#include "base/secret.h"
#include "fetch/account/account.h"
#include "fetch/session/dialog.h"

#include <stdbool.h>

/* A server's capabilities, from its CAPA or the journal. */
struct fetch_profile {
	bool known;      /* of an earlier session, and still true: CAPA need not be asked */
	bool pipelining; /* announced in CAPA */
	bool uidl_told, top_told;
	bool sasl_ir; /* initial responses are taken (RFC 5034): any server with SASL in CAPA */
	char mechanisms[256]; /* space-separated, upper case, "" none; USER and APOP among them */
	char login[32];       /* mechanism of the last good login */
	int strength;         /* of that mechanism: enum fetch_strength */
};

enum fetch_strength {
	FETCH_PLAIN_IN_CLEAR, /* the password itself, no TLS */
	FETCH_PLAIN_TLS,      /* the password itself, under TLS */
	FETCH_DIGEST,         /* CRAM-MD5, APOP */
	FETCH_SCRAM,          /* neither side can be played by somebody who listened */
	FETCH_SCRAM_BOUND,    /* and the TLS channel is part of it */
};

/* Logs in over a dialogue that is connected. profile is updated. err's code separates wrong
 * credentials (EX_NOPERM) from trouble. */
int fetch_login(struct dialog *dialog, const struct fetch_account *account,
		const struct secret *password, struct fetch_profile *profile, struct err *err);

/* The mechanism to use out of what is offered, NULL: none. Pure. stamp: the greeting has one. */
const char *fetch_choose(const char *offered, const char *asked, bool tls, bool binding, bool stamp,
			 int *ret_strength);

#endif
