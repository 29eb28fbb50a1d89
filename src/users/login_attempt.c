/* See login_attempt_private.h. On auth's loop, or in the worker that has the attempt. */
#include "users/login_attempt_private.h"

#include "base/log.h"
#include "base/secret.h"
#include "base/text.h"
#include "users/scheme_kinds.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <string.h>

void login_drop_token(struct login *login)
{
	if (login->token)
		wipe(login->token, login->token_size);
	free(login->token);
	login->token = NULL;
	login->token_size = 0;
}

enum login_verdict login_over(struct login *login, enum login_verdict verdict, const char *reason)
{
	login->phase = PHASE_OVER;
	login->verdict = verdict;
	snprintf(login->reason, sizeof(login->reason), "%s", reason);
	secret_finish(&login->password);
	login_drop_token(login);
	return verdict;
}

enum login_verdict login_challenge_with(struct login *login, pop3_span text)
{
	size_t cap = (text.size + 2) / 3 * 4 + 1;
	int n;

	free(login->challenge);
	login->challenge_size = 0;
	login->challenge = malloc(cap);
	if (!login->challenge || (n = base64_encode(text, login->challenge, cap)) < 0)
		return login_over(login, LOGIN_TEMP, "out of memory");
	login->challenge_size = (size_t)n;
	return LOGIN_MORE;
}

static const struct config_remote *section_of(const struct login *login, uint32_t section)
{
	const struct config *config = login->service->site;

	return config && section && section <= config->remote_count ? &config->remotes[section - 1]
								    : NULL;
}

uint32_t login_remote(const struct login *login, const struct user *user)
{
	const struct config_remote *remote = section_of(login, user->remote_section);

	return remote ? remote->credentials : 0;
}

bool login_is_judged_there(const struct login *login)
{
	const struct user *user = &login->user;
	const struct config_remote *moves = section_of(login, user->migrate_section);

	if (moves && moves->credentials == CONFIG_REMOTE_SAME)
		return !login->unserved[0]; /* its maildrop has to be here, too */
	return login->unserved[0] && login_remote(login, user) == CONFIG_REMOTE_SAME;
}

bool login_is_for_remote(const struct login *login, const struct user *user)
{
	uint32_t credentials = login_remote(login, user);

	return credentials == CONFIG_REMOTE_STORED || credentials == CONFIG_REMOTE_OAUTH;
}

enum login_verdict login_elsewhere(struct login *login)
{
	if (login->other_authzid)
		return login_over(login, LOGIN_DENIED, "asks to act for another user");
	if (login->user.nologin)
		return login_over(login, LOGIN_DENIED,
				  "no login for this user: nologin in the entry");
	login->phase = PHASE_OVER;
	login->verdict = LOGIN_ELSEWHERE;
	snprintf(login->reason, sizeof(login->reason), "judged by the server of remote \"%s\"",
		 section_of(login, login->user.remote_section ? login->user.remote_section
							      : login->user.migrate_section)
			 ->name);
	return LOGIN_ELSEWHERE;
}

/* The secret is right here, and another server's word counts. */
static enum login_verdict proven_for_there(struct login *login)
{
	if (login->password.size && !login->app_matched)
		return login_elsewhere(login);
	return login_over(login, LOGIN_UNSERVED,
			  "the server that has, or had, the mail needs the password itself "
			  "(credentials = same): log in with PASS, PLAIN or LOGIN");
}

/* The secret is right, and the mail is not here. */
static enum login_verdict proven_for_remote(struct login *login, const char *how)
{
	if (login->user.nologin)
		return login_over(login, LOGIN_DENIED,
				  "no login for this user: nologin in the entry");
	if (login_is_for_remote(login, &login->user))
		return login_over(login, LOGIN_GRANTED, how);
	if (login_is_judged_there(login))
		return proven_for_there(login);
	return login_over(login, login->user.remote[0] ? LOGIN_UNSERVED : LOGIN_TEMP,
			  login->unserved);
}

enum login_verdict login_proven(struct login *login, const char *how)
{
	if (login->other_authzid)
		return login_over(login, LOGIN_DENIED, "asks to act for another user");
	if (login->unserved[0])
		return proven_for_remote(login, how);
	if (login_is_judged_there(login))
		return proven_for_there(login);
	return login_over(login, LOGIN_GRANTED, how);
}

