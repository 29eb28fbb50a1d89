/* See tls_pem.h. Fronts, keys and `valijad -t`, before the sandbox. */
#include "sys/tls_pem.h"

#include "sys/tls_error.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <sysexits.h>

static int no_passphrase(char *buf, int size, int writing, void *arg)
{
	(void)buf;
	(void)size;
	(void)writing;
	(void)arg;
	return 0;
}

X509 *tls_pem_leaf(const struct tls_certificate *from, STACK_OF(X509) * chain, struct err *err)
{
	BIO *bio = BIO_new_mem_buf(from->certificate.data, (int)from->certificate.size);
	X509 *leaf = bio ? PEM_read_bio_X509(bio, NULL, no_passphrase, NULL) : NULL, *next;

	if (!leaf)
		err_set(err, EX_CONFIG, "%s: no certificate in PEM form (%s)", from->name,
			tls_error_text());
	while (leaf && chain &&
	       (next = PEM_read_bio_X509(bio, NULL, no_passphrase, NULL)) != NULL) {
		if (sk_X509_push(chain, next))
			continue;
		X509_free(next);
		X509_free(leaf);
		leaf = NULL;
		err_set(err, EX_OSERR, "out of memory");
	}
	BIO_free(bio);
	ERR_clear_error();
	return leaf;
}

EVP_PKEY *tls_pem_key(const struct tls_certificate *from, struct err *err)
{
	BIO *bio = BIO_new_mem_buf(from->key.data, (int)from->key.size);
	EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL) : NULL;

	if (!key)
		err_set(err, EX_CONFIG, "%s: its key is not in PEM form, or is encrypted (%s)",
			from->name, tls_error_text());
	BIO_free(bio);
	ERR_clear_error();
	return key;
}
