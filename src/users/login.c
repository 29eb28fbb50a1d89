/*
 * See login.h. PASS, PLAIN and LOGIN end in one place, verify(): find the entry, look whether this
 * password proved right before, else compute. Everything a stranger can cause costs what a wrong
 * password of a real user costs.
 */
#include "users/login.h"

#include "base/log.h"
#include "base/text.h"
#include "users/cache.h"
#include "users/cram_md5.h"
#include "users/sasl.h"
#include "users/scheme_kinds.h"
#include "users/schemes.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

#define RESPONSE_MAX 16384 /* base64 octets */
#define STAMP_MAX 255
#define LIVE_MAX 200000

enum mechanism {
	MECHANISM_SCRAM_SHA_256_PLUS,
	MECHANISM_SCRAM_SHA_256,
	MECHANISM_SCRAM_SHA_1_PLUS,
	MECHANISM_SCRAM_SHA_1,
	MECHANISM_CRAM_MD5,
	MECHANISM_PLAIN,
	MECHANISM_LOGIN,
	MECHANISM_SASL_COUNT,
	MECHANISM_PASS = MECHANISM_SASL_COUNT,
	MECHANISM_APOP,
	MECHANISM_REFUSED, /* not known, not allowed, not on this connection */
};

static const char *const mechanism_names[MECHANISM_SASL_COUNT] = {
	"SCRAM-SHA-256-PLUS",
	"SCRAM-SHA-256",
	"SCRAM-SHA-1-PLUS",
	"SCRAM-SHA-1",
	"CRAM-MD5",
	"PLAIN",
	"LOGIN",
};

enum phase {
	PHASE_START,
	PHASE_EXCHANGE,
	PHASE_VERIFY, /* name and password are known, the verdict is not */
	PHASE_LAST,   /* the mechanism's last word is out, its empty answer awaited */
	PHASE_OVER,
};

struct login_service {
	struct users *users;
	struct cache *cache;
	struct sasl_context *sasl;
	bool allowed[MECHANISM_SASL_COUNT];
	enum mechanism order[MECHANISM_SASL_COUNT];
	size_t order_count;
	char host_name[256];
	unsigned char fake_key[32];
	_Atomic uint32_t live;
};

struct login {
	struct login_service *service;
	enum mechanism mechanism;
	enum phase phase;
	enum login_verdict verdict; /* once over */
	bool looked_up, known;      /* known: user may log in with the right secret */
	bool other_authzid;
	char claimed[USER_NAME_MAX + 1];
	size_t claimed_size;
	struct secret password;
	struct user user;
	char digest[33]; /* APOP */
	char stamp[STAMP_MAX + 1];
	struct sasl_callbacks callbacks;
	struct sasl_exchange *exchange;
	char *challenge; /* base64, or CRAM-MD5's own text while it is open */
	size_t challenge_size;
	char cram[320];
	char reason[sizeof(((struct err *)0)->text)];
};

static enum login_verdict over(struct login *login, enum login_verdict verdict, const char *reason)
{
	login->phase = PHASE_OVER;
	login->verdict = verdict;
	snprintf(login->reason, sizeof(login->reason), "%s", reason);
	secret_finish(&login->password);
	return verdict;
}

static void claim(struct login *login, pop3_span name)
{
	/* a longer one is nobody's; what is kept is for the log and for limits */
	login->claimed_size = name.size < USER_NAME_MAX ? name.size : USER_NAME_MAX;
	memcpy(login->claimed, name.data, login->claimed_size);
	if (name.size > USER_NAME_MAX)
		login->claimed[0] = '-'; /* no valid name begins like that */
}

/* Fills user and known. false: the database is down. */
static bool look_up(struct login *login)
{
	enum users_status status;
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
	login->known = status == USERS_FOUND && !login->user.nologin &&
		       scheme_kind(login->user.secret, &payload) != SCHEME_KIND_LOCKED;
	return true;
}

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

