/*
 * Tokens against the driver oauth with keys of a file: what it takes, and the attacks on others
 * that did the same. Keys and tokens are made here, by José's other half and by OpenSSL.
 */
#include "lookup/driver.h"
#include "lookup/oauth/claims.h"
#include "lookup/oauth/introspect.h"
#include "lookup/oauth/signature.h"

#include "base/text.h"

#include <jansson.h>
#include <jose/b64.h>
#include <jose/jwk.h>
#include <jose/jws.h>
#include <openssl/evp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define ISSUER "https://id.example.org/realm"

static char directory[] = "/tmp/test-oauth-XXXXXX";
static char file[64];
static json_t *rsa, *other_rsa, *ec, *ec384, *ec521;
static EVP_PKEY *ed;

/* The clock of everything that runs here but of tokens' dates, ahead by so much. */
static time_t ahead;
int __real_clock_gettime(clockid_t clock, struct timespec *ret);
int __wrap_clock_gettime(clockid_t clock, struct timespec *ret);
int __wrap_clock_gettime(clockid_t clock, struct timespec *ret)
{
	int rc = __real_clock_gettime(clock, ret);

	ret->tv_sec += ahead;
	return rc;
}

/* ---- keys and tokens ---- */

static json_t *generate(const char *type, const char *curve, const char *kid)
{
	json_t *jwk = json_pack("{s:s, s:s}", "kty", type, "kid", kid);

	if (curve)
		json_object_set_new(jwk, "crv", json_string(curve));
	else
		json_object_set_new(jwk, "bits", json_integer(2048));
	assert_true(jose_jwk_gen(NULL, jwk));
	json_object_del(jwk, "key_ops");
	return jwk;
}

static json_t *public_of(const json_t *jwk)
{
	json_t *copy = json_deep_copy(jwk);

	assert_true(jose_jwk_pub(NULL, copy));
	return copy;
}

static json_t *public_ed(const char *kid)
{
	unsigned char raw[32];
	size_t size = sizeof(raw);

	assert_int_equal(EVP_PKEY_get_raw_public_key(ed, raw, &size), 1);
	return json_pack("{s:s, s:s, s:s, s:o}", "kty", "OKP", "crv", "Ed25519", "kid", kid, "x",
			 jose_b64_enc(raw, sizeof(raw)));
}

static json_t *good_claims(void)
{
	return json_pack("{s:s, s:s, s:s, s:b, s:I, s:s}", "iss", ISSUER, "aud", "mail", "email",
			 "anna@example.org", "email_verified", 1, "exp",
			 (json_int_t)time(NULL) + 600, "scope", "openid mail.read");
}

static char *encode(const char *text)
{
	json_t *json = jose_b64_enc(text, strlen(text));
	char *copy = strdup(json_string_value(json));

	json_decref(json);
	return copy;
}

/* HEADER.CLAIMS.SIGNATURE of texts, the signature as it is. */
static void assemble(char *token, const char *header, const char *claims, const char *signature)
{
	char *one = encode(header), *two = encode(claims);

	assert_true(snprintf(token, 8192, "%s.%s.%s", one, two, signature) < 8192);
	free(one);
	free(two);
}

/* header is taken. */
static void sign(char *token, const json_t *jwk, json_t *header, const json_t *claims)
{
	char *text = json_dumps(claims, JSON_COMPACT);
	json_t *jws = json_pack("{s:o}", "payload", jose_b64_enc(text, strlen(text)));
	json_t *template = json_pack("{s:o}", "protected", header);

	assert_true(jose_jws_sig(NULL, jws, template, jwk));
	assert_true(snprintf(token, 8192, "%s.%s.%s",
			     json_string_value(json_object_get(jws, "protected")),
			     json_string_value(json_object_get(jws, "payload")),
			     json_string_value(json_object_get(jws, "signature"))) < 8192);
	json_decref(template);
	json_decref(jws);
	free(text);
}

static json_t *header_of(const char *algorithm, const char *kid)
{
	json_t *header = json_pack("{s:s}", "alg", algorithm);

	if (kid)
		json_object_set_new(header, "kid", json_string(kid));
	return header;
}

