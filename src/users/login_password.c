/*
 * Names with passwords or digests: PASS, PLAIN, LOGIN, APOP, CRAM-MD5. See login_attempt_private.h.
 * In auth: on its loop, or in the worker that has the attempt. An attempt under an unknown name
 * costs the same work as a wrong password of a real user.
 */
#include "users/login_password_private.h"

#include "base/digest.h"
#include "base/log.h"
#include "base/random.h"
#include "base/text.h"
#include "users/cram_md5.h"
#include "users/login_app_private.h"
#include "users/scheme_kinds.h"
#include "users/schemes.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static bool is_cheap(const char *stored)
{
	pop3_span payload;

	switch (scheme_kind(stored, &payload)) {
	case SCHEME_KIND_PLAIN:
	case SCHEME_KIND_CRAM_MD5:
	case SCHEME_KIND_DIGEST:
	case SCHEME_KIND_LOCKED:
	case SCHEME_KIND_UNKNOWN:
		return true;
	case SCHEME_KIND_CRYPT:
	case SCHEME_KIND_ARGON2:
	case SCHEME_KIND_SCRAM_SHA_1:
	case SCHEME_KIND_SCRAM_SHA_256:
	case SCHEME_KIND_COUNT:
		break;
	}
	return false;
}

/* The secret to compute with: the user's own, or for a stranger somebody's. */
static const char *secret_to_try(struct login *login, char *buf, size_t size)
{
	struct login_service *service = login->service;

	if (login->known)
		return login->user.secret;
	if (users_stranger_secret(service->users, (pop3_span){login->claimed, login->claimed_size},
				  ~0u, buf, size) == 0)
		return buf;
	pthread_mutex_lock(&service->lock);
	snprintf(buf, size, "%s", service->sample);
	pthread_mutex_unlock(&service->lock);
	return buf[0] ? buf : NULL;
}

/* The digest by which a password that a database judged is remembered. */
static bool judged_digest(const struct login *login, const char *database,
			  unsigned char digest[CACHE_DIGEST])
{
	char name[USER_NAME_MAX + 1], stored[96];
	pop3_span key = user_name_key((pop3_span){login->claimed, login->claimed_size}, name);

	name[key.size] = '\0';
	snprintf(stored, sizeof(stored), "judged by %s", database); /* no "{": no stored secret */
	return cache_digest(login->service->cache, name, stored, &login->password, digest);
}

bool login_remembered(const struct login *login, const char *database)
{
	unsigned char digest[CACHE_DIGEST];
	bool hit =
		judged_digest(login, database, digest) && cache_has(login->service->cache, digest);

	wipe(digest, sizeof(digest));
	return hit;
}

static enum login_verdict wrong(struct login *login)
{
	bool nologin = login->looked_up && login->user.nologin;
	const char *why = login->known ? "wrong password"
			  : nologin    ? "no login for this user: nologin in the entry"
				       : "unknown user or no login for this one";

	return login_over(login, LOGIN_DENIED,
			  login->other_authzid ? "asks to act for another user"
			  : login->broken[0]   ? login->broken
					       : why);
}

/* One try. SCHEME_BROKEN: the stored secret is no secret; LOGIN_SLOW in *ret_slow: not here. */
static enum scheme_verdict try_secret(struct login *login, bool fast, const char **ret_how,
				      bool *ret_slow)
{
	unsigned char digest[CACHE_DIGEST];
	char other[USER_SECRET_MAX + 1];
	enum scheme_verdict verdict = SCHEME_MISMATCH;
	const char *stored = secret_to_try(login, other, sizeof(other));
	struct err err = {0};
	bool cheap = stored && is_cheap(stored), digested = false, hit = false;

	if (!cheap) {
		digested = cache_digest(login->service->cache, login->known ? login->user.name : "",
					stored ? stored : "", &login->password, digest);
		hit = digested && cache_has(login->service->cache, digest) && login->known;
	}
	*ret_how = hit ? "password, seen before" : "password";
	*ret_slow = !cheap && !hit && fast;
	if (hit)
		verdict = SCHEME_MATCH;
	else if (!*ret_slow && login->known)
		verdict = scheme_verify(stored, &login->password, &err);
	else if (!*ret_slow)
		scheme_verify_dummy(stored, &login->password);
	if (verdict == SCHEME_MATCH && digested && !hit)
		cache_put(login->service->cache, digest);
	if (verdict == SCHEME_BROKEN)
		snprintf(login->broken, sizeof(login->broken), "%s", err.text);
	wipe(digest, sizeof(digest));
	wipe(other, sizeof(other));
	return verdict;
}

/* A database has judged the password. */
static enum login_verdict judged(struct login *login)
{
	const struct finding *finding = login->finding;
	unsigned char digest[CACHE_DIGEST];
	char how[96];

	if (finding->secret == FINDING_REFUSED)
		return login_over(login, LOGIN_DENIED, "the account is expired or locked");
	if (finding->secret != FINDING_RIGHT || (!login->known && !login->unserved[0]))
		return wrong(login);
	if (!finding->cached && !finding->fleeting &&
	    judged_digest(login, finding->database, digest))
		cache_put(login->service->cache, digest);
	snprintf(how, sizeof(how), "password%s, by database %s",
		 finding->cached ? ", seen before" : "", finding->database);
	return login_proven(login, how);
}

enum login_verdict login_verify(struct login *login, bool fast)
{
	enum scheme_verdict verdict;
	const char *how;
	bool slow;