/* The secret that the work is done for: the user's own, or for a stranger the usual one. */
static const char *secret_to_try(struct login *login, char *usual, size_t size)
{
	if (login->known)
		return login->user.secret;
	return users_usual_secret(login->service->users, usual, size) == 0 ? usual : NULL;
}

static enum login_verdict verify(struct login *login, bool fast)
{
	unsigned char digest[CACHE_DIGEST];
	char usual[USER_SECRET_MAX + 1];
	enum scheme_verdict verdict = SCHEME_MISMATCH;
	const char *stored;
	struct err err = {0};
	bool cheap, digested = false, hit = false;

	login->phase = PHASE_VERIFY;
	if (!look_up(login))
		return over(login, LOGIN_TEMP, "the user database is down");
	stored = secret_to_try(login, usual, sizeof(usual));
	cheap = stored && is_cheap(stored);
	if (!cheap) {
		digested = cache_digest(login->service->cache, login->known ? login->user.name : "",
					stored ? stored : "", &login->password, digest);
		hit = digested && cache_has(login->service->cache, digest) && login->known;
		if (!hit && fast)
			return LOGIN_SLOW;
	}
	if (hit)
		verdict = SCHEME_MATCH;
	else if (login->known)
		verdict = scheme_verify(stored, &login->password, &err);
	else
		scheme_verify_dummy(stored, &login->password);
	if (verdict == SCHEME_MATCH && digested && !hit)
		cache_put(login->service->cache, digest);
	wipe(digest, sizeof(digest));
	wipe(usual, sizeof(usual));
	if (verdict == SCHEME_BROKEN)
		return over(login, LOGIN_PERM, err.text);
	if (verdict == SCHEME_MATCH && !login->other_authzid)
		return over(login, LOGIN_GRANTED, hit ? "password, seen before" : "password");
	return over(login, LOGIN_DENIED,
		    login->other_authzid ? "asks to act for another user"
		    : login->known       ? "wrong password"
					 : "unknown user or no login for this one");
}

/* APOP (RFC 1939 section 7): MD5 of stamp and secret. */
static enum login_verdict verify_apop(struct login *login)
{
	unsigned char raw[EVP_MAX_MD_SIZE];
	char input[STAMP_MAX + USER_SECRET_MAX + 1], expected[33];
	pop3_span payload = {"", 0};
	bool usable, good;
	int n;

	if (!look_up(login))
		return over(login, LOGIN_TEMP, "the user database is down");
	usable = login->known && scheme_kind(login->user.secret, &payload) == SCHEME_KIND_PLAIN &&
		 *login->stamp;
	n = snprintf(input, sizeof(input), "%s%s", login->stamp,
		     usable ? payload.data : "nobody's secret");
	EVP_Digest(input, (size_t)n, raw, NULL, EVP_md5(), NULL);
	hex_encode(raw, 16, expected);
	good = secret_equal(span_of(expected), span_of(login->digest));
	wipe(input, sizeof(input));
	wipe(raw, sizeof(raw));
	wipe(expected, sizeof(expected));
	if (usable && good)
		return over(login, LOGIN_GRANTED, "APOP");
	return over(login, LOGIN_DENIED,
		    usable ? "wrong APOP digest" : "unknown user or no clear password for APOP");
}

/* Takes text as the challenge to send. */
static enum login_verdict challenge(struct login *login, pop3_span text)
{
	size_t cap = (text.size + 2) / 3 * 4 + 1;
	int n;

	free(login->challenge);
	login->challenge_size = 0;
	login->challenge = malloc(cap);
	if (!login->challenge || (n = base64_encode(text, login->challenge, cap)) < 0)
		return over(login, LOGIN_TEMP, "out of memory");
	login->challenge_size = (size_t)n;
	return LOGIN_MORE;
}

/* RFC 2195: "<random.clock@host>", used for this one exchange. */
static enum login_verdict cram_challenge(struct login *login)
{
	unsigned char random[16];
	char hex[33];

