/*
 * Access tokens of an account: kept, refreshed ahead of time, asked for anew. For run.c and
 * fetch.c, in processes that are not confined.
 */
#ifndef FETCH_OAUTH_OAUTH_H
#define FETCH_OAUTH_OAUTH_H

#include "base/secret.h"
#include "fetch/account/account.h"
#include "fetch/syscalls.h"

/* A token that is good for some minutes. refused: one that the mail server did not accept, so that
 * another is needed; NULL: none. err's code is FETCH_EX_CONSENT when a person has to consent. */
int oauth_token(const struct fetch_files *files, int state_dir, const struct fetch_account *account,
		const struct secret *refused, struct secret *ret, struct err *err);

/*
 * A process, started before the caller confines itself, that can ask for another token when the
 * mail server has refused the first.
 */
struct oauth_helper;
int oauth_helper_start(int state_dir, const struct fetch_account *account,
		       struct oauth_helper **ret, struct err *err);
void oauth_helper_stop(struct oauth_helper *helper); /* NULL: none */
/* token: the refused one; replaced. Once in a run. */
int oauth_helper_ask(struct oauth_helper *helper, struct secret *token, struct err *err);

#endif
