/* See login_attempt_private.h. On auth's loop, or in the worker that has the attempt. */
#include "users/login_attempt_private.h"

#include "base/log.h"
#include "base/text.h"
#include "users/scheme_kinds.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum login_verdict login_over(struct login *login, enum login_verdict verdict, const char *reason)
{
	login->phase = PHASE_OVER;
	login->verdict = verdict;
	snprintf(login->reason, sizeof(login->reason), "%s", reason);
	secret_finish(&login->password);
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

enum login_verdict login_proven(struct login *login, const char *how)
{
	if (login->other_authzid)
		return login_over(login, LOGIN_DENIED, "asks to act for another user");
	if (login->unserved[0])
		return login_over(login, LOGIN_TEMP, login->unserved);
	return login_over(login, LOGIN_GRANTED, how);
}

void login_claim(struct login *login, pop3_span name)
{
	/* no user has a longer name; the part that is kept is for the log and for limits */
	login->claimed_size = name.size < USER_NAME_MAX ? name.size : USER_NAME_MAX;
	memcpy(login->claimed, name.data, login->claimed_size);
	if (name.size > USER_NAME_MAX)
		login->claimed[0] = '-'; /* no valid name begins like that */
}

bool login_look_up(struct login *login)
{
	enum users_status status;
	enum scheme_kind kind;
	struct err err = {0};
	pop3_span payload;

	if (login->looked_up)
		return true;
	login->known = false;
	status = users_find(login->service->users, (pop3_span){login->claimed, login->claimed_size},
			    &login->user, &err);
	if (status == USERS_DOWN) {
		log_error("user database: %s", err.text);
		return false;
	}
	login->looked_up = true;
	if (status == USERS_UNSERVED)
		snprintf(login->unserved, sizeof(login->unserved), "%s", err.text);
	if (status == USERS_UNKNOWN || login->user.nologin)
		return true;
	kind = scheme_kind(login->user.secret, &payload);
	login->known = kind != SCHEME_KIND_LOCKED && kind != SCHEME_KIND_UNKNOWN;
	if (kind == SCHEME_KIND_UNKNOWN)
		snprintf(login->broken, sizeof(login->broken),
			 "the password scheme %.*s is not known here",
			 (int)strcspn(login->user.secret, "}") + 1, login->user.secret);
	return true;
}