void login_claim(struct login *login, pop3_span name)
{
	/* no user has a longer name; the part that is kept is for the log and for limits */
	login->claimed_size = name.size < USER_NAME_MAX ? name.size : USER_NAME_MAX;
	memcpy(login->claimed, name.data, login->claimed_size);
	if (name.size > USER_NAME_MAX)
		login->claimed[0] = '-'; /* no valid name begins like that */
	login->settled = false;
}

void login_settle_name(struct login *login)
{
	char buf[USER_NAME_MAX + 1];
	pop3_span claimed = {login->claimed, login->claimed_size}, name;

	if (!login->settled && claimed.size && claimed.data[0] != '-') {
		name = directory_name(login->service->users, login->service->site, claimed, buf);
		if (name.data != claimed.data)
			login_claim(login, name);
	}
	login->settled = true;
}

bool login_look_up(struct login *login)
{
	enum users_status status;
	enum scheme_kind kind;
	struct err err = {0};
	const struct finding *finding;
	pop3_span payload;

	if (login->looked_up)
		return true;
	login->known = login->may_log_in = false;
	login_settle_name(login);
	status = directory_find(login->service->users, login->service->config, CONFIG_FOR_LOGIN,
				login->finding, (pop3_span){login->claimed, login->claimed_size},
				&login->user, &finding, &err);
	login->asks = status == USERS_ASK;
	if (login->asks)
		return false;
	if (status == USERS_DOWN) {
		if (!finding) /* of databases the processes that ask them say it */
			log_error("user database: %s", err.text);
		return false;
	}
	login->looked_up = true;
	if (finding && finding->secret != FINDING_UNJUDGED) {
		login->known = status == USERS_FOUND && !login->user.nologin;
		if (status == USERS_UNSERVED)
			snprintf(login->unserved, sizeof(login->unserved), "%s", err.text);
		return true;
	}
	if (status == USERS_UNSERVED)
		snprintf(login->unserved, sizeof(login->unserved), "%s", err.text);
	if (status == USERS_UNKNOWN || login->user.nologin)
		return true;
	kind = scheme_kind(login->user.secret, &payload);
	/* "!" locks the user; any other secret that is none closes the main password only */
	login->may_log_in = kind == SCHEME_KIND_PLAIN || payload.data[0] != '!';
	login->known = kind != SCHEME_KIND_LOCKED && kind != SCHEME_KIND_UNKNOWN;
	if (kind == SCHEME_KIND_UNKNOWN)
		snprintf(login->broken, sizeof(login->broken),
			 "the password scheme %.*s is not known here",
			 (int)strcspn(login->user.secret, "}") + 1, login->user.secret);
	return true;
}

bool login_asks_again(struct login *login)
{
	if (!login->finding || !login->finding->cached || login->fresh)
		return false;
	finding_free(login->finding);
	login->finding = NULL;
	login->looked_up = false;
	login->fresh = login->asks = true;
	return true;
}

enum login_verdict login_no_entry(struct login *login)
{
	if (login->asks)
		return LOGIN_ASK;
	return login_over(login, LOGIN_TEMP, "the user database is down");
}

struct login_question login_question(const struct login *login)
{
	/* no password of theirs: only the entry is asked for */
	if (login->app_matched || login->mechanism == MECHANISM_EXTERNAL)
		return (struct login_question){.name = {login->claimed, login->claimed_size},
					       .proved = true,
					       .fresh = login->fresh};
	return (struct login_question){.name = {login->claimed, login->claimed_size},
				       .password = {login->password.bytes, login->password.size},
				       .token = {login->token, login->token_size},
				       .fresh = login->fresh};
}

void login_answered(struct login *login, struct finding *finding)
{
	struct login_service *service = login->service;

	finding_free(login->finding);
	login->finding = finding;
	login->asks = login->looked_up = false;
	if (finding->status != USERS_FOUND || !finding->user.secret[0])
		return;
	pthread_mutex_lock(&service->lock);
	memcpy(service->sample, finding->user.secret, sizeof(service->sample));
	pthread_mutex_unlock(&service->lock);
}
