/*
 * oauth_token: see oauth.h. The lock is held from reading the grant to the rename of the next one:
 * providers that rotate refresh tokens take two uses of one for a theft, and end the grant.
 */
#include "fetch/oauth/oauth.h"

#include "base/text.h"
#include "fetch/account/password.h"
#include "fetch/oauth/endpoint.h"
#include "fetch/oauth/grant.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

enum {
	AHEAD_SECONDS = 300,         /* a token that is good for less is refreshed */
	TESTING_SECONDS = 7 * 86400, /* grants of Google projects in "Testing" */
	TESTING_MARGIN_SECONDS = 2 * 3600,
	USABLE_SECONDS = 30,
	LIFETIME_SECONDS = 3600, /* of an access token, if the provider does not say */
};

static int ask_refresh(const struct fetch_oauth *oauth, const struct secret *token,
		       struct oauth_answer *ret, struct err *err)
{
	struct form *form = malloc(sizeof(*form));
	int rc;

	if (!form)
		return err_sys(err, EX_OSERR, ENOMEM, "memory");
	form_init(form, "");
	form_add(form, "grant_type", "refresh_token");
	form_add(form, "refresh_token", token->bytes);
	oauth_form_client(form, oauth);
	rc = oauth_ask(oauth->token, form, ret, err);
	wipe(form, sizeof(*form));
	free(form);
	return rc;
}

/* The grant died between the last refresh and now: was that when projects in "Testing" lose it? */
static bool died_of_testing(const struct fetch_oauth *oauth, const struct grant *grant, int64_t now)
{
	int64_t end = grant->granted + TESTING_SECONDS;

	return oauth->provider && oauth->provider->testing && grant->granted > 0 &&
	       grant->refreshed < end + TESTING_MARGIN_SECONDS &&
	       now > end - TESTING_MARGIN_SECONDS;
}

static int grant_ended(const struct fetch_oauth *oauth, const struct grant *grant,
		       const struct oauth_answer *answer, int64_t now, struct err *err)
{
	if (died_of_testing(oauth, grant, now))
		return err_set(err, FETCH_EX_CONSENT,
			       "the consent ended after seven days: the Google project is in "
			       "\"Testing\"; press \"Publish app\" at %s before the next login",
			       oauth->provider->publish_page);
	return err_set(err, FETCH_EX_CONSENT, "%s does not accept the refresh token any more (%s)",
		       oauth->name, answer->words[0] ? answer->words : answer->error);
}

/* Puts the new tokens into the grant. used: the refresh token that was good. */
static void renew(struct grant *grant, const struct secret *used, const struct oauth_answer *answer,
		  int64_t now)
{
	struct secret good = *used;

	secret_set(&grant->access, (pop3_span){answer->access.bytes, answer->access.size});
	grant->expires = now + (answer->expires_in ? answer->expires_in : LIFETIME_SECONDS);
	grant->refreshed = now;
	secret_finish(&grant->previous);
	if (answer->refresh.size &&
	    !secret_equal((pop3_span){answer->refresh.bytes, answer->refresh.size},
			  (pop3_span){good.bytes, good.size})) {
		grant->previous = good; /* until the new one has been good */
		grant->refresh = answer->refresh;
	} else {
		grant->refresh = good;
	}
	secret_finish(&good);
}

static bool is_grant_error(const struct oauth_answer *answer)
{
	return strcmp(answer->error, "invalid_grant") == 0 ||
	       strcmp(answer->error, "interaction_required") == 0 ||
	       strcmp(answer->error, "consent_required") == 0;
}

/* With the refresh token; if that one is dead, with the one before it: the answer that brought the
 * newer one may have been the provider's mistake, or an attack. */
static int refresh(const struct fetch_oauth *oauth, struct grant *grant, int64_t now,
		   struct err *err)
{
	const struct secret *const tokens[] = {&grant->refresh, &grant->previous};
	struct oauth_answer answer;
	int rc = -1;

	if (!grant->refresh.size)
		return err_set(err, FETCH_EX_CONSENT, "%s gave no refresh token", oauth->name);
	for (int i = 0; i < 2 && tokens[i]->size; i++) {
		bool dead;

		if (ask_refresh(oauth, tokens[i], &answer, err) < 0)
			return -1; /* nobody knows: the next run asks again */
		dead = is_grant_error(&answer);
		if (answer.access.size) {
			renew(grant, tokens[i], &answer, now);
			rc = 0;
		} else if (dead && i == 0) {
			grant_ended(oauth, grant, &answer, now, err);
		} else if (!dead) {
			oauth_refused(oauth, &answer, err);
		}
		oauth_answer_finish(&answer);
		if (rc == 0 || !dead)
			break;
	}
	return rc;
}

/* Another process may have refreshed it since. */
static bool good_still(const struct grant *grant, const struct secret *refused, int64_t now)
{
	if (!grant->access.size || now + AHEAD_SECONDS >= grant->expires ||
	    grant->refreshed > now + 86400) /* the clock was wrong then */
		return false;
	return !refused || !secret_equal((pop3_span){refused->bytes, refused->size},
					 (pop3_span){grant->access.bytes, grant->access.size});
}

/*
 * Before a refresh token is spent, the grant is written once more as it is: where the disk is full
 * or the keyring locked, a rotated token would have no place to go, and the consent would be lost.
 */
static int spend(struct grant_store *store, const struct fetch_account *account,
		 struct grant *grant, int64_t now, struct err *err)
{
	struct fetch_oauth *oauth = malloc(sizeof(*oauth));
	int rc;

	if (!oauth)
		return err_sys(err, EX_OSERR, ENOMEM, "memory");
	*oauth = *account->oauth;
	rc = oauth_client(oauth, err);
	if (rc == 0)
		rc = grant_save(store, grant, err);
	if (rc == 0)
		rc = refresh(oauth, grant, now, err);
	wipe(oauth, sizeof(*oauth));
	free(oauth);
	return rc;
}

static int from_store(struct grant_store *store, const struct fetch_account *account,
		      const struct secret *refused, struct grant *grant, struct err *err)
{
	int64_t now = time(NULL);
	bool usable;
	int rc = grant_load(store, grant, err);

	if (rc < 0)
		return -1;
	if (rc == 0)
		return err_set(err, FETCH_EX_CONSENT, "there are no tokens yet");
	if (good_still(grant, refused, now))
		return 0;
	usable = !refused && grant->access.size && now + USABLE_SECONDS < grant->expires;
	if (spend(store, account, grant, now, err) < 0) {
		/* it will do for this run; when it does not any more, the trouble is reported */
		return usable && err->code != FETCH_EX_CONSENT ? 0 : -1;
	}
	return grant_save(store, grant, err);
}

int oauth_token(const struct fetch_files *files, int state_dir, const struct fetch_account *account,
		const struct secret *refused, struct secret *ret, struct err *err)
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
		rc = from_store(store, account, refused, grant, &own);
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