static void sign_ed(char *token, const char *kid, const json_t *claims)
{
	unsigned char signature[64];
	size_t size = sizeof(signature);
	char *text = json_dumps(claims, JSON_COMPACT), header[64];
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	json_t *last;

	snprintf(header, sizeof(header), "{\"alg\":\"EdDSA\",\"kid\":\"%s\"}", kid);
	assemble(token, header, text, "");
	free(text);
	assert_int_equal(EVP_DigestSignInit(context, NULL, NULL, NULL, ed), 1);
	assert_int_equal(EVP_DigestSign(context, signature, &size, (unsigned char *)token,
					strlen(token) - 1),
			 1);
	EVP_MD_CTX_free(context);
	last = jose_b64_enc(signature, size);
	strcat(token, json_string_value(last));
	json_decref(last);
}

/* Takes the keys. */
static void write_keys(json_t *keys)
{
	json_t *set = json_pack("{s:o}", "keys", keys);

	assert_int_equal(json_dump_file(set, file, 0), 0);
	json_decref(set);
}

static int set_up(void **state)
{
	(void)state;
	if (!mkdtemp(directory))
		return -1;
	snprintf(file, sizeof(file), "%s/keys.json", directory);
	rsa = generate("RSA", NULL, "rsa-1");
	other_rsa = generate("RSA", NULL, "rsa-1");
	ec = generate("EC", "P-256", "ec-1");
	ec384 = generate("EC", "P-384", "ec-3");
	ec521 = generate("EC", "P-521", "ec-5");
	ed = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	write_keys(json_pack("[o, o, o, o, o]", public_of(rsa), public_of(ec), public_of(ec384),
			     public_of(ec521), public_ed("../../etc/passwd")));
	return ed ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	json_decref(rsa);
	json_decref(other_rsa);
	json_decref(ec);
	json_decref(ec384);
	json_decref(ec521);
	EVP_PKEY_free(ed);
	unlink(file);
	return rmdir(directory);
}

/* ---- the driver ---- */

struct site {
	struct config config;
	struct lookup_database database;
	struct sandbox sandbox;
	void *driver, *connection;
	struct err err;
};

/* pairs: setting, value …, NULL */
/* They live as long as the process, as a driver expects. */
static struct site *sites[64];
static size_t site_count;

static struct site *site_of(const char *first, ...)
{
	struct site *site = calloc(1, sizeof(*site));
	const char *name = first;
	va_list ap;

	assert_true(site_count < sizeof(sites) / sizeof(sites[0]));
	sites[site_count++] = site;
	assert_int_equal(config_database_begin(&site->config, "sso", 1, &site->err), 0);
	assert_int_equal(config_database_set(&site->config, "driver", "oauth", &site->err), 0);
	va_start(ap, first);
	for (; name; name = va_arg(ap, const char *))
		assert_int_equal(config_database_set(&site->config, name, va_arg(ap, const char *),
						     &site->err),
				 0);
	va_end(ap);
	assert_int_equal(config_database_end(&site->config, &site->err), 0);
	site->database = (struct lookup_database){
		.config = &site->config, .settings = &site->config.databases[0], .secrets = ""};
	return site;
}

static struct site *open_site(struct site *site)
{
	if (lookup_driver.open(&site->database, &site->sandbox, &site->driver, &site->err) < 0)
		fail_msg("%s", site->err.text);
	return site;
}

static struct site *usual(void)
{
	return open_site(site_of("issuer", ISSUER, "audience", "mail", "audience", "second",
				 "scope", "mail.read", "jwks_file", file, NULL));
}

static void ask(struct site *site, const char *name, const char *token,
		struct lookup_answer *answer)
{
	struct timespec now;
	struct lookup_question question = {.kind = LOOKUP_TOKEN,
					   .names = {name},
					   .name_count = 1,
					   .secret = span_of(token),
					   .service = "pop3"};

	clock_gettime(CLOCK_MONOTONIC, &now);
	question.deadline = (uint64_t)now.tv_sec * 1000 + 10000;
	memset(answer, 0, sizeof(*answer));
	lookup_driver.ask(site->driver, &site->connection, &question, answer);
}

static void expect(struct site *site, const char *name, const char *token,
		   enum lookup_status status)
{
	struct lookup_answer answer;

	ask(site, name, token, &answer);
	if (answer.status != status)
		fail_msg("status %d, not %d: %s", answer.status, status, answer.why);
	if (status == LOOKUP_FOUND)
		assert_memory_equal(answer.fields, "user\0anna@example.org", 22);
	else
		assert_int_equal(answer.size, 0);
}

