/* See tls_certificate.h. In `valija init`, with the rights of its caller. */
#include "sys/tls_certificate.h"

#include "base/digest.h"
#include "base/text.h"
#include "sys/tls_error.h"

#include <errno.h>
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#define TEN_YEARS (3653l * 24 * 3600)

static int add_extension(X509 *certificate, int nid, const char *value)
{
	X509V3_CTX context;
	X509_EXTENSION *extension;
	int status;

	X509V3_set_ctx_nodb(&context);
	X509V3_set_ctx(&context, certificate, certificate, NULL, NULL, 0);
	extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
	if (!extension)
		return -1;
	status = X509_add_ext(certificate, extension, -1) == 1 ? 0 : -1;
	X509_EXTENSION_free(extension);
	return status;
}

/* 127 random bits, positive and not zero (RFC 5280 section 4.1.2.2). */
static int set_serial(X509 *certificate)
{
	unsigned char raw[16];
	BIGNUM *number = NULL;
	int status = -1;

	if (RAND_bytes(raw, sizeof(raw)) != 1)
		return -1;
	raw[0] = (unsigned char)((raw[0] & 0x7f) | 0x40);
	number = BN_bin2bn(raw, sizeof(raw), NULL);
	if (number && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate)))
		status = 0;
	BN_free(number);
	return status;
}

static int set_name(X509 *certificate, const char *host_name)
{
	X509_NAME *name = X509_get_subject_name(certificate);
	char common[65]; /* ub-common-name; the names that count are the alternative ones */

	snprintf(common, sizeof(common), "%.64s", host_name);
	if (X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)common, -1,
				       -1, 0) != 1)
		return -1;
	return X509_set_issuer_name(certificate, name) == 1 ? 0 : -1;
}

static X509 *sign(EVP_PKEY *key, const char *host_name)
{
	X509 *certificate = X509_new();
	char names[400];

	snprintf(names, sizeof(names), "DNS:localhost%s%s,IP:127.0.0.1,IP:::1",
		 strcmp(host_name, "localhost") == 0 ? "" : ",DNS:",
		 strcmp(host_name, "localhost") == 0 ? "" : host_name);
	if (certificate && X509_set_version(certificate, X509_VERSION_3) == 1 &&
	    set_serial(certificate) == 0 && set_name(certificate, host_name) == 0 &&
	    /* a little back: clocks differ */
	    X509_gmtime_adj(X509_getm_notBefore(certificate), -3600) &&
	    X509_gmtime_adj(X509_getm_notAfter(certificate), TEN_YEARS) &&
	    X509_set_pubkey(certificate, key) == 1 &&
	    add_extension(certificate, NID_basic_constraints, "critical,CA:FALSE") == 0 &&
	    add_extension(certificate, NID_key_usage, "critical,digitalSignature") == 0 &&
	    add_extension(certificate, NID_ext_key_usage, "serverAuth") == 0 &&
	    add_extension(certificate, NID_subject_key_identifier, "hash") == 0 &&
	    add_extension(certificate, NID_subject_alt_name, names) == 0 &&
	    X509_sign(certificate, key, EVP_sha256()) > 0)
		return certificate;
	X509_free(certificate);
	return NULL;
}

int tls_certificate_make(const char *host_name, int certificate_fd, int key_fd, struct err *err)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *certificate = key ? sign(key, host_name) : NULL;
	BIO *certificate_out = BIO_new_fd(certificate_fd, BIO_NOCLOSE);
	BIO *key_out = BIO_new_fd(key_fd, BIO_NOCLOSE);
	int status = -1;

	if (!certificate || !certificate_out || !key_out)
		err_set(err, EX_SOFTWARE, "the certificate could not be made: %s",
			tls_error_text());
	else if (PEM_write_bio_PKCS8PrivateKey(key_out, key, NULL, NULL, 0, NULL, NULL) != 1 ||
		 PEM_write_bio_X509(certificate_out, certificate) != 1)
		err_set(err, EX_IOERR, "the certificate could not be written");
	else
		status = 0;
	BIO_free(certificate_out);
	BIO_free(key_out);
	X509_free(certificate);
	EVP_PKEY_free(key);
	return status;
}

static X509 *read_first(const char *file, struct err *err)
{
	FILE *in = fopen(file, "re");
	X509 *certificate;

	if (!in) {
		err_sys(err, EX_NOINPUT, errno, "%s", file);
		return NULL;
	}
	certificate = PEM_read_X509(in, NULL, NULL, NULL);
	fclose(in);
	if (!certificate)
		err_set(err, EX_DATAERR, "%s: no certificate in PEM form (%s)", file,
			tls_error_text());
	return certificate;
}

/* A certificate's names may hold any octets: only octets of host names are taken. */
static bool is_host(pop3_span name)
{
	static const char octets[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.*";

	for (size_t i = 0; i < name.size; i++)
		if (!name.data[i] || !strchr(octets, name.data[i]))
			return false;
	return name.size > 0;
}

int tls_certificate_names(const char *file, char *buf, size_t size, struct err *err)
{
	X509 *certificate = read_first(file, err);
	GENERAL_NAMES *names;
	size_t used = 0;

	if (!certificate)
		return -1;
	buf[0] = '\0';
	names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
	for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
		const GENERAL_NAME *of = sk_GENERAL_NAME_value(names, i);
		pop3_span name = {NULL, 0};

		if (of->type == GEN_DNS)
			name = (pop3_span){(const char *)ASN1_STRING_get0_data(of->d.dNSName),
					   (size_t)ASN1_STRING_length(of->d.dNSName)};
		if (is_host(name) && size - used > name.size + 1)
			used += (size_t)snprintf(buf + used, size - used, "%s%.*s", used ? " " : "",
						 (int)name.size, name.data);
	}
	GENERAL_NAMES_free(names);
	X509_free(certificate);
	return 0;
}

int tls_certificate_pin(const char *file, char ret[TLS_CERTIFICATE_PIN_SIZE], struct err *err)
{
	static const char kind[] = "sha256//";
	X509 *certificate = read_first(file, err);
	unsigned char *der = NULL, digest[32];
	int n;

	if (!certificate)
		return -1;
	n = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate), &der);
	X509_free(certificate);
	if (n <= 0)
		return err_set(err, EX_DATAERR, "%s: its key cannot be read (%s)", file,
			       tls_error_text());
	digest_of(DIGEST_SHA_256, der, (size_t)n, digest);
	OPENSSL_free(der);
	memcpy(ret, kind, sizeof(kind));
	base64_encode((pop3_span){(const char *)digest, sizeof(digest)}, ret + strlen(kind),
		      TLS_CERTIFICATE_PIN_SIZE - strlen(kind));
	return 0;
}
