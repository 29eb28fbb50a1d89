/*
 * See tls_keys.h. A context for each key and scheme is made at its first use and kept: to make one
 * costs as much as half a signature with P-256.
 */
#include "sys/tls_keys.h"

#include "base/secret.h"
#include "sys/tls_error.h"
#include "sys/tls_pem.h"
#include "sys/tls_scheme.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

enum {
	SECURE_HEAP = 1 << 20, /* octets for numbers of private keys */
	SECURE_LEAST = 32,
	DIGESTS = 5, /* SHA-256, SHA-384, SHA-512, SHA-1, MD5 and SHA-1 */
	PADDINGS = 2,
	RANDOM_SIZE = 32, /* of a client, of a server */
};

struct private_key {
	EVP_PKEY *pkey;
	uint8_t kind;
	EVP_PKEY_CTX *contexts[PADDINGS][DIGESTS]; /* NULL: not used yet */
};

struct tls_keys {
	bool old; /* MD5 and SHA-1 are allowed */
	EVP_MD *digests[DIGESTS];
	unsigned count;
	struct private_key keys[];
};

/* ---- what may be signed ---- */

/* CertificateVerify of TLS 1.3, RFC 8446 section 4.4.3: padding, context, the transcript's hash. */
static bool is_certificate_verify(const unsigned char *content, unsigned size)
{
	static const char context[] = "TLS 1.3, server CertificateVerify"; /* and its NUL */
	const unsigned head = 64 + sizeof(context);

	if (size != head + 32 && size != head + 48)
		return false;
	for (unsigned i = 0; i < 64; i++)
		if (content[i] != ' ')
			return false;
	return memcmp(content + 64, context, sizeof(context)) == 0;
}

/* ServerKeyExchange of TLS 1.2, RFC 8422 section 5.4: both random numbers, then the parameters of
 * a named curve (secp256r1 or x25519) with its point. */
static bool is_key_exchange(const unsigned char *content, unsigned size)
{
	const unsigned char *params = content + 2 * RANDOM_SIZE;

	if (size < 2 * RANDOM_SIZE + 4 || params[0] != 3 || params[1] != 0)
		return false;
	if (params[2] == 29)
		return params[3] == 32 && size == 2 * RANDOM_SIZE + 4 + 32;
	return params[2] == 23 && params[3] == 65 && size == 2 * RANDOM_SIZE + 4 + 65;
}

/* ---- signing ---- */

static EVP_PKEY_CTX *make_context(const struct private_key *key, const struct tls_scheme *scheme,
				  const EVP_MD *digest)
{
	EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_pkey(NULL, key->pkey, NULL);
	bool rsa = key->kind != TLS_ECDSA;

	if (context && EVP_PKEY_sign_init(context) == 1 &&
	    (!rsa || EVP_PKEY_CTX_set_rsa_padding(context, scheme->pss ? RSA_PKCS1_PSS_PADDING
								       : RSA_PKCS1_PADDING) == 1) &&
	    EVP_PKEY_CTX_set_signature_md(context, digest) == 1 &&
	    (!scheme->pss ||
	     EVP_PKEY_CTX_set_rsa_pss_saltlen(context, RSA_PSS_SALTLEN_DIGEST) == 1))
		return context;
	EVP_PKEY_CTX_free(context);
	return NULL;
}

static unsigned place_of(const struct tls_scheme *scheme)
{
	switch (scheme->bits) {
	case TLS_BITS_SHA1:
		return 3;
	case TLS_BITS_MD5_SHA1:
		return 4;
	default:
		return scheme->bits / 128u - 2; /* 256, 384, 512 */
	}
}

static int sign_digest(struct tls_keys *keys, struct private_key *key,
		       const struct tls_scheme *scheme, const struct tls_to_sign *request,
		       unsigned char *signature, size_t *size)
{
	unsigned place = place_of(scheme), digest_size;
	unsigned char digest[EVP_MAX_MD_SIZE];
	EVP_PKEY_CTX **context;

	context = &key->contexts[scheme->pss][place];
	if (!*context)
		*context = make_context(key, scheme, keys->digests[place]);
	if (!*context || !EVP_Digest(request->content, request->size, digest, &digest_size,
				     keys->digests[place], NULL))
		return 0;
	return EVP_PKEY_sign(*context, signature, size, digest, digest_size);
}

/* Ed25519, Ed448 */
static int sign_whole(struct private_key *key, const struct tls_to_sign *request,
		      unsigned char *signature, size_t *size)
{
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	int good = context && EVP_DigestSignInit(context, NULL, NULL, NULL, key->pkey) == 1 &&
		   EVP_DigestSign(context, signature, size, request->content, request->size) == 1;

	EVP_MD_CTX_free(context);
	return good;
}

