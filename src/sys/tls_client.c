/* See tls_client.h. Runs in `valija fetch`, unprivileged; everything the server sends is hostile.
 */
#include "sys/tls_client.h"

#include "base/digest.h"
#include "base/text.h"
#include "sys/tls_client_internal.h"
#include "sys/tls_error.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

struct tls_client {
	SSL *ssl;
	SSL_SESSION *offered;                /* of the settings; the library spoils what it uses */
	SSL_SESSION *fresh;                  /* the newest that the server lets us resume */
	struct tls_client_settings settings; /* pins only: pointers are not kept */
	char host[256];
	bool pinned_only;
	bool failed;
	bool settled;       /* no session is kept any more */
	bool clear_text;    /* what came is no TLS */
	char key_words[64]; /* of a certificate that was refused: its key's pin, base64 */
};

static int load_own_certificate(SSL *ssl, const struct tls_client_settings *s, struct err *err)
{
	const char *key = s->key_file ? s->key_file : s->cert_file;

	if (!s->cert_file)
		return 0;
	if (SSL_use_certificate_chain_file(ssl, s->cert_file) != 1)
		return err_set(err, EX_CONFIG, "cannot read the client certificate %s: %s",
			       s->cert_file, tls_error_text());
	if (SSL_use_PrivateKey_file(ssl, key, SSL_FILETYPE_PEM) != 1)
		return err_set(err, EX_CONFIG, "cannot read the client's key %s: %s", key,
			       tls_error_text());
	return 0;
}

static int set_name(SSL *ssl, const char *host)
{
	X509_VERIFY_PARAM *param = SSL_get0_param(ssl);

	if (text_is_address(host))
		return X509_VERIFY_PARAM_set1_ip_asc(param, host) == 1 ? 0 : -1;
	X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	if (X509_VERIFY_PARAM_set1_host(param, host, strlen(host)) != 1)
		return -1;
	return SSL_set_tlsext_host_name(ssl, host) == 1 ? 0 : -1;
}

static int set_alpn(SSL *ssl, const char *alpn)
{
	unsigned char wire[64];
	size_t n = alpn ? strlen(alpn) : 0;

	if (!n)
		return 0;
	if (n >= sizeof(wire))
		return -1;
	wire[0] = (unsigned char)n;
	memcpy(wire + 1, alpn, n);
	return SSL_set_alpn_protos(ssl, wire, (unsigned)n + 1) == 0 ? 0 : -1;
}

static void pin_of(X509 *certificate, char words[64])
{
	unsigned char *der = NULL, seen[TLS_CLIENT_PIN_SIZE];
	int n = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate), &der);

	words[0] = '\0';
	if (n <= 0)
		return;
	digest_of(DIGEST_SHA_256, der, (size_t)n, seen);
	OPENSSL_free(der);
	base64_encode((pop3_span){(const char *)seen, sizeof(seen)}, words, 64);
}

/* For a person: a key that is not trusted can be pinned. The library's verdict stands. */
static int note_refused(int good, X509_STORE_CTX *store)
{
	SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
	struct tls_client *client = ssl ? SSL_get_app_data(ssl) : NULL;
	X509 *leaf = X509_STORE_CTX_get0_cert(store);

	if (!good && client && leaf)
		pin_of(leaf, client->key_words);
	return good;
}

/* The library's call for each session that could be resumed. 1: it is ours now. */
static int note_session(SSL *ssl, SSL_SESSION *session)
{
	struct tls_client *client = SSL_get_app_data(ssl);

	if (!client || client->settled)
		return 0;
	SSL_SESSION_free(client->fresh);
	client->fresh = session;
	return 1;
}

/* One that cannot be read, or that the server does not know, costs nothing but a whole handshake.
 */