	if (RAND_bytes(random, sizeof(random)) != 1)
		return over(login, LOGIN_TEMP, "no random octets");
	hex_encode(random, sizeof(random), hex);
	snprintf(login->cram, sizeof(login->cram), "<%s.%lld@%s>", hex, (long long)time(NULL),
		 login->service->host_name);
	login->phase = PHASE_EXCHANGE;
	return challenge(login, span_of(login->cram));
}

static int cram_expected(struct login *login, bool *ret_usable, char answer[33])
{
	char hex[CRAM_MD5_HEX + 1];
	struct secret *dummy = &login->password;
	pop3_span payload = {"", 0}, states;
	enum scheme_kind kind = SCHEME_KIND_UNKNOWN;
	int status;

	if (login->known)
		kind = scheme_kind(login->user.secret, &payload);
	*ret_usable = kind == SCHEME_KIND_PLAIN || kind == SCHEME_KIND_CRAM_MD5;
	secret_set(dummy, kind == SCHEME_KIND_PLAIN ? payload : SPAN_LITERAL("nobody's"));
	cram_md5_make(dummy, hex);
	states = kind == SCHEME_KIND_CRAM_MD5 ? payload : (pop3_span){hex, CRAM_MD5_HEX};
	status = cram_md5_answer(states, span_of(login->cram), answer);
	wipe(hex, sizeof(hex));
	return status;
}

/* "name digest": names may hold blanks in other servers, digests never do. */
static enum login_verdict cram_response(struct login *login, pop3_span response)
{
	const char *blank = response.size ? memrchr(response.data, ' ', response.size) : NULL;
	size_t n = blank ? (size_t)(blank - response.data) : 0;
	char expected[33], lower[33];
	bool usable, good;

	if (!blank || response.size - n - 1 != 32)
		return over(login, LOGIN_DENIED, "malformed CRAM-MD5 response");
	for (size_t i = 0; i < 32; i++) {
		char c = response.data[n + 1 + i];

		lower[i] = c >= 'A' && c <= 'F' ? (char)(c | 0x20) : c;
	}
	claim(login, (pop3_span){response.data, n});
	if (!look_up(login))
		return over(login, LOGIN_TEMP, "the user database is down");
	if (cram_expected(login, &usable, expected) < 0)
		return over(login, LOGIN_PERM, "the stored CRAM-MD5 states are damaged");
	good = secret_equal((pop3_span){expected, 32}, (pop3_span){lower, 32});
	wipe(expected, sizeof(expected));
	if (usable && good)
		return over(login, LOGIN_GRANTED, "CRAM-MD5");
	return over(login, LOGIN_DENIED,
		    usable ? "wrong CRAM-MD5 digest" : "unknown user or no password for CRAM-MD5");
}

static void on_simple(void *argument, pop3_span authid, pop3_span authzid, pop3_span password)
{
	struct login *login = argument;

	claim(login, authid);
	login->other_authzid = authzid.size && !span_equal(authzid, authid);
	if (secret_set(&login->password, password) < 0)
		secret_init(
			&login->password); /* too long for anybody's: no empty password is right */
	login->phase = PHASE_VERIFY;
}

/*
 * Salt and count that do not tell whether the user exists or how his password is stored: made from
 * the name under a key that stays while the site's first SCRAM entry stays (a restart must not
 * change the salts of strangers only), or under this process's own where nobody has a SCRAM entry.
 */
static void derived_salt(struct login *login, const struct scram_hash *hash,
			 struct scram_keys *keys)
{
	char first[USER_SECRET_MAX + 1], name[USER_NAME_MAX + 24];
	unsigned char mac[32];
	const void *key = login->service->fake_key;
	int key_size = sizeof(login->service->fake_key), n;
	struct scram_keys like = {.iterations = SCRAM_ITERATIONS, .salt_size = 16};
	pop3_span payload;

