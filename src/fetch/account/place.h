/* Destinations that are accounts themselves: an IMAP folder, Gmail. Their settings begin with
 * "to-"; for options.c, config_file.c and the sink. */
#ifndef FETCH_ACCOUNT_PLACE_H
#define FETCH_ACCOUNT_PLACE_H

#include "fetch/account/account.h"

/* "imaps://USER@HOST[:PORT]/FOLDER" or "imap://…": into account->place. */
int fetch_place_url(struct fetch_account *account, const char *url, struct err *err);
/* Setting i, from 0, as the configuration file and (with "--") the command line name it; NULL
 * behind the last. *ret_path: its value is a path, in which "~/" is the user's. */
const char *fetch_place_setting(unsigned i, bool *ret_path);
/* secret: the value may hold a password. */
int fetch_place_set(struct fetch_account *account, const char *name, const char *value, bool secret,
		    struct err *err);
/* After all settings are in. */
int fetch_place_check(struct fetch_account *account, struct err *err);
/* The destination's secret is an access token. */
bool fetch_place_token(const struct fetch_account *account);
/* The destination as an account, for fetch_password. */
void fetch_place_account(const struct fetch_account *account, struct fetch_account *ret);

#endif
