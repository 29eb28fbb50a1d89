/* See signature.h. */
#include "lookup/oauth/signature.h"

#include "base/text.h"

#include <jose/b64.h>
#include <jose/jws.h>
#include <openssl/evp.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum {
	RSA_MIN = 256, /* octets of the modulus */
	RSA_MAX = 1024,
	EXPONENT_MAX = 8,
	ED25519_KEY = 32,
	ED25519_SIGNATURE = 64,
	TRIES_MAX = 8, /* keys tried for one token */
};

static const struct algorithm {
	const char *name, *type, *curve;
} algorithms[] = {
	{"RS256", "RSA", NULL},      {"RS384", "RSA", NULL},   {"RS512", "RSA", NULL},
	{"PS256", "RSA", NULL},      {"PS384", "RSA", NULL},   {"PS512", "RSA", NULL},
	{"ES256", "EC", "P-256"},    {"ES384", "EC", "P-384"}, {"ES512", "EC", "P-521"},
	{"EdDSA", "OKP", "Ed25519"},
};

struct key {
	json_t *jwk; /* public members that a key of its type has, and no others */
	char *kid;   /* NULL: none */
	char *name;  /* of the only algorithm that it is for; NULL: any of its type */
};

struct key_set {
	atomic_uint holds;
	size_t count;
	struct key keys[KEY_SET_MAX];
};

static const char *text_of(const json_t *object, const char *name)
{
	return json_string_value(json_object_get(object, name));
}

static bool same(const char *a, const char *b)
{
	return a && b && strcmp(a, b) == 0;
}

/* Octets of a member in base64url; 0: it is none. */
static size_t size_of(const json_t *object, const char *name)
{
	size_t size = json_is_string(json_object_get(object, name))
			      ? jose_b64_dec(json_object_get(object, name), NULL, 0)
			      : 0;

	return size == SIZE_MAX ? 0 : size;
}

static bool is_for_signatures(const json_t *jwk)
{
	const json_t *use = json_object_get(jwk, "use"), *uses = json_object_get(jwk, "key_ops");
	bool verifies = !uses;

	for (size_t i = 0; i < json_array_size(uses); i++)
		if (same(json_string_value(json_array_get(uses, i)), "verify"))
			verifies = true;
	return verifies && (!use || same(json_string_value(use), "sig"));
}

/* A copy with what belongs to a public key of its type. NULL: it is of no use. */
static json_t *copy_public(const json_t *jwk)
{
	const char *type = text_of(jwk, "kty"), *curve = text_of(jwk, "crv");
	size_t modulus = size_of(jwk, "n"), exponent = size_of(jwk, "e");

	if (same(type, "RSA") && modulus >= RSA_MIN && modulus <= RSA_MAX && exponent > 0 &&
	    exponent <= EXPONENT_MAX)
		return json_pack("{s:s, s:s, s:s}", "kty", "RSA", "n", text_of(jwk, "n"), "e",
				 text_of(jwk, "e"));
	if (same(type, "EC") && curve && size_of(jwk, "x") && size_of(jwk, "y"))
		return json_pack("{s:s, s:s, s:s, s:s}", "kty", "EC", "crv", curve, "x",
				 text_of(jwk, "x"), "y", text_of(jwk, "y"));
	if (same(type, "OKP") && same(curve, "Ed25519") && size_of(jwk, "x") == ED25519_KEY)
		return json_pack("{s:s, s:s, s:s}", "kty", "OKP", "crv", curve, "x",
				 text_of(jwk, "x"));
	return NULL;
}

static int add_key(struct key_set *set, const json_t *jwk)
{
	const char *kid = text_of(jwk, "kid"), *name = text_of(jwk, "alg");
	struct key *key = &set->keys[set->count];

	if (!json_is_object(jwk) || !is_for_signatures(jwk))
		return 0;
	key->jwk = copy_public(jwk);
	if (!key->jwk)
		return 0;
	set->count++;
	key->kid = kid ? strdup(kid) : NULL;
	key->name = name ? strdup(name) : NULL;
	return (kid && !key->kid) || (name && !key->name) ? -1 : 0;
}

struct key_set *key_set_read(pop3_span text, const char **ret_why)
{
	json_t *json =
		json_loadb(text.data ? text.data : "", text.size, JSON_REJECT_DUPLICATES, NULL);
	const json_t *all = json_object_get(json, "keys");
	struct key_set *set = calloc(1, sizeof(*set));

