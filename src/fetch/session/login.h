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
	bool utf8;              /* UTF8 is offered (RFC 6856) */
	bool two_lines;         /* the first octets of a login go in a line of their own */
	char mechanisms[256];   /* space-separated, upper case, "" none; USER and APOP among them */
	char login[32];         /* mechanism of the last good login */
	int strength;           /* of that mechanism: enum fetch_strength */
	uint32_t login_delay;   /* seconds, LOGIN-DELAY of RFC 2449; 0: none */
	enum pop3_code refusal; /* the response code of this session's refused greeting or login */
};

/* Greeting and TLS only: the server answers, and its certificate is good. Nothing secret is sent.
 */
int fetch_greet(struct dialog *dialog, const struct fetch_account *account, struct err *err);
/* Logs in over a dialogue that is connected; password is a token where the account says so. profile
 * is updated. err's code separates wrong credentials (EX_NOPERM, FETCH_EX_CONSENT) from trouble. */
int fetch_login(struct dialog *dialog, const struct fetch_account *account,
		const struct secret *password, struct fetch_profile *profile, struct err *err);

#endif
