/*
 * tls_trust_warm (tls_trust.h): a client and a server in memory, with a certificate made for it,
 * shake hands twice, the second time resuming the first. What libcrypto looks up for that it keeps
 * for the process and those forked from it: algorithms, decoders, curves. Failures cost speed
 * alone.
 */
#include "sys/tls_trust.h"

#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

struct warm {
	EVP_PKEY *key;
	X509 *certificate;
	SSL_CTX *client, *server;
	SSL_SESSION *session;
};

static X509 *make_certificate(EVP_PKEY *key)
{
	X509 *made = key ? X509_new() : NULL;
	X509_NAME *name = made ? X509_get_subject_name(made) : NULL;

	if (name &&
	    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"localhost",
				       -1, -1, 0) == 1 &&
	    X509_set_issuer_name(made, name) == 1 &&
	    X509_gmtime_adj(X509_getm_notBefore(made), -60) &&
	    X509_gmtime_adj(X509_getm_notAfter(made), 3600) && X509_set_pubkey(made, key) == 1 &&
	    X509_sign(made, key, EVP_sha256()) > 0)
		return made;
	X509_free(made);
	return NULL;
}

static int keep_session(SSL *ssl, SSL_SESSION *session)
{
	struct warm *warm = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));

	SSL_SESSION_free(warm->session);
	warm->session = session;
	return 1;
}

static bool set_up(struct warm *warm)
{
	warm->key = EVP_EC_gen("P-256");
	warm->certificate = make_certificate(warm->key);
	warm->client = SSL_CTX_new(TLS_client_method());
	warm->server = SSL_CTX_new(TLS_server_method());
	if (!warm->certificate || !warm->client || !warm->server ||
	    SSL_CTX_use_certificate(warm->server, warm->certificate) != 1 ||
	    SSL_CTX_use_PrivateKey(warm->server, warm->key) != 1 ||
	    X509_STORE_add_cert(SSL_CTX_get_cert_store(warm->client), warm->certificate) != 1)
		return false;
	SSL_CTX_set_verify(warm->client, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_session_cache_mode(warm->client, SSL_SESS_CACHE_CLIENT);
	SSL_CTX_set_app_data(warm->client, warm);
	SSL_CTX_sess_set_new_cb(warm->client, keep_session);
	return true;
}

/* As octets and back, as it goes from one run to the next. */
static void offer_session(SSL *ssl, SSL_SESSION *session)
{
	unsigned char *octets = NULL;
	const unsigned char *at;
	int n = session ? i2d_SSL_SESSION(session, &octets) : 0;
	SSL_SESSION *again;

	at = octets;
	again = n > 0 ? d2i_SSL_SESSION(NULL, &at, n) : NULL;
	if (again)
		SSL_set_session(ssl, again);
	SSL_SESSION_free(again);
	OPENSSL_free(octets);
}

/* Each side answers the other; the tickets arrive with the octet behind the handshake. */
static void talk(SSL *client, SSL *server)
{
	char octet = 'x';

	for (int i = 0; i < 4; i++) {
		SSL_do_handshake(client);
		SSL_do_handshake(server);
	}
	SSL_write(client, &octet, 1);
	SSL_read(server, &octet, 1);
	SSL_write(server, &octet, 1);
	SSL_read(client, &octet, 1);
}

static void shake_hands(struct warm *warm)
{
	SSL *client = SSL_new(warm->client), *server = SSL_new(warm->server);
	BIO *one = NULL, *other = NULL;

	if (client && server && BIO_new_bio_pair(&one, 0, &other, 0) == 1) {
		SSL_set_bio(client, one, one);
		SSL_set_bio(server, other, other);
		SSL_set_connect_state(client);
		SSL_set_accept_state(server);
		offer_session(client, warm->session);
		talk(client, server);
	}
	SSL_free(client);
	SSL_free(server);
}

void tls_trust_warm(void)
{
	struct warm warm = {0};

	if (set_up(&warm)) {
		shake_hands(&warm);
		shake_hands(&warm);
	}
	SSL_SESSION_free(warm.session);
	SSL_CTX_free(warm.client);
	SSL_CTX_free(warm.server);
	X509_free(warm.certificate);
	EVP_PKEY_free(warm.key);
	ERR_clear_error();
}
