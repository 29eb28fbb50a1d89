/* See seal.h. */
#include "base/seal.h"

#include "base/digest.h"
#include "base/random.h"
#include "base/text.h"

#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

enum { BITS = 3072, SEALED = BITS / 8, MAC = 32, MAC_TEXT = 44, WHOLE = SEALED + MAC };

_Static_assert(SEAL_TEXT_SIZE == (WHOLE + 2) / 3 * 4, "the size in base64");
_Static_assert(SEAL_PASSWORD_MAX == SEALED - 2 * 32 - 2, "RFC 8017 section 7.1.1");

#define BEGIN "mac = "

struct seal_key {
	EVP_PKEY *pair;
	unsigned char mac[MAC];
};

/* ---- keys as texts ---- */

static int write_key(BIO *bio, const char *mac, EVP_PKEY *pair, bool opens,
		     char text[SEAL_FILE_MAX])
{
	char *octets;
	long size;

	if (BIO_printf(bio, BEGIN "%s\n", mac) <= 0 ||
	    (opens ? PEM_write_bio_PrivateKey(bio, pair, NULL, NULL, 0, NULL, NULL)
		   : PEM_write_bio_PUBKEY(bio, pair)) != 1)
		return -1;
	size = BIO_get_mem_data(bio, &octets);
	if (size <= 0 || size >= SEAL_FILE_MAX)
		return -1;
	memcpy(text, octets, (size_t)size);
	text[size] = '\0';
	wipe(octets, (size_t)size);
	return 0;
}

static int print_key(const char *mac, EVP_PKEY *pair, bool opens, char text[SEAL_FILE_MAX])
{
	BIO *bio = BIO_new(BIO_s_mem());
	int rc = bio ? write_key(bio, mac, pair, opens, text) : -1;

	BIO_free(bio);
	return rc;
}

int seal_make(char opens[SEAL_FILE_MAX], char seals[SEAL_FILE_MAX], struct err *err)
{
	EVP_PKEY *pair = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)BITS);
	unsigned char octets[MAC];
	char mac[MAC_TEXT + 1];
	int rc = -1;

	if (pair && random_octets(octets, sizeof(octets)) == 0 &&
	    base64_encode((pop3_span){(const char *)octets, MAC}, mac, sizeof(mac)) == MAC_TEXT &&
	    print_key(mac, pair, true, opens) == 0 && print_key(mac, pair, false, seals) == 0)
		rc = 0;
	EVP_PKEY_free(pair);
	wipe(octets, sizeof(octets));
	wipe(mac, sizeof(mac));
	return rc == 0 ? 0 : err_set(err, EX_OSERR, "no key could be made");
}

/* A key that is itself locked by a password is none of ours: nobody is asked. */
static int no_password(char *buf, int size, int rwflag, void *context)
{
	(void)buf;
	(void)size;
	(void)rwflag;
	(void)context;
	return -1;
}

static EVP_PKEY *read_pair(pop3_span text, bool opens)
{
	BIO *bio = text.size && text.size < SEAL_FILE_MAX
			   ? BIO_new_mem_buf(text.data, (int)text.size)
			   : NULL;
	EVP_PKEY *pair = NULL;

	if (bio)
		pair = opens ? PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL)
			     : PEM_read_bio_PUBKEY(bio, NULL, no_password, NULL);
	BIO_free(bio);
	if (pair && EVP_PKEY_is_a(pair, "RSA") && EVP_PKEY_get_bits(pair) == BITS)
		return pair;
	EVP_PKEY_free(pair);
	return NULL;
}

int seal_key_read(pop3_span text, bool opens, struct seal_key **ret, struct err *err)
{
	struct seal_key *key = calloc(1, sizeof(*key));
	pop3_span rest = text, mac;
	char octets[MAC + 1];

	if (!key)
		return err_set(err, EX_OSERR, "out of memory");
	if (span_take_prefix(&rest, SPAN_LITERAL(BEGIN))) {
		mac = span_take_until(&rest, '\n');
		if (base64_decode(mac, octets, sizeof(octets)) == MAC) {
			memcpy(key->mac, octets, MAC);
			key->pair = read_pair(rest, opens);
		}
		wipe(octets, sizeof(octets));
	}
	if (!key->pair) {
		seal_key_free(key);
		return err_set(err, EX_DATAERR,
			       "no key of valija migrate --make-key, or the %s half of one",
			       opens ? "sealing" : "private");
	}
	*ret = key;
	return 0;
}

