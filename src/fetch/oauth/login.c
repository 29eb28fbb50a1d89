/* See login.h. The lock is not held while a person is waited for: other accounts' runs, and this
 * one's with the old grant, go on. */
#include "fetch/oauth/login.h"

#include "fetch/account/password.h"
#include "fetch/oauth/flow.h"
#include "fetch/oauth/store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

static int keep(const struct fetch_files *files, int state_dir, const struct fetch_account *account,
		const struct oauth_answer *answer, struct err *err)
{
	struct grant *grant = malloc(sizeof(*grant));
	struct grant_store *store;
	int64_t now = time(NULL);
	int rc;

	if (!grant)
		return err_sys(err, EX_OSERR, errno, "memory");
	grant_init(grant);
	grant->access = answer->access;
	grant->refresh = answer->refresh;
	grant->granted = grant->refreshed = now;
	grant->expires = oauth_answer_end(answer, now);
	rc = grant_open(files, state_dir, account, &store, err);
	if (rc == 0) {
		rc = grant_save(store, grant, err);
		grant_close(store);
	}
	grant_finish(grant);
	free(grant);
	return rc;
}

static int ask_person(const struct fetch_account *account, struct fetch_oauth *oauth,
		      const struct oauth_login *how, struct oauth_answer *ret, struct err *err)
{
	bool device =
		how->flow == OAUTH_FLOW_DEVICE || (how->flow == OAUTH_FLOW_ANY && oauth->device[0]);

	if (oauth_client(oauth, err) < 0)
		return -1;
	if (device && !oauth->device[0])
		return err_set(err, EX_USAGE, "%s has no codes for devices: --flow browser",
			       oauth->name);
	if (!device && !oauth->authorize[0])
		return err_set(err, EX_USAGE, "%s has no page for browsers: --flow device",
			       oauth->name);
	if (!device)
		return oauth_browser(oauth, account->user, !how->no_browser, ret, err);
	if (oauth_device(oauth, ret, err) == 0)
		return 0;
	if (err && oauth->authorize[0] && err->code == EX_UNAVAILABLE)
		err_prefix(err, "if codes for devices are forbidden, try --flow browser");
	return -1;
}

/* A command of the user's looks after consent: it is run, with the terminal, and must print a
 * token. */
static int try_command(const struct fetch_account *account, struct err *err)
{
	struct secret token;
	int rc;

	secret_init(&token);
	rc = fetch_password(account, NULL, &token, err);
	secret_finish(&token);
	if (rc == 0)
		printf("%s: the token command gives a token.\n", account->name);
	return rc;
}

int oauth_login(const struct fetch_files *files, int state_dir, const struct fetch_account *account,
		const struct oauth_login *how, struct err *err)
{
	struct fetch_oauth *oauth;
	struct oauth_answer answer;
	int rc;

	if (account->password_source == FETCH_TOKEN_COMMAND)
		return try_command(account, err);
	if (account->password_source != FETCH_TOKEN_OAUTH)
		return err_set(err, EX_USAGE,
			       "account \"%.80s\" logs in with a password: there is nothing to "
			       "consent to. With oauth = \"PROVIDER\" it would use tokens",
			       account->name);
	oauth = malloc(sizeof(*oauth));
	if (!oauth)
		return err_sys(err, EX_OSERR, errno, "memory");
	*oauth = *account->oauth;
	oauth_answer_init(&answer);
	rc = ask_person(account, oauth, how, &answer, err);
	if (rc == 0)
		rc = keep(files, state_dir, account, &answer, err);
	if (rc == 0 && !answer.refresh.size)
		printf("%s gave no refresh token: this login is good for an hour or so only.\n",
		       oauth->name);
	oauth_answer_finish(&answer);
	wipe(oauth, sizeof(*oauth));
	free(oauth);
	return rc;
}
