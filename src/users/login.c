/*
 * See login.h. One attempt, step by step. PASS, PLAIN and LOGIN end in login_verify(); GNU SASL
 * does SCRAM, our code CRAM-MD5 and APOP. Every octet of the client is hostile.
 */
#include "users/login.h"

#include "base/text.h"
#include "users/login_external_private.h"
#include "users/login_password_private.h"
#include "users/login_token_private.h"
#include "users/login_scram_private.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	RESPONSE_MAX = 16384, /* base64 octets */
	LIVE_MAX = 200000,
};

static void on_simple(void *argument, pop3_span authid, pop3_span authzid, pop3_span password)
{
	struct login *login = argument;

	login_claim(login, authid);
	login->other_authzid = authzid.size && !user_name_same(authzid, authid);
	if (secret_set(&login->password, password) < 0)
		secret_init(&login->password); /* too long for any user's password: an empty one
						  never matches */
	login->phase = PHASE_VERIFY;
}

static enum login_verdict sasl_done(struct login *login, pop3_span output, bool fast)
{
	if (login->phase == PHASE_VERIFY) /* PLAIN, LOGIN: on_simple was called */
		return login_verify(login, fast);
	if (!login->known || login->other_authzid ||
	    (login->unserved[0] && !login_is_for_remote(login, &login->user)))
		return login->known ? login_proven(login, "")
				    : login_over(login, LOGIN_DENIED, "unknown user");
	login->phase = PHASE_LAST;
	return login_challenge_with(login, output);
}

static enum login_verdict sasl_octets(struct login *login, pop3_span input, bool fast)
{
	pop3_span output = {"", 0};

	login->phase = PHASE_EXCHANGE;
	switch (sasl_step(login->exchange, input, &output)) {
	case SASL_MORE:
		return login_challenge_with(login, output);
	case SASL_DONE:
		return sasl_done(login, output, fast);
	case SASL_FAILURE:
		return login_over(login, LOGIN_TEMP, "out of memory");
	case SASL_DENIED:
		break;
	}
	if (login->claimed_size && !login->looked_up)
		return login_no_entry(login);
	return login_over(login, LOGIN_DENIED,
			  login->claimed_size ? "wrong proof, or unknown user"
					      : "malformed SASL response");
}

/* Handles one decoded response of the client. */
static enum login_verdict take_response(struct login *login, pop3_span input, bool has_response,
					bool fast)
{
	if (login->phase == PHASE_LAST) {
		if (input.size)
			return login_over(login, LOGIN_DENIED,
					  "a response after the server's last message");
		return login_over(login, LOGIN_GRANTED, login_mechanism_names[login->mechanism]);
	}
	if (login->mechanism == MECHANISM_EXTERNAL)
		return login_external(login, input, has_response);
	/* GNU SASL cannot tell an empty response ("=") from none */
	if (login->phase == PHASE_START && has_response && input.size == 0)
		return login_over(login, LOGIN_DENIED, "an empty initial response");
	if (login->mechanism == MECHANISM_OAUTHBEARER || login->mechanism == MECHANISM_XOAUTH2)
		return login_token_response(login, input, has_response);
	if (login->mechanism != MECHANISM_CRAM_MD5)
		return sasl_octets(login, input, fast);
	if (login->phase == PHASE_START)
		return has_response
			       ? login_over(login, LOGIN_DENIED, "a response before the challenge")
			       : login_cram_challenge(login);
	return login_cram_response(login, input);
}

static int start_exchange(struct login *login)
{
	login->callbacks = (struct sasl_callbacks){login, on_simple, login_on_scram};
	login->exchange =
		sasl_start(login->service->sasl, login_mechanism_names[login->mechanism],
			   (pop3_span){login->exporter, login->exporter_size}, &login->callbacks);
	return login->exchange ? 0 : -1;
}

/* SCRAM's first step needs a worker, or the answer of a database: what was done so far counts for
 * nothing. */
static enum login_verdict begin_again(struct login *login)
{
	enum login_verdict verdict = login->asks ? LOGIN_ASK : LOGIN_SLOW;

	sasl_finish(login->exchange);
	login->needs_worker = false;
	login->phase = PHASE_START;
	login->looked_up = false;
	if (start_exchange(login) < 0)
		return login_over(login, LOGIN_TEMP, "out of memory");
	return verdict;
}

static enum login_verdict step(struct login *login, pop3_span response, bool has_response,
			       bool fast)
{
	enum login_verdict verdict;
	char *octets;
	int n;

	login->fast = fast;
	if (login->phase == PHASE_OVER)
		return login->verdict;
	if (login->mechanism == MECHANISM_REFUSED)
		return login_over(login, LOGIN_PERM, "the mechanism is not offered here");
	if (login->mechanism == MECHANISM_PASS || login->phase == PHASE_VERIFY)
		return login_verify(login, fast);
	if (login->mechanism == MECHANISM_APOP)
		return login_verify_apop(login);
	if (login->token || login->token_proved)
		return login_token_verdict(login);
	if (response.size > RESPONSE_MAX)
		return login_over(login, LOGIN_DENIED, "a SASL response too long");
	octets = malloc(response.size + 1);
	if (!octets)
		return login_over(login, LOGIN_TEMP, "out of memory");
	n = base64_decode(response, octets, response.size + 1);
	if (n < 0)
		verdict = login_over(login, LOGIN_DENIED, "a SASL response that is not base64");
	else
		verdict = take_response(login, (pop3_span){octets, (size_t)n}, has_response, fast);
	wipe(octets, response.size + 1);
	free(octets);
	return login->exchange && login->mechanism != MECHANISM_PLAIN &&
			       login->mechanism != MECHANISM_LOGIN &&
			       (login->needs_worker || login->asks)
		       ? begin_again(login)
		       : verdict;
}