/* Claims with one changed, signed as they should be; value is taken, NULL: without it. */
static void expect_with(struct site *site, const char *claim, json_t *value,
			enum lookup_status status)
{
	json_t *claims = good_claims();
	char token[8192];

	if (value)
		json_object_set_new(claims, claim, value);
	else
		json_object_del(claims, claim);
	sign(token, ec, header_of("ES256", "ec-1"), claims);
	json_decref(claims);
	expect(site, "anna@example.org", token, status);
}

static void test_algorithms(void **state)
{
	static const char *const of_rsa[] = {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"};
	struct site *site = usual();
	json_t *claims = good_claims();
	char token[8192];

	(void)state;
	for (size_t i = 0; i < sizeof(of_rsa) / sizeof(of_rsa[0]); i++) {
		sign(token, rsa, header_of(of_rsa[i], "rsa-1"), claims);
		expect(site, "anna@example.org", token, LOOKUP_FOUND);
	}
	sign(token, ec, header_of("ES256", "ec-1"), claims);
	expect(site, "anna@example.org", token, LOOKUP_FOUND);
	sign(token, ec384, header_of("ES384", "ec-3"), claims);
	expect(site, "anna@example.org", token, LOOKUP_FOUND);
	sign(token, ec521, header_of("ES512", "ec-5"), claims);
	expect(site, "anna@example.org", token, LOOKUP_FOUND);
	/* a kid is a string, whatever it looks like */
	sign_ed(token, "../../etc/passwd", claims);
	expect(site, "anna@example.org", token, LOOKUP_FOUND);
	sign_ed(token, "/etc/passwd", claims);
	expect(site, "anna@example.org", token, LOOKUP_WRONG);
	/* no kid: whichever key fits */
	sign(token, rsa, header_of("RS256", NULL), claims);
	expect(site, "anna@example.org", token, LOOKUP_FOUND);
	json_decref(claims);
}

static void test_expiry_given_back(void **state)
{
	struct site *site = usual();
	json_t *claims = good_claims();
	struct lookup_answer answer;
	char token[8192];

	(void)state;
	sign(token, ec, header_of("ES256", "ec-1"), claims);
	ask(site, "anna@example.org", token, &answer);
	assert_int_equal(answer.expires, json_integer_value(json_object_get(claims, "exp")));
	json_decref(claims);
}

static void test_names(void **state)
{
	struct site *site = usual();
	json_t *claims = good_claims();
	char token[8192];

	(void)state;
	sign(token, ec, header_of("ES256", "ec-1"), claims);
	expect(site, "ANNA@Example.org", token, LOOKUP_FOUND);
	expect(site, "", token, LOOKUP_FOUND); /* the token says who it is */
	expect(site, "bob@example.org", token, LOOKUP_WRONG);
	expect(site, "anna@example.or", token, LOOKUP_WRONG);
	expect(site, "anna", token, LOOKUP_WRONG);
	json_decref(claims);
}

/* Octets, signature, key: each changed once. */
static void test_forged(void **state)
{
	struct site *site = usual();
	json_t *claims = good_claims();
	char token[8192], forged[8192], *dot;

	(void)state;
	sign(token, other_rsa, header_of("RS256", "rsa-1"), claims);
	expect(site, "anna@example.org", token, LOOKUP_WRONG);
	sign(token, rsa, header_of("RS256", "rsa-1"), claims);
	strcpy(forged, token);
	dot = strrchr(forged, '.');
	dot[5] = dot[5] == 'A' ? 'B' : 'A';
	expect(site, "anna@example.org", forged, LOOKUP_WRONG);
	strcpy(strrchr(strcpy(forged, token), '.') + 1, "");
	expect(site, "anna@example.org", forged, LOOKUP_WRONG);
	strcat(strcpy(forged, token), "=");
	expect(site, "anna@example.org", forged, LOOKUP_WRONG);
	strcat(strcpy(forged, token), ".x"); /* five parts, four parts: not of this form */
	expect(site, "anna@example.org", forged, LOOKUP_UNKNOWN);
	expect(site, "anna@example.org", "opaque-token", LOOKUP_UNKNOWN);
	expect(site, "anna@example.org", "a.b.c", LOOKUP_UNKNOWN);
	expect(site, "anna@example.org", "..", LOOKUP_UNKNOWN);
	json_decref(claims);
}

static void test_threat_98_unsigned(void **state)
{
	static const char *const none[] = {"none", "None", "NONE", "", "nOnE"};
	struct site *site = usual();
	json_t *claims = good_claims();
	char *text = json_dumps(claims, 0), header[64], token[8192];

	(void)state;
	for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
		snprintf(header, sizeof(header), "{\"alg\":\"%s\"}", none[i]);
		assemble(token, header, text, "");
		expect(site, "anna@example.org", token, LOOKUP_WRONG);
		snprintf(header, sizeof(header), "{\"alg\":\"%s\",\"kid\":\"ec-1\"}", none[i]);
		assemble(token, header, text, "AAAA");
		expect(site, "anna@example.org", token, LOOKUP_WRONG);
	}
	assemble(token, "{}", text, "");
	expect(site, "anna@example.org", token, LOOKUP_WRONG);
	assemble(token, "{\"alg\":7}", text, "");
	expect(site, "anna@example.org", token, LOOKUP_WRONG);
	free(text);
	json_decref(claims);
}

