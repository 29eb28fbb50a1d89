/* See login_token_private.h. On auth's loop; the client's octets are hostile. */
#include "users/login_token_private.h"

#include "base/text.h"
#include "config/database.h"
#include "users/bearer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static enum bearer_mechanism kind_of(const struct login *login)
{
	return login->mechanism == MECHANISM_XOAUTH2 ? BEARER_XOAUTH2 : BEARER_OAUTHBEARER;
}

/* A setting of the first database of driver oauth, for the challenge; "": none. */
static const char *setting(const struct login *login, const char *name)
{
	const struct config *config = login->service->config;
	const char *value = NULL;

	for (uint32_t i = 0; config && i < config->database_count && !value; i++)
		if (config_database_judges_tokens(config, &config->databases[i]))
			value = config_database_item(config, &config->databases[i], name, 0);
	return value ? value : "";
}

/* Of the issuer, unless the configuration names another one. "": not known. */
static void write_openid(const struct login *login, char *buf, size_t size)
{
	const char *url = setting(login, "config_url"), *issuer = setting(login, "issuer");
	size_t n = strlen(issuer);

	if (*url || !*issuer)
		snprintf(buf, size, "%s", url);
	else
		snprintf(buf, size, "%s%s.well-known/openid-configuration", issuer,
			 issuer[n - 1] == '/' ? "" : "/");
}

/* The client is told by JSON where a token is to be had, and gives an empty answer; then the login
 * fails (RFC 7628 section 3.2.3). */
static enum login_verdict refuse(struct login *login, const char *why)
{
	char text[2048], openid[1024];
	int n;

	write_openid(login, openid, sizeof(openid));
	n = bearer_challenge(kind_of(login), setting(login, "scope"), openid, text, sizeof(text));
	if (n < 0)
		return login_over(login, LOGIN_DENIED, why);
	snprintf(login->reason, sizeof(login->reason), "%s", why);
	login->phase = PHASE_REFUSED;
	login_drop_token(login);
	return login_challenge_with(login, (pop3_span){text, (size_t)n});
}

static enum login_verdict keep_token(struct login *login, const struct bearer *bearer)
{
	login_claim(login, span_of(bearer->user));
	login->token = malloc(bearer->token.size);
	if (!login->token)
		return login_over(login, LOGIN_TEMP, "out of memory");
	memcpy(login->token, bearer->token.data, bearer->token.size);
	login->token_size = bearer->token.size;
	login->phase = PHASE_EXCHANGE;
	return LOGIN_ASK;
}

enum login_verdict login_token_response(struct login *login, pop3_span response, bool has_response)
{
	struct bearer bearer;
	char why[LOGIN_WHY_MAX];

	if (login->phase == PHASE_REFUSED) {
		snprintf(why, sizeof(why), "%s", login->reason);
		return login_over(login, LOGIN_DENIED, why);
	}
	if (login->phase == PHASE_START && !has_response) { /* in two lines */
		login->phase = PHASE_EXCHANGE;
		return login_challenge_with(login, SPAN_LITERAL(""));
	}
	switch (bearer_read(kind_of(login), response, &bearer)) {
	case BEARER_OK:
		return keep_token(login, &bearer);
	case BEARER_NONE:
		return refuse(login, "no token");
	case BEARER_BAD:
		break;
	}
	return login_over(login, LOGIN_DENIED, "malformed SASL response");
}

/* Takes whose token it is. */
static enum login_verdict prove(struct login *login)
{
	const struct finding *finding = login->finding;

	if (finding->status == USERS_DOWN)
		return login_over(login, LOGIN_TEMP, "the database of tokens is down");
	if (finding->secret != FINDING_RIGHT)
		return refuse(login, finding->secret == FINDING_REFUSED
					     ? "the account is expired or locked"
					     : "the token was refused");
	if (login->claimed_size &&
	    !user_name_same(span_of(finding->user.name),
			    (pop3_span){login->claimed, login->claimed_size}))
		return refuse(login, "the token is another user's");
	if (finding->status == USERS_UNSERVED && !login_is_for_remote(login, &finding->user))
		return login_over(login, finding->user.remote[0] ? LOGIN_UNSERVED : LOGIN_TEMP,
				  finding->why);
	login->user = finding->user;
	login_claim(login, span_of(login->user.name));
	snprintf(login->reason, sizeof(login->reason), "token, by database %s", finding->database);
	login->token_proved = true;
	login_drop_token(login);
	finding_free(login->finding);
	login->finding = NULL;
	return LOGIN_ASK;
}

/* The user's home, quota and networks may stand in the users file or another database; where they
 * do not, those of the token's database count. */
static enum login_verdict complete(struct login *login)
{
	const struct finding *finding;
	char how[LOGIN_WHY_MAX];
	struct user user;
	struct err err = {0};

	switch (directory_find(login->service->users, login->service->config, CONFIG_FOR_LOGIN,
			       login->finding, span_of(login->user.name), &user, &finding, &err)) {
	case USERS_ASK:
		login->asks = true;
		return LOGIN_ASK;
	case USERS_FOUND:
		login->user = user;
		break;
	case USERS_UNKNOWN:
		break;
	case USERS_UNSERVED:
		if (!login_is_for_remote(login, &user))
			return login_over(login, user.remote[0] ? LOGIN_UNSERVED : LOGIN_TEMP,
					  err.text);
		login->user = user;
		break;
	case USERS_DOWN:
		return login_over(login, LOGIN_TEMP, err.text);
	}
	wipe(&user, sizeof(user));
	if (login->user.nologin)
		return refuse(login, "no login for this user");
	snprintf(how, sizeof(how), "%s", login->reason);
	return login_proven(login, how);
}

enum login_verdict login_token_verdict(struct login *login)
{
	enum login_verdict verdict = LOGIN_ASK;

	if (!login->token_proved) {
		if (!login->finding)
			return LOGIN_ASK;
		verdict = prove(login);
	}
	return login->token_proved && login->phase == PHASE_EXCHANGE ? complete(login) : verdict;
}
