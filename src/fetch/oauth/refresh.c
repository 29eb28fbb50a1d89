/* oauth_token: see oauth.h. */
#include "oauth/refresh.h"

#include "base/text.h"
#include "fetch/account/password.h"
#include "fetch/oauth/endpoint.h"
#include "fetch/oauth/oauth.h"
#include "fetch/oauth/store.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

enum {
	TESTING_SECONDS = 7 * 86400, /* grants of Google projects in "Testing" */
	TESTING_MARGIN_SECONDS = 2 * 3600,
};

struct source {
	struct grant_store *store;
	struct fetch_oauth oauth; /* a copy: the client is read into it */
};

static int client(void *context, const char **ret_id, const char **ret_secret, struct err *err)
{
	struct source *source = context;

	if (oauth_client(&source->oauth, err) < 0)
		return -1;
	*ret_id = source->oauth.client_id;
	*ret_secret = source->oauth.client_secret;
	return 0;
}

static int keep(void *context, const struct grant *grant, struct err *err)
{
	struct source *source = context;

	return grant_save(source->store, grant, err);
}

static int ask(void *context, const struct form *form, struct oauth_answer *ret, struct err *err)
{
	struct source *source = context;

	return oauth_ask(source->oauth.token, form, ret, err);
}

static void refused(void *context, const struct oauth_answer *answer, struct err *err)
{
	struct source *source = context;

	oauth_refused(&source->oauth, answer, err);
}

/* The grant died between the last refresh and now: was that when projects in "Testing" lose it? */
static bool died_of_testing(const struct fetch_oauth *oauth, const struct grant *grant, int64_t now)
{
	int64_t end = grant->granted + TESTING_SECONDS;

	return oauth->provider && oauth->provider->testing && grant->granted > 0 &&
	       grant->refreshed < end + TESTING_MARGIN_SECONDS &&
	       now > end - TESTING_MARGIN_SECONDS;
}

static void ended(void *context, const struct grant *grant, const struct oauth_answer *answer,
		  int64_t now, struct err *err)
{
	const struct source *source = context;
	const struct fetch_oauth *oauth = &source->oauth;

	if (died_of_testing(oauth, grant, now))
		err_set(err, FETCH_EX_CONSENT,
			"the consent ended after seven days: the Google project is in "
			"\"Testing\"; press \"Publish app\" at %s before the next login",
			oauth->provider->publish_page);
	else
		err_set(err, FETCH_EX_CONSENT, "%s does not accept the refresh token any more (%s)",
			oauth->name, answer->words[0] ? answer->words : answer->error);
}

static int from_store(struct grant_store *store, const struct fetch_account *account,
		      const struct secret *refused_token, struct grant *grant, struct err *err)
{
	struct source *source;
	struct oauth_source how = {.consent = FETCH_EX_CONSENT,
				   .client = client,
				   .ask = ask,
				   .keep = keep,
				   .refused = refused,
				   .ended = ended};
	int rc = grant_load(store, grant, err);

	if (rc < 0)
		return -1;
	if (rc == 0)
		return err_set(err, FETCH_EX_CONSENT, "there are no tokens yet");
	source = malloc(sizeof(*source));
	if (!source)
		return err_sys(err, EX_OSERR, ENOMEM, "memory");
	*source = (struct source){.store = store, .oauth = *account->oauth};
	how.name = source->oauth.name;
	how.context = source;
	rc = oauth_access(&how, grant, refused_token, time(NULL), err);
	wipe(source, sizeof(*source));
	free(source);
	return rc;
}

int oauth_token(const struct fetch_files *files, int state_dir, const struct fetch_account *account,
		const struct secret *refused_token, struct secret *ret, struct err *err)
{
	struct grant_store *store;
	struct grant *grant;
	struct err own = {0};
	int rc;

	if (account->password_source != FETCH_TOKEN_OAUTH)
		return fetch_password(account, NULL, ret, err);
	grant = malloc(sizeof(*grant));
	if (!grant)
		return err_sys(err, EX_OSERR, ENOMEM, "memory");
	grant_init(grant);
	rc = grant_open(files, state_dir, account, &store, &own);
	if (rc == 0) {
		rc = from_store(store, account, refused_token, grant, &own);
		grant_close(store);
	}
	if (rc == 0)
		rc = secret_set(ret, (pop3_span){grant->access.bytes, grant->access.size});
	else if (err)
		*err = own;
	grant_finish(grant);
	free(grant);
	return rc;
}