/* The public key, known to all, as the secret of HMAC. */
static void test_threat_98_algorithm_confusion(void **state)
{
	static const char *const algorithms[] = {"HS256", "HS384", "HS512"};
	struct site *site = usual();
	json_t *claims = good_claims(), *public = public_of(rsa);
	char *text = json_dumps(public, JSON_COMPACT), token[8192];
	json_t *secrets[] = {
		json_pack("{s:s, s:O}", "kty", "oct", "k", json_object_get(rsa, "n")),
		json_pack("{s:s, s:o}", "kty", "oct", "k", jose_b64_enc(text, strlen(text)))};

	(void)state;
	for (size_t i = 0; i < 3; i++)
		for (size_t j = 0; j < 2; j++) {
			sign(token, secrets[j], header_of(algorithms[i], "rsa-1"), claims);
			expect(site, "anna@example.org", token, LOOKUP_WRONG);
			sign(token, secrets[j], header_of(algorithms[i], NULL), claims);
			expect(site, "anna@example.org", token, LOOKUP_WRONG);
		}
	/* not even when the issuer publishes a secret */
	write_keys(json_pack("[O, o]", secrets[0], public_of(ec)));
	site = usual();
	sign(token, secrets[0], header_of("HS256", NULL), claims);
	expect(site, "anna@example.org", token, LOOKUP_WRONG);
	/* nor of another type or curve than the key named */
	write_keys(json_pack("[o, o, o]", public_of(rsa), public_of(ec), public_of(ec384)));
	site = usual();
	sign(token, ec, header_of("ES256", "rsa-1"), claims);
	expect(site, "anna@example.org", token, LOOKUP_WRONG);
	sign(token, ec, header_of("ES256", "ec-3"), claims);
	expect(site, "anna@example.org", token, LOOKUP_WRONG);
	json_decref(secrets[0]);
	json_decref(secrets[1]);
	json_decref(public);
	json_decref(claims);
	free(text);
}

/* A key that the token brings along, or where one is to be had, means nothing. */
static void test_threat_98_keys_of_the_token(void **state)
{
	struct site *site = usual();
	json_t *claims = good_claims(), *header = header_of("RS256", "rsa-1");
	char token[8192];

	(void)state;
	json_object_set_new(header, "jwk", public_of(other_rsa));
	json_object_set_new(header, "jku", json_string("https://127.0.0.1:1/keys"));
	sign(token, other_rsa, header, claims);
	expect(site, "anna@example.org", token, LOOKUP_WRONG);
	json_decref(claims);
}

static void test_headers(void **state)
{
	static const struct {
		const char *type;
		enum lookup_status status;
	} types[] = {{"JWT", LOOKUP_FOUND},
		     {"at+jwt", LOOKUP_FOUND},
		     {"application/at+JWT", LOOKUP_FOUND},
		     {"logout+jwt", LOOKUP_WRONG},
		     {"secevent+jwt", LOOKUP_WRONG},
		     {"dpop+jwt", LOOKUP_WRONG}};
	struct site *site = usual();
	json_t *claims = good_claims(), *header;
	char token[8192], *text = json_dumps(claims, 0);

	(void)state;
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		header = header_of("ES256", "ec-1");
		json_object_set_new(header, "typ", json_string(types[i].type));
		sign(token, ec, header, claims);
		expect(site, "anna@example.org", token, types[i].status);
	}
	header = header_of("ES256", "ec-1");
	json_object_set_new(header, "crit", json_pack("[s]", "exp"));
	json_object_set_new(header, "exp", json_integer(1));
	sign(token, ec, header, claims);
	expect(site, "anna@example.org", token, LOOKUP_WRONG);
	header = header_of("ES256", "ec-1");
	json_object_set_new(header, "kid", json_integer(1));
	sign(token, ec, header, claims);
	expect(site, "anna@example.org", token, LOOKUP_WRONG);
	assemble(token, "{\"alg\":\"none\",\"alg\":\"ES256\",\"kid\":\"ec-1\"}", text, "AAAA");
	expect(site, "anna@example.org", token, LOOKUP_UNKNOWN);
	free(text);
	json_decref(claims);
}