static void resume(struct tls_client *client, const struct tls_client_settings *settings)
{
	const pop3_span octets = settings->session;
	const unsigned char *at = (const unsigned char *)octets.data;
	SSL_SESSION *session = octets.size ? d2i_SSL_SESSION(NULL, &at, (long)octets.size) : NULL;

	if (settings->kept)
		session = SSL_SESSION_dup((SSL_SESSION *)settings->kept);
	if (session) {
		SSL_set_session(client->ssl, session);
		client->offered = SSL_SESSION_dup(session);
	}
	SSL_SESSION_free(session);
	ERR_clear_error();
}

static int set_up(struct tls_client *client, const struct tls_client_settings *s,
		  const struct tls_trust *trust, int fd, struct err *err)
{
	client->ssl = tls_trust_connection(trust, note_session);
	client->pinned_only = s->pin_count && !s->ca_file;
	if (!client->ssl || SSL_set_app_data(client->ssl, client) != 1 ||
	    SSL_set_fd(client->ssl, fd) != 1 || set_name(client->ssl, s->host) < 0 ||
	    set_alpn(client->ssl, s->alpn) < 0)
		return err_set(err, EX_SOFTWARE, "cannot start TLS with %s: %s", s->host,
			       tls_error_text());
	SSL_set_verify(client->ssl, client->pinned_only ? SSL_VERIFY_NONE : SSL_VERIFY_PEER,
		       note_refused);
	resume(client, s);
	return load_own_certificate(client->ssl, s, err);
}

int tls_client_create(const struct tls_client_settings *settings, int fd, struct tls_client **ret,
		      struct err *err)
{
	struct tls_client *client = calloc(1, sizeof(*client));
	struct tls_trust *own = NULL;
	int rc = 0;

	if (!client)
		return err_sys(err, EX_OSERR, errno, "TLS");
	ERR_clear_error();
	client->settings = *settings;
	snprintf(client->host, sizeof(client->host), "%s", settings->host);
	if (!settings->trust)
		rc = tls_trust_create(settings->ca_file, settings->pin_count > 0, &own, err);
	if (rc == 0)
		rc = set_up(client, settings, own ? own : settings->trust, fd, err);
	tls_trust_destroy(own); /* the connection keeps what it needs */
	if (rc < 0) {
		tls_client_destroy(client);
		return -1;
	}
	*ret = client;
	return 0;
}

void tls_client_destroy(struct tls_client *client)
{
	if (!client)
		return;
	if (client->ssl && !client->failed && SSL_is_init_finished(client->ssl))
		SSL_shutdown(client->ssl);
	ERR_clear_error();
	SSL_SESSION_free(client->fresh);
	SSL_SESSION_free(client->offered);
	SSL_free(client->ssl);
	free(client);
}

static const char *way_out(long verdict)
{
	switch (verdict) {
	case X509_V_ERR_HOSTNAME_MISMATCH:
	case X509_V_ERR_IP_ADDRESS_MISMATCH:
		return "if it is the right server, give the name it is for: --tls-name NAME; or "
		       "pin its "
		       "key: --pin sha256//";
	case X509_V_ERR_CERT_HAS_EXPIRED:
	case X509_V_ERR_CERT_NOT_YET_VALID:
		return "until its owner mends it, its key can be pinned: --pin sha256//";
	}
	return "give its authority, --ca FILE, or, if its owner confirms the key, --pin sha256//";
}

static enum tls_client_status refuse(struct tls_client *client, struct err *err)
{
	long verdict = SSL_get_verify_result(client->ssl);
	int reason = ERR_GET_REASON(ERR_peek_last_error());

	client->failed = true;
	client->clear_text = reason == SSL_R_WRONG_VERSION_NUMBER || reason == SSL_R_HTTP_REQUEST ||
			     reason == SSL_R_PACKET_LENGTH_TOO_LONG;
	if (!client->pinned_only && verdict != X509_V_OK)
		err_set(err, EX_NOPERM,
			"the certificate of %.80s is not accepted: %s; nothing was sent%s%s%s",
			client->host, X509_verify_cert_error_string(verdict),
			client->key_words[0] ? ". " : "",
			client->key_words[0] ? way_out(verdict) : "", client->key_words);
	else
		err_set(err, EX_PROTOCOL, "TLS handshake failed: %s", tls_error_text());
	return TLS_CLIENT_FAILED;
}

