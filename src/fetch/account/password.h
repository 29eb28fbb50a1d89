/*
 * An account's password: from a file, a command, the environment, netrc or the terminal. Read
 * before the process confines itself; never in an argument, never in a log.
 */
#ifndef FETCH_ACCOUNT_PASSWORD_H
#define FETCH_ACCOUNT_PASSWORD_H

#include "base/secret.h"
#include "fetch/account/account.h"

/* Called before a person is asked; -1 with err: there is no use in asking. */
struct fetch_asking {
	int (*before)(const void *context, struct err *err);
	const void *context;
};

/* asking: NULL: nothing is to be done before. An access token comes by the same ways. */
int fetch_password(const struct fetch_account *account, const struct fetch_asking *asking,
		   struct secret *ret, struct err *err);
/* Opens a file with a secret for reading. One that everybody may read or change is refused, with
 * the command that mends it. what: "password file". */
int fetch_open_secret(const char *path, const char *what, struct err *err);
/* The key of the client certificate is such a file, too. */
int fetch_check_key(const struct fetch_account *account, struct err *err);

/* Pure: looks machine and login up in a netrc's text. 1: found, 0: not there, -1: it cannot be
 * read. */
int fetch_netrc(pop3_span text, pop3_span host, pop3_span user, struct secret *ret);

#endif