static void test_threat_99_issuer_and_audience(void **state)
{
	struct site *site = usual();

	(void)state;
	/* another database may have it */
	expect_with(site, "iss", json_string("https://id.example.org/other"), LOOKUP_UNKNOWN);
	expect_with(site, "iss", json_string(ISSUER "/"), LOOKUP_UNKNOWN);
	expect_with(site, "iss", json_pack("[s]", ISSUER), LOOKUP_UNKNOWN);
	expect_with(site, "iss", NULL, LOOKUP_UNKNOWN);
	expect_with(site, "aud", json_string("second"), LOOKUP_FOUND);
	expect_with(site, "aud", json_pack("[s, s]", "account", "mail"), LOOKUP_FOUND);
	expect_with(site, "aud", json_pack("[s, i]", "account", 7), LOOKUP_WRONG);
	expect_with(site, "aud", json_pack("[]"), LOOKUP_WRONG);
	expect_with(site, "aud", json_pack("{s:s}", "mail", "mail"), LOOKUP_WRONG);
	expect_with(site, "aud", json_string("account"), LOOKUP_WRONG);
	expect_with(site, "aud", json_string("mai"), LOOKUP_WRONG);
	expect_with(site, "aud", json_string("mail second"), LOOKUP_WRONG);
	expect_with(site, "aud", NULL, LOOKUP_WRONG);
}

static void test_threat_99_dates(void **state)
{
	struct site *site = usual();
	json_int_t now = (json_int_t)time(NULL);

	(void)state;
	expect_with(site, "exp", json_integer(now - 30), LOOKUP_FOUND); /* clocks differ */
	expect_with(site, "exp", json_integer(now - 61), LOOKUP_WRONG);
	expect_with(site, "exp", json_integer(1), LOOKUP_WRONG);
	expect_with(site, "exp", json_integer(0), LOOKUP_WRONG);
	expect_with(site, "exp", json_integer(-1), LOOKUP_WRONG);
	expect_with(site, "exp", json_real((double)now + 60.5), LOOKUP_FOUND);
	expect_with(site, "exp", json_real(1e300), LOOKUP_WRONG);
	expect_with(site, "exp", json_string("9999999999"), LOOKUP_WRONG);
	expect_with(site, "exp", NULL, LOOKUP_WRONG);
	expect_with(site, "nbf", json_integer(now + 30), LOOKUP_FOUND);
	expect_with(site, "nbf", json_integer(now + 120), LOOKUP_WRONG);
	expect_with(site, "nbf", json_string("0"), LOOKUP_WRONG);
}

static void test_threat_99_scope_and_user(void **state)
{
	struct site *site = usual();

	(void)state;
	expect_with(site, "scope", json_string("mail.read"), LOOKUP_FOUND);
	expect_with(site, "scope", json_string("  a mail.read  "), LOOKUP_FOUND);
	expect_with(site, "scope", json_string("mail.readwrite"), LOOKUP_WRONG);
	expect_with(site, "scope", json_string(""), LOOKUP_WRONG);
	expect_with(site, "scope", json_pack("[s]", "mail.read"), LOOKUP_FOUND);
	expect_with(site, "scope", NULL, LOOKUP_WRONG);
	expect_with(site, "email_verified", json_string("true"), LOOKUP_FOUND);
	expect_with(site, "email_verified", json_false(), LOOKUP_WRONG);
	expect_with(site, "email_verified", json_string("false"), LOOKUP_WRONG);
	expect_with(site, "email_verified", json_integer(1), LOOKUP_WRONG);
	expect_with(site, "email_verified", NULL, LOOKUP_WRONG);
	expect_with(site, "email", json_pack("[s]", "anna@example.org"), LOOKUP_WRONG);
	expect_with(site, "email", json_string(""), LOOKUP_WRONG);
	expect_with(site, "email", NULL, LOOKUP_WRONG);
}