	if (users_first_secret(login->service->users, hash->name, first, sizeof(first)) == 0) {
		scheme_kind(first, &payload);
		(void)scram_parse(hash, payload, &like);
		key = first;
		key_size = (int)strlen(first);
	}
	n = snprintf(name, sizeof(name), "%s %.*s", hash->name, (int)login->claimed_size,
		     login->claimed);
	for (int i = 0; i < n; i++) /* as users are looked up */
		if (name[i] >= 'A' && name[i] <= 'Z')
			name[i] = (char)(name[i] + ('a' - 'A'));
	HMAC(EVP_sha256(), key, key_size, (const unsigned char *)name, (size_t)n, mac, NULL);
	keys->iterations = like.iterations;
	keys->salt_size = like.salt_size < sizeof(mac) ? like.salt_size : sizeof(mac);
	memcpy(keys->salt, mac, keys->salt_size);
	wipe(first, sizeof(first));
	wipe(&like, sizeof(like));
}

static void fake_keys(struct login *login, const struct scram_hash *hash, struct scram_keys *keys)
{
	char usual[USER_SECRET_MAX + 1];
	pop3_span payload;

	login->known = false;
	derived_salt(login, hash, keys);
	/* where most passwords are in clear text, keys are computed for each login */
	if (users_usual_secret(login->service->users, usual, sizeof(usual)) == 0 &&
	    scheme_kind(usual, &payload) == SCHEME_KIND_PLAIN) {
		secret_set(&login->password, payload);
		(void)scram_derive(hash, &login->password, keys);
	}
	wipe(usual, sizeof(usual));
	(void)RAND_bytes(keys->stored_key, sizeof(keys->stored_key));
	(void)RAND_bytes(keys->server_key, sizeof(keys->server_key));
}

static void on_scram(void *argument, const struct scram_hash *hash, pop3_span authid,
		     pop3_span authzid, struct scram_keys *ret)
{
	struct login *login = argument;
	enum scheme_kind wanted =
		hash->size == 20 ? SCHEME_KIND_SCRAM_SHA_1 : SCHEME_KIND_SCRAM_SHA_256;
	enum scheme_kind kind = SCHEME_KIND_UNKNOWN;
	pop3_span payload = {"", 0};

	claim(login, authid);
	login->other_authzid = authzid.size && !span_equal(authzid, authid);
	if (look_up(login) && login->known)
		kind = scheme_kind(login->user.secret, &payload);
	if (kind == wanted && scram_parse(hash, payload, ret) == 0)
		return;
	if (kind == SCHEME_KIND_PLAIN) {
		derived_salt(login, hash, ret);
		if (secret_set(&login->password, payload) == 0 &&
		    scram_derive(hash, &login->password, ret) == 0)
			return;
	}
	fake_keys(login, hash, ret);
}

static enum login_verdict sasl_done(struct login *login, pop3_span output, bool fast)
{
	if (login->phase == PHASE_VERIFY) /* PLAIN, LOGIN: on_simple was called */
		return verify(login, fast);
	if (!login->known || login->other_authzid)
		return over(login, LOGIN_DENIED, "asks to act for another user");
	login->phase = PHASE_LAST;
	return challenge(login, output);
}

static enum login_verdict sasl_octets(struct login *login, pop3_span input, bool fast)
{
	pop3_span output = {"", 0};

	login->phase = PHASE_EXCHANGE;
	switch (sasl_step(login->exchange, input, &output)) {
	case SASL_MORE:
		return challenge(login, output);
	case SASL_DONE:
		return sasl_done(login, output, fast);
	case SASL_FAILURE:
		return over(login, LOGIN_TEMP, "out of memory");
	case SASL_DENIED:
		break;
	}
	if (login->claimed_size && !login->looked_up)
		return over(login, LOGIN_TEMP, "the user database is down");
	return over(login, LOGIN_DENIED,
		    login->claimed_size ? "wrong proof, or unknown user"
					: "malformed SASL response");
}