	*ret_why = NULL;
	if (!json_is_array(all))
		*ret_why = "it is no set of keys (JWKS)";
	else if (json_array_size(all) > KEY_SET_MAX)
		*ret_why = "it has more than 64 keys";
	else if (!set)
		*ret_why = "out of memory";
	for (size_t i = 0; !*ret_why && i < json_array_size(all); i++)
		if (add_key(set, json_array_get(all, i)) < 0)
			*ret_why = "out of memory";
	if (!*ret_why && set->count == 0)
		*ret_why = "it has no public key for signatures that is known and strong enough";
	json_decref(json);
	if (set)
		atomic_init(&set->holds, 1);
	if (*ret_why) {
		key_set_release(set);
		return NULL;
	}
	return set;
}

struct key_set *key_set_hold(struct key_set *set)
{
	atomic_fetch_add(&set->holds, 1);
	return set;
}

void key_set_release(struct key_set *set)
{
	if (!set || atomic_fetch_sub(&set->holds, 1) != 1)
		return;
	for (size_t i = 0; i < set->count; i++) {
		json_decref(set->keys[i].jwk);
		free(set->keys[i].kid);
		free(set->keys[i].name);
	}
	free(set);
}

/* ---- verifying ---- */

static const struct algorithm *find_algorithm(const char *name)
{
	for (size_t i = 0; i < sizeof(algorithms) / sizeof(algorithms[0]); i++)
		if (strcmp(algorithms[i].name, name) == 0)
			return &algorithms[i];
	return NULL;
}

static bool key_fits(const struct key *key, const struct algorithm *algorithm)
{
	return same(text_of(key->jwk, "kty"), algorithm->type) &&
	       (!algorithm->curve || same(text_of(key->jwk, "crv"), algorithm->curve)) &&
	       (!key->name || same(key->name, algorithm->name));
}

static bool verify_ed25519(const json_t *jwk, const struct jwt *jwt)
{
	unsigned char raw[ED25519_KEY], signature[ED25519_SIGNATURE];
	const unsigned char *text = (const unsigned char *)jwt->head.data;
	EVP_PKEY *key = NULL;
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	bool good = false;

	if (jose_b64_dec(json_object_get(jwk, "x"), raw, sizeof(raw)) != sizeof(raw) ||
	    jose_b64_dec_buf(jwt->signature.data, jwt->signature.size, NULL, 0) !=
		    sizeof(signature) ||
	    jose_b64_dec_buf(jwt->signature.data, jwt->signature.size, signature,
			     sizeof(signature)) != sizeof(signature))
		goto out;
	key = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, raw, sizeof(raw));
	/* head and body stand in the token with a dot between them, as they were signed */
	good = key && context && EVP_DigestVerifyInit(context, NULL, NULL, NULL, key) == 1 &&
	       EVP_DigestVerify(context, signature, sizeof(signature), text,
				jwt->head.size + 1 + jwt->body.size) == 1;
out:
	EVP_MD_CTX_free(context);
	EVP_PKEY_free(key);
	return good;
}

static void silence(void *misc, const char *file, int line, uint64_t error, const char *format,
		    va_list ap)
{
	(void)misc;
	(void)file;
	(void)line;
	(void)error;
	(void)format;
	(void)ap;
}

static bool verify_by_jose(const json_t *jwk, const struct jwt *jwt)
{
	jose_cfg_t *context = jose_cfg();
	json_t *jws = json_pack("{s:s%, s:s%, s:s%}", "protected", jwt->head.data, jwt->head.size,
				"payload", jwt->body.data, jwt->body.size, "signature",
				jwt->signature.data, jwt->signature.size);
	bool good = false;

	if (context)
		jose_cfg_set_err_func(context, silence, NULL);
	if (context && jws)
		good = jose_jws_ver(context, jws, NULL, jwk, false);
	json_decref(jws);
	jose_cfg_decref(context);
	return good;
}

enum signature signature_verify(const struct key_set *set, const struct jwt *jwt)
{
	const struct algorithm *algorithm = find_algorithm(jwt->algorithm);
	enum signature result = SIGNATURE_NO_KEY;
	unsigned tries = 0;

	if (!algorithm)
		return SIGNATURE_ALGORITHM;
	for (size_t i = 0; i < set->count && tries < TRIES_MAX; i++) {
		const struct key *key = &set->keys[i];
		bool good;

		if (jwt->kid && !same(key->kid, jwt->kid))
			continue;
		if (!key_fits(key, algorithm)) {
			if (result == SIGNATURE_NO_KEY && jwt->kid)
				result = SIGNATURE_ALGORITHM;
			continue;
		}
		tries++;
		good = algorithm->curve && strcmp(algorithm->curve, "Ed25519") == 0
			       ? verify_ed25519(key->jwk, jwt)
			       : verify_by_jose(key->jwk, jwt);
		if (good)
			return SIGNATURE_GOOD;
		result = SIGNATURE_WRONG;
	}
	return result;
}