static void test_threat_99_claims_twice(void **state)
{
	struct site *site = usual();
	json_t *claims = good_claims();
	char *text = json_dumps(claims, 0), twice[2048], token[8192];

	(void)state;
	snprintf(twice, sizeof(twice), "{\"email\":\"bob@example.org\",%s", text + 1);
	assemble(token, "{\"alg\":\"ES256\",\"kid\":\"ec-1\"}", twice, "AAAA");
	expect(site, "anna@example.org", token, LOOKUP_WRONG);
	free(text);
	json_decref(claims);
}

/* ---- sets of keys ---- */

static void expect_set(const char *text, bool good)
{
	const char *why = NULL;
	struct key_set *set = key_set_read(span_of(text), &why);

	assert_int_equal(set != NULL, good);
	assert_int_equal(why == NULL, good);
	key_set_release(set);
}

/* takes key */
static bool is_taken(json_t *key, const char *name, const char *value)
{
	json_t *set = json_pack("{s:[o]}", "keys", key);
	struct key_set *read;
	const char *why;
	char *text;

	if (value)
		json_object_set_new(key, name, json_string(value));
	else
		json_object_del(key, name);
	text = json_dumps(set, 0);
	read = key_set_read(span_of(text), &why);
	free(text);
	json_decref(set);
	key_set_release(read);
	return read != NULL;
}

static void test_sets(void **state)
{
	const char *n = json_string_value(json_object_get(rsa, "n"));
	char weak[200], text[8192] = "{\"keys\":[";

	(void)state;
	expect_set("", false);
	expect_set("[]", false);
	expect_set("{\"keys\":{}}", false);
	expect_set("{\"keys\":[]}", false);
	expect_set("{\"keys\":[1,\"a\",[],null]}", false);
	expect_set("{\"keys\":[{\"kty\":\"RSA\"}]}", false);
	expect_set("{\"keys\":[],\"keys\":[]}", false);
	for (int i = 0; i < 65; i++)
		strcat(text, i ? ",{\"kty\":\"x\"}" : "{\"kty\":\"x\"}");
	expect_set(strcat(text, "]}"), false);
	assert_true(is_taken(public_of(rsa), "use", "sig"));
	assert_false(is_taken(public_of(rsa), "use", "enc"));
	assert_false(is_taken(public_of(rsa), "kty", "oct"));
	assert_false(is_taken(public_of(rsa), "n", NULL));
	assert_false(is_taken(public_of(rsa), "e", "AQABAQABAQABAQAB"));
	snprintf(weak, 172, "%s", n); /* 1024 bits */
	assert_false(is_taken(public_of(rsa), "n", weak));
	assert_false(is_taken(public_of(ec), "y", NULL));
	assert_false(is_taken(public_ed("a"), "x", "AAAA"));
	assert_false(is_taken(public_ed("a"), "crv", "X25519"));
}

static void test_keys_for_others(void **state)
{
	json_t *key = public_of(ec), *claims = good_claims();
	struct site *site;
	char token[8192];

	(void)state;
	json_object_set_new(key, "key_ops", json_pack("[s]", "encrypt"));
	write_keys(json_pack("[o, o]", key, public_of(rsa)));
	site = usual();
	sign(token, ec, header_of("ES256", "ec-1"), claims);
	expect(site, "anna@example.org", token, LOOKUP_WRONG);
	key = public_of(rsa); /* a key of PS256 is not one of RS256 */
	json_object_set_new(key, "alg", json_string("PS256"));
	write_keys(json_pack("[o]", key));
	site = usual();
	sign(token, rsa, header_of("RS256", "rsa-1"), claims);
	expect(site, "anna@example.org", token, LOOKUP_WRONG);
	sign(token, rsa, header_of("PS256", "rsa-1"), claims);
	expect(site, "anna@example.org", token, LOOKUP_FOUND);
	json_decref(claims);
}