/* One decoded response of the client. */
static enum login_verdict take_response(struct login *login, pop3_span input, bool has_response,
					bool fast)
{
	if (login->phase == PHASE_LAST) {
		if (input.size)
			return over(login, LOGIN_DENIED, "words after the last word");
		return over(login, LOGIN_GRANTED, mechanism_names[login->mechanism]);
	}
	/* to gsasl an empty response that is there ("=") and none are the same */
	if (login->phase == PHASE_START && has_response && input.size == 0)
		return over(login, LOGIN_DENIED, "an empty initial response");
	if (login->mechanism != MECHANISM_CRAM_MD5)
		return sasl_octets(login, input, fast);
	if (login->phase == PHASE_START)
		return has_response ? over(login, LOGIN_DENIED, "a response before the challenge")
				    : cram_challenge(login);
	return cram_response(login, input);
}

static bool is_scram(const struct login *login)
{
	return login->mechanism <= MECHANISM_SCRAM_SHA_1;
}

static enum login_verdict step(struct login *login, pop3_span response, bool has_response,
			       bool fast)
{
	enum login_verdict verdict;
	char *octets;
	int n;

	if (login->phase == PHASE_OVER)
		return login->verdict;
	if (login->mechanism == MECHANISM_REFUSED)
		return over(login, LOGIN_PERM, "the mechanism is not offered here");
	if (login->mechanism == MECHANISM_PASS || login->phase == PHASE_VERIFY)
		return verify(login, fast);
	if (login->mechanism == MECHANISM_APOP)
		return verify_apop(login);
	if (fast && is_scram(login) && login->phase != PHASE_LAST)
		return LOGIN_SLOW;
	if (response.size > RESPONSE_MAX)
		return over(login, LOGIN_DENIED, "a SASL response too long");
	octets = malloc(response.size + 1);
	if (!octets)
		return over(login, LOGIN_TEMP, "out of memory");
	n = base64_decode(response, octets, response.size + 1);
	if (n < 0)
		verdict = over(login, LOGIN_DENIED, "a SASL response that is not base64");
	else
		verdict = take_response(login, (pop3_span){octets, (size_t)n}, has_response, fast);
	wipe(octets, response.size + 1);
	free(octets);
	return verdict;
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
	claim(login, user);
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
	claim(login, user);
	/* what does not fit stays empty and is no right answer */
	(void)span_copy(digest, login->digest, sizeof(login->digest));
	(void)span_copy(stamp, login->stamp, sizeof(login->stamp));
	for (char *c = login->digest; *c; c++)
		if (*c >= 'A' && *c <= 'F')
			*c |= 0x20;
	return login;
}