bool tls_client_met_clear_text(const struct tls_client *client)
{
	return client->clear_text;
}

static enum tls_client_status translate(struct tls_client *client, int result, struct err *err)
{
	int saved = errno;

	switch (SSL_get_error(client->ssl, result)) {
	case SSL_ERROR_WANT_READ:
		return TLS_CLIENT_WANT_READ;
	case SSL_ERROR_WANT_WRITE:
		return TLS_CLIENT_WANT_WRITE;
	case SSL_ERROR_ZERO_RETURN:
		return TLS_CLIENT_CLOSED;
	case SSL_ERROR_SYSCALL:
		client->failed = true;
		if (!saved)
			return TLS_CLIENT_CLOSED;
		err_sys(err, EX_TEMPFAIL, saved, "connection lost");
		return TLS_CLIENT_FAILED;
	}
	client->failed = true;
	err_set(err, EX_PROTOCOL, "TLS: %s", tls_error_text());
	return TLS_CLIENT_FAILED;
}

/* A resumed session is as good as its first handshake, which must have been verified. */
static bool good_when_it_began(const struct tls_client *client)
{
	return client->pinned_only || !SSL_session_reused(client->ssl) ||
	       SSL_get_verify_result(client->ssl) == X509_V_OK;
}

/* The key is part of the certificate that the handshake proved possession of. */
static bool pin_matches(struct tls_client *client, unsigned char seen[TLS_CLIENT_PIN_SIZE])
{
	X509 *certificate = SSL_get0_peer_certificate(client->ssl);
	unsigned char *der = NULL;
	bool match = false;
	int n;

	n = certificate ? i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate), &der) : -1;
	if (n <= 0)
		return false;
	digest_of(DIGEST_SHA_256, der, (size_t)n, seen);
	OPENSSL_free(der);
	for (unsigned i = 0; i < client->settings.pin_count; i++)
		match |= memcmp(seen, client->settings.pins[i], TLS_CLIENT_PIN_SIZE) == 0;
	return match;
}

enum tls_client_status tls_client_handshake(struct tls_client *client, struct err *err)
{
	unsigned char seen[TLS_CLIENT_PIN_SIZE] = {0};
	enum tls_client_status status;
	char words[64];
	int result;

	ERR_clear_error();
	errno = 0;
	result = SSL_connect(client->ssl);
	if (result != 1) {
		status = translate(client, result, err);
		if (status == TLS_CLIENT_FAILED && (!err || err->code == EX_PROTOCOL))
			return refuse(client, err);
		return status;
	}
	if (!good_when_it_began(client))
		return refuse(client, err);
	if (client->settings.pin_count && !pin_matches(client, seen)) {
		client->failed = true;
		base64_encode((pop3_span){(const char *)seen, sizeof(seen)}, words, sizeof(words));
		err_set(err, EX_NOPERM,
			"the key of %s is not the pinned one (it is sha256//%s); nothing was sent",
			client->host, words);
		return TLS_CLIENT_FAILED;
	}
	return TLS_CLIENT_OK;
}

/*
 * TLS 1.3 gives what resumes a session after the handshake, each for one use, lest an observer see
 * which connections belong together (RFC 8446, C.4). Servers that give none when a session was
 * resumed get the same again: our address shows as much. A session of TLS 1.2 needs an extended
 * master secret: else another server could be behind it (RFC 7627).
 */
static SSL_SESSION *resumable(const struct tls_client *client)
{
	SSL_SESSION *session = client->fresh;

	if (client->failed || !SSL_is_init_finished(client->ssl))
		return NULL;
	if (SSL_version(client->ssl) >= TLS1_3_VERSION) {
		if (!session && SSL_session_reused(client->ssl))
			session = client->offered;
	} else {
		session = SSL_get_extms_support(client->ssl) == 1 ? SSL_get0_session(client->ssl)
								  : NULL;
	}
	return session && SSL_SESSION_is_resumable(session) ? session : NULL;
}