/* No keys: the truth is not known; who is not even of this issuer is told so without them. */
static void test_keys_missing(void **state)
{
	struct site *site = open_site(site_of("issuer", ISSUER, "audience", "mail", "jwks_file",
					      "/nonexistent/keys", NULL));
	struct lookup_answer answer;
	json_t *claims = good_claims();
	char token[8192];

	(void)state;
	sign(token, ec, header_of("ES256", "ec-1"), claims);
	ask(site, "anna@example.org", token, &answer);
	assert_int_equal(answer.status, LOOKUP_DOWN);
	assert_non_null(strstr(answer.why, "/nonexistent/keys"));
	expect_with(site, "iss", json_string("https://else.example/"), LOOKUP_UNKNOWN);
	expect_with(site, "exp", json_integer(1), LOOKUP_WRONG);
	json_decref(claims);
}

/* An issuer changes its keys: the new one is looked for once a minute, the old one is gone. */
static void test_rotation(void **state)
{
	json_t *old_ec = ec, *claims = good_claims();
	char token[8192], older[8192];
	struct site *site;

	(void)state;
	write_keys(json_pack("[o]", public_of(ec)));
	site = usual();
	sign(older, ec, header_of("ES256", "ec-1"), claims);
	expect(site, "anna@example.org", older, LOOKUP_FOUND);
	ec = generate("EC", "P-256", "ec-2");
	sign(token, ec, header_of("ES256", "ec-2"), claims);
	write_keys(json_pack("[o]", public_of(ec)));
	expect(site, "anna@example.org", token, LOOKUP_WRONG); /* fetched a moment ago */
	ahead += 61;
	expect(site, "anna@example.org", older, LOOKUP_FOUND); /* nothing asks for new ones */
	expect(site, "anna@example.org", token, LOOKUP_FOUND);
	expect(site, "anna@example.org", older, LOOKUP_WRONG);
	json_decref(ec);
	ec = old_ec;
	write_keys(json_pack("[o]", public_of(ec)));
	ahead += 3601; /* an hour: they are fetched for no reason */
	expect(site, "anna@example.org", older, LOOKUP_FOUND);
	expect(site, "anna@example.org", token, LOOKUP_WRONG);
	json_decref(claims);
}

/* Keys that cannot be fetched again are good for a day; what they do not have is not known. */
static void test_keys_lost(void **state)
{
	json_t *claims = good_claims();
	char token[8192], other[8192];
	struct site *site;

	(void)state;
	write_keys(json_pack("[o]", public_of(ec)));
	site = usual();
	sign(token, ec, header_of("ES256", "ec-1"), claims);
	sign(other, rsa, header_of("RS256", "rsa-1"), claims);
	expect(site, "anna@example.org", token, LOOKUP_FOUND);
	assert_int_equal(truncate(file, 5), 0);
	ahead += 2 * 3600;
	expect(site, "anna@example.org", token, LOOKUP_FOUND);
	expect(site, "anna@example.org", other, LOOKUP_DOWN);
	ahead += 21 * 3600;
	expect(site, "anna@example.org", token, LOOKUP_FOUND);
	ahead += 2 * 3600;
	expect(site, "anna@example.org", token, LOOKUP_DOWN);
	write_keys(json_pack("[o]", public_of(ec)));
	ahead += 61;
	expect(site, "anna@example.org", token, LOOKUP_FOUND);
	json_decref(claims);
}

/* ---- the rest ---- */

static void test_other_questions(void **state)
{
	struct lookup_question question = {.kind = LOOKUP_FIND, .names = {"anna"}, .name_count = 1};
	struct lookup_answer answer = {.status = LOOKUP_DOWN};
	struct site *site = usual();

	(void)state;
	lookup_driver.ask(site->driver, &site->connection, &question, &answer);
	assert_int_equal(answer.status, LOOKUP_UNKNOWN);
	question.kind = LOOKUP_PASSWORD;
	question.secret = span_of("secret");
	answer.status = LOOKUP_DOWN;
	lookup_driver.ask(site->driver, &site->connection, &question, &answer);
	assert_int_equal(answer.status, LOOKUP_UNKNOWN);
}

static void refused(struct site *site, const char *words)
{
	if (lookup_driver.open(&site->database, &site->sandbox, &site->driver, &site->err) == 0)
		fail_msg("opened, without: %s", words);
	if (!strstr(site->err.text, words))
		fail_msg("\"%s\" is not in \"%s\"", words, site->err.text);
}