	login->phase = PHASE_VERIFY;
	if (login_app_matches(login))
		return login_app_verdict(login);
	if (login->service->app_only)
		return login_over(login, LOGIN_DENIED, "not an app password, others are closed");
	if (!login_look_up(login))
		return login_no_entry(login);
	if (login->finding && login->finding->secret != FINDING_UNJUDGED)
		return judged(login);
	if (login->may_log_in && login->password.size && login_is_judged_there(login))
		return login_elsewhere(login);
	if (!login->known && login->finding && login->finding->judges)
		return wrong(login); /* the database has done the work of a wrong password */
	verdict = try_secret(login, fast, &how, &slow);
	if (verdict ==
	    SCHEME_BROKEN) { /* no password is right: the name costs what a stranger's does */
		login->known = false;
		verdict = try_secret(login, fast, &how, &slow);
	}
	if (slow)
		return LOGIN_SLOW;
	if (verdict == SCHEME_MATCH)
		return login_proven(login, how);
	return login_asks_again(login) ? LOGIN_ASK : wrong(login);
}

/* APOP (RFC 1939 section 7): MD5 of stamp and secret. */
enum login_verdict login_verify_apop(struct login *login)
{
	unsigned char raw[DIGEST_MAX];
	char input[LOGIN_STAMP_MAX + USER_SECRET_MAX + 1], expected[33];
	pop3_span payload = {"", 0};
	bool usable, good;
	int n;

	if (login->service->app_only)
		return login_over(login, LOGIN_DENIED, "APOP, while only app passwords are open");
	if (!login_look_up(login))
		return login_no_entry(login);
	usable = login->known && scheme_kind(login->user.secret, &payload) == SCHEME_KIND_PLAIN &&
		 *login->stamp;
	n = snprintf(input, sizeof(input), "%s%s", login->stamp,
		     usable ? payload.data : "nobody's secret");
	digest_of(DIGEST_MD5, input, (size_t)n, raw);
	hex_encode(raw, digest_size(DIGEST_MD5), expected);
	good = secret_equal(span_of(expected), span_of(login->digest));
	wipe(input, sizeof(input));
	wipe(raw, sizeof(raw));
	wipe(expected, sizeof(expected));
	if (usable && good)
		return login_proven(login, "APOP");
	return login_over(login, LOGIN_DENIED,
			  usable ? "wrong APOP digest"
				 : "unknown user or no clear password for APOP");
}

/* RFC 2195: "<random.clock@host>", used for this one exchange. */
enum login_verdict login_cram_challenge(struct login *login)
{
	unsigned char random[16];
	char hex[33];

	if (random_octets(random, sizeof(random)) < 0)
		return login_over(login, LOGIN_TEMP, "no random octets");
	hex_encode(random, sizeof(random), hex);
	snprintf(login->cram, sizeof(login->cram), "<%s.%lld@%s>", hex, (long long)time(NULL),
		 login->service->host_name);
	login->phase = PHASE_EXCHANGE;
	return login_challenge_with(login, span_of(login->cram));
}

static void cram_expected(struct login *login, bool *ret_usable, char answer[33])
{
	char hex[CRAM_MD5_HEX + 1];
	struct secret *dummy = &login->password;
	pop3_span payload = {"", 0};
	enum scheme_kind kind = SCHEME_KIND_UNKNOWN;

	if (login->known)
		kind = scheme_kind(login->user.secret, &payload);
	*ret_usable = kind == SCHEME_KIND_PLAIN || kind == SCHEME_KIND_CRAM_MD5;
	secret_set(dummy, kind == SCHEME_KIND_PLAIN ? payload : SPAN_LITERAL("nobody's"));
	cram_md5_make(dummy, hex);
	if (kind != SCHEME_KIND_CRAM_MD5 ||
	    cram_md5_answer(payload, span_of(login->cram), answer) < 0) {
		*ret_usable = kind == SCHEME_KIND_PLAIN;
		(void)cram_md5_answer((pop3_span){hex, CRAM_MD5_HEX}, span_of(login->cram), answer);
	}
	if (kind == SCHEME_KIND_CRAM_MD5 && !*ret_usable)
		snprintf(login->broken, sizeof(login->broken),
			 "the stored CRAM-MD5 states are damaged");
	wipe(hex, sizeof(hex));
}

/* "name digest": names of other servers may hold blanks, digests never do. */
enum login_verdict login_cram_response(struct login *login, pop3_span response)
{
	const char *blank = response.size ? memrchr(response.data, ' ', response.size) : NULL;
	size_t n = blank ? (size_t)(blank - response.data) : 0;
	char expected[33], lower[33];
	bool usable, good;

	if (!blank || response.size - n - 1 != 32)
		return login_over(login, LOGIN_DENIED, "malformed CRAM-MD5 response");
	for (size_t i = 0; i < 32; i++) {
		char c = response.data[n + 1 + i];

		lower[i] = c >= 'A' && c <= 'F' ? (char)(c | 0x20) : c;
	}
	login_claim(login, (pop3_span){response.data, n});
	if (!login_look_up(login))
		return login_no_entry(login);
	cram_expected(login, &usable, expected);
	good = secret_equal((pop3_span){expected, 32}, (pop3_span){lower, 32});
	wipe(expected, sizeof(expected));
	if (usable && good)
		return login_proven(login, "CRAM-MD5");
	return login_over(login, LOGIN_DENIED,
			  usable             ? "wrong CRAM-MD5 digest"
			  : login->broken[0] ? login->broken
					     : "unknown user or no password for CRAM-MD5");
}
