/* For tests: certificates made on the spot, and a client that is stepped by hand. */
#ifndef TESTS_TLS_MATERIAL_H
#define TESTS_TLS_MATERIAL_H

#include "sys/tls_keys.h"
#include "sys/tls_server.h"
#include "sys/tls_session.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

struct material {
	char certificate[4096], key[4096];
	struct tls_certificate pem; /* of the above */
};

static inline void material_text(BIO *bio, char *buf, size_t size, pop3_span *ret)
{
	int got = BIO_read(bio, buf, (int)size);

	if (got <= 0)
		abort();
	*ret = (pop3_span){buf, (size_t)got};
	BIO_free(bio);
}

/* kind: "RSA" (2048 bits), "RSA-PSS", "EC" (P-256), a curve's name, "ED25519" or "ED448". */
static inline EVP_PKEY *material_key(const char *kind)
{
	EVP_PKEY *key = NULL;
	EVP_PKEY_CTX *maker;

	if (strcmp(kind, "RSA") == 0)
		return EVP_RSA_gen(2048);
	if (strcmp(kind, "EC") == 0 || strncmp(kind, "P-", 2) == 0)
		return EVP_EC_gen(kind[0] == 'P' ? kind : "P-256");
	maker = EVP_PKEY_CTX_new_from_name(NULL, kind, NULL);
	if (!maker || EVP_PKEY_keygen_init(maker) != 1 || EVP_PKEY_generate(maker, &key) != 1)
		abort();
	EVP_PKEY_CTX_free(maker);
	return key;
}

/* names: "DNS:a,DNS:*.b"; NULL: none, only the common name. md: "SHA256" …; NULL: the key's own */
static inline void material_make(struct material *material, const char *kind, const char *names,
				 const char *md)
{
	EVP_PKEY *key = material_key(kind);
	X509 *leaf = X509_new();
	BIO *bio = BIO_new(BIO_s_mem());
	X509V3_CTX context;
	X509_EXTENSION *extension;

	ASN1_INTEGER_set(X509_get_serialNumber(leaf), 1);
	X509_set_version(leaf, 2);
	X509_gmtime_adj(X509_getm_notBefore(leaf), -60);
	X509_gmtime_adj(X509_getm_notAfter(leaf), 3600);
	X509_set_pubkey(leaf, key);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(leaf), "CN", MBSTRING_ASC,
				   (const unsigned char *)"common.example", -1, -1, 0);
	X509_set_issuer_name(leaf, X509_get_subject_name(leaf));
	if (names) {
		X509V3_set_ctx(&context, leaf, leaf, NULL, NULL, 0);
		extension = X509V3_EXT_conf_nid(NULL, &context, NID_subject_alt_name, names);
		X509_add_ext(leaf, extension, -1);
		X509_EXTENSION_free(extension);
	}
	if (!X509_sign(leaf, key, md ? EVP_get_digestbyname(md) : NULL))
		abort();
	PEM_write_bio_X509(bio, leaf);
	material_text(bio, material->certificate, sizeof(material->certificate),
		      &material->pem.certificate);
	bio = BIO_new(BIO_s_mem());
	PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL);
	material_text(bio, material->key, sizeof(material->key), &material->pem.key);
	material->pem.name = "test.pem";
	X509_free(leaf);
	EVP_PKEY_free(key);
}

/* A step of the handshake, and its signature. */
static inline enum tls_status material_step(struct tls_session *session, struct tls_keys *keys)
{
	unsigned char signature[TLS_SIGNATURE_MAX];
	enum tls_status status = tls_session_handshake(session);
	unsigned size;

	if (status != TLS_WANT_SIGNATURE)
		return status;
	if (tls_keys_sign(keys, tls_session_to_sign(session), signature, &size) != TLS_KEYS_SIGNED)
		size = 0;
	return tls_session_signed(session, (const char *)signature, size);
}

/* A client's end on a non-blocking descriptor. */
static inline SSL *material_client(SSL_CTX *context, int fd, const char *name)
{
	SSL *ssl = SSL_new(context);

	SSL_set_fd(ssl, fd);
	SSL_set_connect_state(ssl);
	if (name)
		SSL_set_tlsext_host_name(ssl, name);
	return ssl;
}

#endif