struct login *login_sasl(struct login_service *service, pop3_span mechanism,
			 const struct login_channel *channel)
{
	struct login *login = login_create(service, MECHANISM_REFUSED);
	pop3_span exporter = {"", 0};
	const char *name;

	if (!login)
		return NULL;
	for (int i = 0; i < MECHANISM_SASL_COUNT; i++)
		if (service->allowed[i] &&
		    span_equal_nocase(mechanism, span_of(mechanism_names[i])))
			login->mechanism = (enum mechanism)i;
	if (login->mechanism == MECHANISM_REFUSED || login->mechanism == MECHANISM_CRAM_MD5)
		return login;
	/* a client that says "you offer no binding" is right only where we don't (RFC 5802 section
	 * 6) */
	if (channel->tls && service->allowed[login->mechanism & ~1u]) /* its PLUS form */
		exporter = channel->exporter;
	if ((login->mechanism == MECHANISM_SCRAM_SHA_256_PLUS ||
	     login->mechanism == MECHANISM_SCRAM_SHA_1_PLUS) &&
	    exporter.size == 0) {
		login->mechanism = MECHANISM_REFUSED;
		return login;
	}
	name = mechanism_names[login->mechanism];
	login->callbacks = (struct sasl_callbacks){login, on_simple, on_scram};
	login->exchange = sasl_start(service->sasl, name, exporter, &login->callbacks);
	if (!login->exchange) {
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
	atomic_fetch_sub(&login->service->live, 1);
	wipe(login, sizeof(*login));
	free(login);
}

pop3_span login_challenge(const struct login *login)
{
	return (pop3_span){login->challenge ? login->challenge : "", login->challenge_size};
}

const struct user *login_user(const struct login *login)
{
	return &login->user;
}

const char *login_reason(const struct login *login)
{
	return login->reason;
}

pop3_span login_claimed_name(const struct login *login)
{
	return (pop3_span){login->claimed, login->claimed_size};
}

static void allow(struct login_service *service, pop3_span word)
{
	for (int i = 0; i < MECHANISM_SASL_COUNT; i++)
		if (!service->allowed[i] && span_equal_nocase(word, span_of(mechanism_names[i]))) {
			service->allowed[i] = true;
			service->order[service->order_count++] = (enum mechanism)i;
		}
}

int login_service_create(struct users *users, const struct login_settings *settings,
			 struct login_service **ret, struct err *err)
{
	struct login_service *service = calloc(1, sizeof(*service));

	if (!service)
		return err_set(err, EX_OSERR, "out of memory");
	service->users = users;
	snprintf(service->host_name, sizeof(service->host_name), "%s",
		 settings->host_name && *settings->host_name ? settings->host_name : "localhost");
	for (const char *p = settings->mechanisms; p && *(p += strspn(p, " "));
	     p += strcspn(p, " "))
		allow(service, (pop3_span){p, strcspn(p, " ")});
	if (cache_create(settings->cache_entries, settings->cache_seconds, &service->cache, err) <
	    0)
		goto fail;
	if (sasl_context_create(&service->sasl, err) < 0)
		goto fail;
	if (RAND_bytes(service->fake_key, sizeof(service->fake_key)) != 1) {
		err_set(err, EX_OSERR, "no random octets");
		goto fail;
	}
	*ret = service;
	return 0;
fail:
	login_service_destroy(service);
	return -1;
}

void login_service_destroy(struct login_service *service)
{
	if (!service)
		return;
	cache_destroy(service->cache);
	sasl_context_destroy(service->sasl);
	wipe(service, sizeof(*service));
	free(service);
}

static bool is_usable(struct login_service *service, enum mechanism mechanism, bool tls)
{
	bool plain = users_any_with_plain_secret(service->users);

	switch (mechanism) {
	case MECHANISM_SCRAM_SHA_256_PLUS:
		return tls && (plain || users_any_with_scram(service->users, "SCRAM-SHA-256"));
	case MECHANISM_SCRAM_SHA_256:
		return plain || users_any_with_scram(service->users, "SCRAM-SHA-256");
	case MECHANISM_SCRAM_SHA_1_PLUS:
		return tls && (plain || users_any_with_scram(service->users, "SCRAM-SHA-1"));
	case MECHANISM_SCRAM_SHA_1:
		return plain || users_any_with_scram(service->users, "SCRAM-SHA-1");
	case MECHANISM_CRAM_MD5:
		return plain || users_any_with_cram_md5(service->users);
	case MECHANISM_PLAIN:
	case MECHANISM_LOGIN:
		return true;
	case MECHANISM_PASS:
	case MECHANISM_APOP:
	case MECHANISM_REFUSED:
		break;
	}
	return false;
}

void login_mechanisms(struct login_service *service, bool tls, char *buf, size_t size)
{
	size_t used = 0;

	buf[0] = '\0';
	for (size_t i = 0; i < service->order_count; i++) {
		const char *name = mechanism_names[service->order[i]];

		if (!is_usable(service, service->order[i], tls) || used + strlen(name) + 2 > size)
			continue;
		used += (size_t)snprintf(buf + used, size - used, "%s%s", used ? " " : "", name);
	}
}