static void test_settings(void **state)
{
	(void)state;
	refused(site_of("audience", "mail", NULL), "issuer");
	refused(site_of("issuer", ISSUER, NULL), "audience");
	refused(site_of("issuer", "http://id.example.org", "audience", "a", NULL), "https://");
	refused(site_of("issuer", ISSUER, "audience", "a", "jwks_url", "http://id.example.org/",
			NULL),
		"jwks_url");
	refused(site_of("issuer", ISSUER, "audience", "a", "jwks_url", "file:///etc/passwd", NULL),
		"jwks_url");
	refused(site_of("issuer", ISSUER, "audience", "a", "jwks_url", "https://a:b@c/", NULL),
		"jwks_url");
	refused(site_of("issuer", ISSUER, "audience", "a", "jwks_url", "https://c/", "jwks_file",
			file, NULL),
		"choose one");
	refused(site_of("introspection_url", "https://c/", "jwks_file", file, NULL), "choose one");
	refused(site_of("introspection_url", "http://127.0.0.1/", NULL), "https://");
	refused(site_of("issuer", ISSUER, "audience", "a", "ca_file", "/nonexistent", NULL),
		"ca_file");
	refused(site_of("issuer", ISSUER, "audience", "a", "ca_file", "/etc/passwd", NULL),
		"ca_file");
}

static int introspected(const char *text)
{
	char why[256] = "";
	json_t *json = NULL;
	int rc = introspection_read(span_of(text), &json, why);

	assert_int_equal(rc == 1, json != NULL);
	assert_int_equal(rc < 0, why[0] != '\0');
	json_decref(json);
	return rc;
}

static void test_introspection_read(void **state)
{
	(void)state;
	assert_int_equal(introspected("{\"active\":true,\"username\":\"anna\"}"), 1);
	assert_int_equal(introspected("{\"active\":false}"), 0);
	assert_int_equal(introspected("{\"active\":\"true\"}"), -1);
	assert_int_equal(introspected("{\"active\":1}"), -1);
	assert_int_equal(introspected("{\"active\":false,\"active\":true}"), -1);
	assert_int_equal(introspected("{}"), -1);
	assert_int_equal(introspected("[true]"), -1);
	assert_int_equal(introspected(""), -1);
	assert_int_equal(introspected("<html>"), -1);
}

static void test_introspected_claims(void **state)
{
	struct claims_rules rules = {.issuer = "", .scope = "", .user_claim = "username"};
	struct claims claims;
	const char *why;
	json_t *json = json_pack("{s:b, s:s}", "active", 1, "username", "anna");

	(void)state;
	assert_int_equal(claims_judge(json, &rules, 1000, &claims, &why), CLAIMS_GOOD);
	assert_string_equal(claims.user, "anna");
	assert_int_equal(claims.expires, 0);
	json_object_set_new(json, "iss", json_string("https://else/"));
	assert_int_equal(claims_judge(json, &rules, 1000, &claims, &why), CLAIMS_GOOD);
	rules.issuer = ISSUER;
	assert_int_equal(claims_judge(json, &rules, 1000, &claims, &why), CLAIMS_OTHER);
	json_object_set_new(json, "iss", json_string(ISSUER));
	json_object_set_new(json, "exp", json_integer(900));
	assert_int_equal(claims_judge(json, &rules, 1000, &claims, &why), CLAIMS_WRONG);
	json_decref(json);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_algorithms),
		cmocka_unit_test(test_expiry_given_back),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_forged),
		cmocka_unit_test(test_threat_98_unsigned),
		cmocka_unit_test(test_threat_98_keys_of_the_token),
		cmocka_unit_test(test_headers),
		cmocka_unit_test(test_threat_99_issuer_and_audience),
		cmocka_unit_test(test_threat_99_dates),
		cmocka_unit_test(test_threat_99_scope_and_user),
		cmocka_unit_test(test_threat_99_claims_twice),
		cmocka_unit_test(
			test_threat_98_algorithm_confusion), /* from here on with other keys */
		cmocka_unit_test(test_sets),
		cmocka_unit_test(test_keys_for_others),
		cmocka_unit_test(test_keys_missing),
		cmocka_unit_test(test_rotation),
		cmocka_unit_test(test_keys_lost),
		cmocka_unit_test(test_other_questions),
		cmocka_unit_test(test_settings),
		cmocka_unit_test(test_introspection_read),
		cmocka_unit_test(test_introspected_claims),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
