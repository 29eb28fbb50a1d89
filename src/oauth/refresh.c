/* See refresh.h. */
#include "oauth/refresh.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

enum {
	AHEAD_SECONDS = 300, /* a token that is good for less is refreshed */
	USABLE_SECONDS = 30,
};

static pop3_span span_of_secret(const struct secret *secret)
{
	return (pop3_span){secret->bytes, secret->size};
}

static int ask(const struct oauth_source *source, const struct secret *token,
	       struct oauth_answer *ret, struct err *err)
{
	struct form *form;
	const char *id, *secret;
	int rc;

	if (source->client(source->context, &id, &secret, err) < 0)
		return -1;
	form = malloc(sizeof(*form));
	if (!form)
		return err_sys(err, EX_OSERR, ENOMEM, "memory");
	form_init(form, "");
	form_add(form, "grant_type", "refresh_token");
	form_add(form, "refresh_token", token->bytes);
	form_add(form, "client_id", id);
	if (*secret)
		form_add(form, "client_secret", secret);
	rc = source->ask(source->context, form, ret, err);
	wipe(form, sizeof(*form));
	free(form);
	return rc;
}

/* Puts the new tokens into the grant. used: the refresh token that was good. */
static void renew(struct grant *grant, const struct secret *used, const struct oauth_answer *answer,
		  int64_t now)
{
	struct secret good = *used;

	secret_set(&grant->access, span_of_secret(&answer->access));
	grant->expires = oauth_answer_end(answer, now);
	grant->refreshed = now;
	secret_finish(&grant->previous);
	if (answer->refresh.size &&
	    !secret_equal(span_of_secret(&answer->refresh), span_of_secret(&good))) {
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
static int refresh(const struct oauth_source *source, struct grant *grant, int64_t now,
		   struct err *err)
{
	const struct secret *const tokens[] = {&grant->refresh, &grant->previous};
	struct oauth_answer answer;
	int rc = -1;

	if (!grant->refresh.size)
		return err_set(err, source->consent, "%s gave no refresh token", source->name);
	for (int i = 0; i < 2 && tokens[i]->size; i++) {
		bool dead;

		if (ask(source, tokens[i], &answer, err) < 0)
			return -1; /* nobody knows: the next time it is asked again */
		dead = is_grant_error(&answer);
		if (answer.access.size) {
			renew(grant, tokens[i], &answer, now);
			rc = 0;
		} else if (dead && i == 0) {
			source->ended(source->context, grant, &answer, now, err);
		} else if (!dead) {
			source->refused(source->context, &answer, err);
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
	return !refused || !secret_equal(span_of_secret(refused), span_of_secret(&grant->access));
}

int oauth_access(const struct oauth_source *source, struct grant *grant,
		 const struct secret *refused, int64_t now, struct err *err)
{
	bool usable = !refused && grant->access.size && now + USABLE_SECONDS < grant->expires;
	struct err own = {0};

	if (good_still(grant, refused, now))
		return 0;
	if (source->keep(source->context, grant, &own) < 0 ||
	    refresh(source, grant, now, &own) < 0) {
		/* it will do for this time; when it does not any more, the trouble is reported */
		if (usable && own.code != source->consent)
			return 0;
		if (err)
			*err = own;
		return -1;
	}
	return source->keep(source->context, grant, err);
}