enum login_verdict login_step(struct login *login, pop3_span response, bool has_response)
{
	return step(login, response, has_response, false);
}

enum login_verdict login_step_fast(struct login *login, pop3_span response, bool has_response)
{
	return step(login, response, has_response, true);
}

static struct login *login_create(struct login_service *service, enum mechanism mechanism)
{
	struct login *login;

	if (atomic_fetch_add(&service->live, 1) >= LIVE_MAX ||
	    !(login = calloc(1, sizeof(*login)))) {
		atomic_fetch_sub(&service->live, 1);
		return NULL;
	}
	login->service = service;
	login->mechanism = mechanism;
	secret_init(&login->password);
	return login;
}

struct login *login_pass(struct login_service *service, pop3_span user, pop3_span password)
{
	struct login *login = login_create(service, MECHANISM_PASS);

	if (!login)
		return NULL;
	login_claim(login, user);
	if (secret_set(&login->password, password) < 0)
		secret_init(&login->password);
	return login;
}

struct login *login_apop(struct login_service *service, pop3_span user, pop3_span digest,
			 pop3_span stamp)
{
	struct login *login = login_create(service, MECHANISM_APOP);

	if (!login)
		return NULL;
	login_claim(login, user);
	/* a text that does not fit stays empty, and never matches */
	(void)span_copy(digest, login->digest, sizeof(login->digest));
	(void)span_copy(stamp, login->stamp, sizeof(login->stamp));
	for (char *c = login->digest; *c; c++)
		if (*c >= 'A' && *c <= 'F')
			*c |= 0x20;
	return login;
}

/* Too long: none. */
static void keep(pop3_span octets, char *buf, size_t size, size_t *ret_size)
{
	if (octets.size == 0 || octets.size > size)
		return;
	memcpy(buf, octets.data, octets.size);
	*ret_size = octets.size;
}

struct login *login_sasl(struct login_service *service, pop3_span mechanism,
			 const struct login_channel *channel)
{
	struct login *login = login_create(service, MECHANISM_REFUSED);

	if (!login)
		return NULL;
	for (int i = 0; i < MECHANISM_SASL_COUNT; i++)
		if (service->allowed[i] &&
		    span_equal_nocase(mechanism, span_of(login_mechanism_names[i])))
			login->mechanism = (enum mechanism)i;
	/* without a certificate the mechanism is not there; a longer name is no user's */
	if (login->mechanism == MECHANISM_EXTERNAL &&
	    (!channel->certified.size ||
	     span_copy(channel->certified, login->certified, sizeof(login->certified)) < 0))
		login->mechanism = MECHANISM_REFUSED;
	if (login->mechanism == MECHANISM_REFUSED || login->mechanism == MECHANISM_CRAM_MD5 ||
	    login->mechanism == MECHANISM_EXTERNAL || login->mechanism == MECHANISM_OAUTHBEARER ||
	    login->mechanism == MECHANISM_XOAUTH2)
		return login;
	/* a client may claim that the server offers no binding only where it offers none (RFC 5802
	 * section 6) */
	if (channel->tls && service->allowed[login->mechanism & ~1u]) /* its PLUS form */
		keep(channel->exporter, login->exporter, sizeof(login->exporter),
		     &login->exporter_size);
	keep(channel->network, login->network, sizeof(login->network), &login->network_size);
	if ((login->mechanism == MECHANISM_SCRAM_SHA_256_PLUS ||
	     login->mechanism == MECHANISM_SCRAM_SHA_1_PLUS) &&
	    login->exporter_size == 0) {
		login->mechanism = MECHANISM_REFUSED;
		return login;
	}
	if (start_exchange(login) < 0) {
		login_destroy(login);
		return NULL;
	}
	return login;
}

void login_destroy(struct login *login)
{
	if (!login)
		return;
	sasl_finish(login->exchange);
	free(login->challenge);
	finding_free(login->finding);
	login_drop_token(login);
	atomic_fetch_sub(&login->service->live, 1);
	wipe(login, sizeof(*login));
	free(login);
}

bool login_has_begun(const struct login *login)
{
	return login->looked_up && login->phase != PHASE_OVER;
}

pop3_span login_challenge(const struct login *login)
{
	return (pop3_span){login->challenge ? login->challenge : "", login->challenge_size};
}

const struct user *login_user(const struct login *login)
{
	return &login->user;
}

pop3_span login_password(const struct login *login)
{
	return (pop3_span){login->password.bytes, login->password.size};
}

const char *login_reason(const struct login *login)
{
	return login->reason;
}

pop3_span login_claimed_name(const struct login *login)
{
	return (pop3_span){login->claimed, login->claimed_size};
}

const struct app_password *login_app(const struct login *login)
{
	return login->app_matched ? &login->app : NULL;
}

const char *login_database(const struct login *login)
{
	return login->finding ? login->finding->database : NULL;
}