/* TLS 1.0 and 1.1 sign key exchanges only. */
static bool may_sign(const struct tls_keys *keys, const struct tls_scheme *scheme,
		     const struct tls_to_sign *request)
{
	if (request->size > sizeof(request->content))
		return false;
	if (is_key_exchange(request->content, request->size))
		return keys->old || !tls_scheme_is_old(scheme);
	return !tls_scheme_is_old(scheme) && is_certificate_verify(request->content, request->size);
}

void tls_keys_allow_old(struct tls_keys *keys)
{
	keys->old = true;
}

enum tls_keys_answer tls_keys_sign(struct tls_keys *keys, const struct tls_to_sign *request,
				   unsigned char *signature, unsigned *ret_size)
{
	const struct tls_scheme *scheme = tls_scheme(request->scheme);
	size_t size = TLS_SIGNATURE_MAX;
	struct private_key *key;
	int good;

	if (request->key >= keys->count || !scheme || !may_sign(keys, scheme, request))
		return TLS_KEYS_MISUSED;
	key = &keys->keys[request->key];
	if (key->kind != scheme->kind)
		return TLS_KEYS_FAILED;
	good = scheme->bits ? sign_digest(keys, key, scheme, request, signature, &size)
			    : sign_whole(key, request, signature, &size);
	ERR_clear_error();
	if (good != 1)
		return TLS_KEYS_FAILED;
	*ret_size = (unsigned)size;
	return TLS_KEYS_SIGNED;
}

/* ---- life ---- */

static int kind_of(const EVP_PKEY *pkey)
{
	switch (EVP_PKEY_get_base_id(pkey)) {
	case EVP_PKEY_RSA:
		return TLS_RSA;
	case EVP_PKEY_RSA_PSS:
		return TLS_RSA_PSS;
	case EVP_PKEY_EC:
		return TLS_ECDSA;
	case EVP_PKEY_ED25519:
		return TLS_ED25519;
	case EVP_PKEY_ED448:
		return TLS_ED448;
	default:
		return -1;
	}
}

static int take_key(const struct tls_certificate *from, struct private_key *ret, struct err *err)
{
	X509 *leaf = tls_pem_leaf(from, NULL, err);
	int kind = -1;

	if (!leaf)
		return -1;
	ret->pkey = tls_pem_key(from, err);
	if (!ret->pkey)
		goto out;
	if (X509_check_private_key(leaf, ret->pkey) != 1) {
		err_set(err, EX_CONFIG, "%s: the key does not belong to the certificate",
			from->name);
		goto out;
	}
	kind = kind_of(ret->pkey);
	if (kind < 0 || EVP_PKEY_get_size(ret->pkey) > TLS_SIGNATURE_MAX) {
		kind = -1;
		err_set(err, EX_CONFIG,
			"%s: its key is of a kind that is not served; use ECDSA (P-256), RSA up to "
			"8192 bits or Ed25519",
			from->name);
	}
	ret->kind = (uint8_t)kind;
out:
	X509_free(leaf);
	ERR_clear_error();
	return kind < 0 ? -1 : 0;
}

int tls_keys_create(const struct tls_certificate *certificates, unsigned count,
		    struct tls_keys **ret, struct err *err)
{
	static const char *const digests[DIGESTS] = {"SHA256", "SHA384", "SHA512", "SHA1",
						     "MD5-SHA1"};
	struct tls_keys *keys = calloc(1, sizeof(*keys) + count * sizeof(keys->keys[0]));

	if (!keys)
		return err_set(err, EX_OSERR, "out of memory");
	/* without the right to lock memory the pages are still kept out of dumps */
	if (!CRYPTO_secure_malloc_initialized())
		CRYPTO_secure_malloc_init(SECURE_HEAP, SECURE_LEAST);
	for (unsigned i = 0; i < DIGESTS; i++) {
		keys->digests[i] = EVP_MD_fetch(NULL, digests[i], NULL);
		if (!keys->digests[i]) {
			err_set(err, EX_OSERR, "cannot set up TLS (%s)", tls_error_text());
			goto fail;
		}
	}
	for (; keys->count < count; keys->count++)
		if (take_key(&certificates[keys->count], &keys->keys[keys->count], err) < 0)
			goto fail_key;
	*ret = keys;
	return 0;
fail_key:
	EVP_PKEY_free(keys->keys[keys->count].pkey);
fail:
	ERR_clear_error();
	tls_keys_destroy(keys);
	return -1;
}

void tls_keys_destroy(struct tls_keys *keys)
{
	if (!keys)
		return;
	for (unsigned i = 0; i < keys->count; i++) {
		for (unsigned j = 0; j < PADDINGS * DIGESTS; j++)
			EVP_PKEY_CTX_free(keys->keys[i].contexts[j / DIGESTS][j % DIGESTS]);
		EVP_PKEY_free(keys->keys[i].pkey);
	}
	for (unsigned i = 0; i < DIGESTS; i++)
		EVP_MD_free(keys->digests[i]);
	free(keys);
}