size_t tls_client_session(struct tls_client *client, char *out, size_t size)
{
	SSL_SESSION *session = resumable(client);
	unsigned char *at = (unsigned char *)out;
	int n = session ? i2d_SSL_SESSION(session, NULL) : 0;

	if (n <= 0 || (size_t)n > size)
		return 0;
	return (size_t)i2d_SSL_SESSION(session, &at);
}

/* A copy, for the library marks a connection's own as spoilt when that is cut. */
struct tls_kept *tls_client_keep(struct tls_client *client)
{
	SSL_SESSION *session = resumable(client);

	return session ? (struct tls_kept *)SSL_SESSION_dup(session) : NULL;
}

void tls_kept_destroy(struct tls_kept *kept)
{
	SSL_SESSION_free((SSL_SESSION *)kept);
}

void tls_client_settle(struct tls_client *client)
{
	client->settled = true;
	SSL_SESSION_free(client->fresh);
	SSL_SESSION_free(client->offered);
	client->fresh = client->offered = NULL;
}

bool tls_client_resumed(const struct tls_client *client)
{
	return SSL_session_reused(client->ssl) == 1;
}

int tls_client_read(struct tls_client *client, char *buf, size_t size, struct err *err)
{
	size_t got = 0;
	int result;

	ERR_clear_error();
	errno = 0;
	result = SSL_read_ex(client->ssl, buf, size, &got);
	return result == 1 ? (int)got : (int)translate(client, result, err);
}

int tls_client_write(struct tls_client *client, const char *buf, size_t size, struct err *err)
{
	size_t put = 0;
	int result;

	ERR_clear_error();
	errno = 0;
	result = SSL_write_ex(client->ssl, buf, size, &put);
	return result == 1 ? (int)put : (int)translate(client, result, err);
}

int tls_client_binding(struct tls_client *client, unsigned char out[TLS_CLIENT_BINDING_SIZE])
{
	static const char label[] = "EXPORTER-Channel-Binding";

	if (SSL_version(client->ssl) < TLS1_3_VERSION && SSL_get_extms_support(client->ssl) != 1)
		return -1;
	return SSL_export_keying_material(client->ssl, out, TLS_CLIENT_BINDING_SIZE, label,
					  sizeof(label) - 1, (const unsigned char *)"", 0, 1) == 1
		       ? 0
		       : -1;
}

static void name_text(const X509_NAME *name, char *buf, size_t size)
{
	char text[256];

	X509_NAME_oneline(name, text, sizeof(text));
	text_escape(buf, size - 1, span_of(text));
}

void tls_client_peer(struct tls_client *client, struct tls_client_peer *ret)
{
	X509 *certificate = SSL_get0_peer_certificate(client->ssl);
	STACK_OF(X509) *chain = client->pinned_only ? SSL_get_peer_cert_chain(client->ssl)
						    : SSL_get0_verified_chain(client->ssl);
	int seconds = 0;

	*ret = (struct tls_client_peer){0};
	snprintf(ret->version, sizeof(ret->version), "%s", SSL_get_version(client->ssl));
	if (!certificate)
		return;
	name_text(X509_get_subject_name(certificate), ret->subject, sizeof(ret->subject));
	name_text(X509_get_issuer_name(certificate), ret->issuer, sizeof(ret->issuer));
	pin_of(certificate, ret->pin);
	ASN1_TIME_diff(&ret->days_left, &seconds, NULL, X509_get0_notAfter(certificate));
	ret->chain = chain ? (unsigned)sk_X509_num(chain) : 0;
}

int tls_client_pin(const char *text, unsigned char ret[TLS_CLIENT_PIN_SIZE])
{
	char raw[48];

	if (strncmp(text, "sha256//", 8) == 0)
		text += 8;
	if (base64_decode(span_of(text), raw, sizeof(raw)) != TLS_CLIENT_PIN_SIZE)
		return -1;
	memcpy(ret, raw, TLS_CLIENT_PIN_SIZE);
	return 0;
}
