/*
 * An account's password: from a file, a command, the environment, netrc or the terminal. Read
 * before the process confines itself; never in an argument, never in a log.
 */
#ifndef FETCH_ACCOUNT_PASSWORD_H
#define FETCH_ACCOUNT_PASSWORD_H

#include "base/secret.h"
#include "fetch/account/account.h"

int fetch_password(const struct fetch_account *account, struct secret *ret, struct err *err);

/* Pure: looks machine and login up in a netrc's text. 1: found, 0: not there, -1: it cannot be
 * read. */
int fetch_netrc(pop3_span text, pop3_span host, pop3_span user, struct secret *ret);

#endif