void seal_key_free(struct seal_key *key)
{
	if (!key)
		return;
	EVP_PKEY_free(key->pair);
	wipe(key, sizeof(*key));
	free(key);
}

/* ---- seals ---- */

static void authenticate(const struct seal_key *key, pop3_span label, const unsigned char *sealed,
			 unsigned char ret[MAC])
{
	struct hmac hmac;

	hmac_init(&hmac, DIGEST_SHA_256, key->mac, MAC);
	hmac_add(&hmac, sealed, SEALED); /* always so many: the label is what follows */
	hmac_add(&hmac, label.data, label.size);
	hmac_finish(&hmac, ret);
}

static EVP_PKEY_CTX *begin(const struct seal_key *key, pop3_span label, bool opens)
{
	char pad[] = OSSL_PKEY_RSA_PAD_MODE_OAEP, digest[] = "SHA256";
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_ASYM_CIPHER_PARAM_PAD_MODE, pad, 0),
		OSSL_PARAM_construct_utf8_string(OSSL_ASYM_CIPHER_PARAM_OAEP_DIGEST, digest, 0),
		OSSL_PARAM_construct_utf8_string(OSSL_ASYM_CIPHER_PARAM_MGF1_DIGEST, digest, 0),
		OSSL_PARAM_construct_octet_string(OSSL_ASYM_CIPHER_PARAM_OAEP_LABEL,
						  (void *)(uintptr_t)label.data, label.size),
		OSSL_PARAM_END};
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key->pair, NULL);

	if (ctx && (opens ? EVP_PKEY_decrypt_init_ex(ctx, params)
			  : EVP_PKEY_encrypt_init_ex(ctx, params)) > 0)
		return ctx;
	EVP_PKEY_CTX_free(ctx);
	return NULL;
}

int seal_password(const struct seal_key *key, pop3_span label, pop3_span password,
		  char text[SEAL_TEXT_SIZE + 1])
{
	unsigned char whole[WHOLE];
	size_t size = SEALED;
	EVP_PKEY_CTX *ctx;
	int rc = -1;

	if (!label.size || !password.size || password.size > SEAL_PASSWORD_MAX)
		return -1;
	ctx = begin(key, label, false);
	if (ctx && EVP_PKEY_encrypt(ctx, whole, &size, (const unsigned char *)password.data,
				    password.size) > 0) {
		authenticate(key, label, whole, whole + SEALED);
		rc = base64_encode((pop3_span){(const char *)whole, WHOLE}, text,
				   SEAL_TEXT_SIZE + 1);
	}
	EVP_PKEY_CTX_free(ctx);
	return rc == SEAL_TEXT_SIZE ? 0 : -1;
}

int seal_open(const struct seal_key *key, pop3_span label, pop3_span text, struct secret *ret)
{
	char octets[WHOLE + 1], expected[MAC], opened[SEALED];
	const unsigned char *whole = (const unsigned char *)octets;
	size_t size = sizeof(opened);
	EVP_PKEY_CTX *ctx = NULL;
	int rc = -1;

	if (!label.size || text.size != SEAL_TEXT_SIZE ||
	    base64_decode(text, octets, sizeof(octets)) != WHOLE)
		return -1;
	authenticate(key, label, whole, (unsigned char *)expected);
	if (secret_equal((pop3_span){expected, MAC}, (pop3_span){octets + SEALED, MAC}))
		ctx = begin(key, label, true);
	if (ctx && EVP_PKEY_decrypt(ctx, (unsigned char *)opened, &size, whole, SEALED) > 0 && size)
		rc = secret_set(ret, (pop3_span){opened, size});
	EVP_PKEY_CTX_free(ctx);
	wipe(opened, sizeof(opened));
	return rc;
}
