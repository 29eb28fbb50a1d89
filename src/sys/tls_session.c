/*
 * See tls_session.h. A call gathers its records in the server's buffer (tls_wire.h) and sends them
 * at its end; what the socket did not take waits in the session.
 */
#include "sys/tls_session.h"

#include "sys/tls_internal.h"
#include "sys/tls_scheme.h"

#include <assert.h>
#include <openssl/async.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

enum {
	RECORD_MAX = 16384,
	RECORD_OVERHEAD_MAX = 256, /* header, nonce, tag, type */
};

struct signing;

struct tls_session {
	struct tls_server *server;
	SSL *ssl;
	struct tls_wire wire;
	const char *error; /* static text of the library, NULL: none */
	char *unsent;      /* records the socket did not take, or that wait for more to go with */
	uint32_t unsent_at, unsent_size;
	bool held; /* unsent was not tried yet */
	bool hold; /* let what is written wait */
	bool failed;
	struct signing *signing; /* NULL: no signature is waited for */
};

/* A signature that is waited for. It is on the stack of the handshake's fibre, which rests
 * meanwhile. */
struct signing {
	struct tls_to_sign request;
	const char *signature; /* NULL: the answer was that there is none */
	size_t size;
	bool here; /* the answer */
};

/* ---- a call ---- */

static void drop_unsent(struct tls_session *session)
{
	free(session->unsent);
	session->unsent = NULL;
	session->unsent_at = session->unsent_size = 0;
	session->held = false;
}

/* Begins a call: records that were held go in front of those that it makes. False: records wait
 * that the socket did not take. */
static bool enter(struct tls_session *session)
{
	struct tls_out *out = session->wire.out;

	assert(!session->failed);
	ERR_clear_error();
	out->used = 0;
	if (!session->unsent)
		return true;
	if (!session->held)
		return tls_session_flush(session) == TLS_OK;
	out->used = session->unsent_size - session->unsent_at;
	memcpy(out->octets, session->unsent + session->unsent_at, out->used);
	drop_unsent(session);
	return true;
}

/* Ends a call: sends the records that it made, or (hold) keeps them for the next one. */
static void leave(struct tls_session *session, bool hold)
{
	struct tls_out *out = session->wire.out;

	if (!hold)
		tls_wire_send(&session->wire);
	if (!out->used || session->wire.cut)
		return;
	session->unsent = malloc(out->used);
	if (!session->unsent) {
		session->wire.cut = true;
		return;
	}
	memcpy(session->unsent, out->octets, out->used);
	session->unsent_size = out->used;
	session->unsent_at = 0;
	session->held = hold;
	out->used = 0;
}

static enum tls_status fail(struct tls_session *session, enum tls_status status)
{
	session->failed = true;
	return status;
}

static enum tls_status translate(struct tls_session *session, int result)
{
	switch (SSL_get_error(session->ssl, result)) {
	case SSL_ERROR_WANT_READ:
		return TLS_WANT_READ;
	case SSL_ERROR_WANT_WRITE:
		return TLS_WANT_WRITE;
	case SSL_ERROR_ZERO_RETURN:
		return TLS_CLOSED;
	case SSL_ERROR_WANT_ASYNC:
		return TLS_WANT_SIGNATURE;
	default:
		break;
	}
	if (session->wire.nuisances > TLS_NUISANCES_MAX)
		session->error = "too many key updates or renegotiations";
	else if (session->wire.cut || session->wire.eof)
		return fail(session, TLS_CUT);
	else
		session->error = ERR_reason_error_string(ERR_peek_error());
	if (!session->error)
		session->error = "protocol error";
	ERR_clear_error();
	return fail(session, TLS_FAILED);
}

struct tls_session *tls_session_create(struct tls_server *server, int fd)
{
	struct tls_session *session = calloc(1, sizeof(*session));
	BIO *bio = NULL;

	ERR_clear_error();
	if (!session)
		return NULL;
	session->wire = (struct tls_wire){.out = &server->out, .fd = fd};
	bio = tls_wire_bio(&session->wire, server->bio);
	session->ssl = bio ? SSL_new(server->contexts[0]) : NULL;
	if (!session->ssl) {
		BIO_free(bio);
		free(session);
		return NULL;
	}
	SSL_set_bio(session->ssl, bio, bio);
	SSL_set_accept_state(session->ssl);
	SSL_set_mode(session->ssl, SSL_MODE_ASYNC); /* until the handshake is done */
	session->server = tls_server_keep(server);
	return session;
}

void tls_session_shutdown(struct tls_session *session)
{
	/* not behind half a record: the peer could not read it */
	if (session->wire.established && !session->failed && enter(session)) {
		SSL_shutdown(session->ssl);
		tls_wire_send(&session->wire);
		ERR_clear_error();
	}
	session->failed = true;
}

/* ---- signatures ---- */

static unsigned digest_bits(int nid)
{
	switch (nid) {
	case NID_sha256:
		return 256;
	case NID_sha384:
		return 384;
	case NID_sha512:
		return 512;
	case NID_sha1:
		return TLS_BITS_SHA1;
	case NID_md5_sha1:
		return TLS_BITS_MD5_SHA1;
	default:
		return 1;
	}
}

static const struct tls_scheme *scheme_of(SSL *ssl)
{
	int type, digest;
	bool pss;

	if (!SSL_get_signature_type_nid(ssl, &type) || !SSL_get_signature_nid(ssl, &digest))
		return NULL;
	switch (type) {
	case EVP_PKEY_EC:
		return tls_scheme_find(TLS_ECDSA, false, digest_bits(digest));
	case EVP_PKEY_ED25519:
		return tls_scheme_find(TLS_ED25519, false, 0);
	case EVP_PKEY_ED448:
		return tls_scheme_find(TLS_ED448, false, 0);
	default:
		pss = type == EVP_PKEY_RSA_PSS;
		return tls_scheme_find(
			EVP_PKEY_is_a(SSL_get_privatekey(ssl), "RSA-PSS") ? TLS_RSA_PSS : TLS_RSA,
			pss, digest_bits(digest));
	}
}

/* The library needs a signature: the fibre rests until it is here. */
static unsigned sign(struct tls_session *session, uint32_t key, const unsigned char *content,
		     size_t size, unsigned char *signature, size_t room)
{
	const struct tls_scheme *scheme = scheme_of(session->ssl);
	struct tls_server *server = session->server;
	struct signing signing = {
		.request = {.key = server->first_key + key, .size = (uint32_t)size}};

	if (!scheme || size > sizeof(signing.request.content) || !ASYNC_get_current_job())
		return 0;
	signing.request.scheme = scheme->code;
	memcpy(signing.request.content, content, size);
	session->signing = &signing;
	server->signing++;
	ASYNC_pause_job(); /* back to step, which returns; on with the next step */
	SSL_clear_mode(session->ssl, SSL_MODE_ASYNC); /* a handshake has one signature */
	server->signing--;
	session->signing = NULL;
	if (!signing.signature || !signing.size || signing.size > room)
		return 0;
	memcpy(signature, signing.signature, signing.size);
	return (unsigned)signing.size;
}

/* One step of the handshake in a fibre of its own: see sign. */
static int step(struct tls_session *session)
{
	int result;

	session->server->current = session;
	session->server->sign = sign;
	result = SSL_accept(session->ssl);
	session->server->current = NULL;
	return result;
}

/* The fibre that waits for a signature must end before the SSL can be freed. */
static void give_up_signing(struct tls_session *session)
{
	if (!session->signing)
		return;
	session->signing->signature = NULL;
	session->wire.out->used = 0;
	session->wire.cut = true; /* no alert */
	step(session);
	ERR_clear_error();
}

void tls_session_destroy(struct tls_session *session)
{
	if (!session)
		return;
	give_up_signing(session);
	tls_session_shutdown(session);
	drop_unsent(session);
	SSL_free(session->ssl);
	tls_server_destroy(session->server);
	free(session);
}

/* ---- the handshake ---- */

const struct tls_to_sign *tls_session_to_sign(const struct tls_session *session)
{
	return session->signing ? &session->signing->request : NULL;
}

enum tls_status tls_session_signed(struct tls_session *session, const char *signature, size_t size)
{
	assert(session->signing);
	session->signing->signature = signature;
	session->signing->size = size;
	session->signing->here = true;
	return tls_session_handshake(session);
}

enum tls_status tls_session_handshake(struct tls_session *session)
{
	enum tls_status status;
	int result;

	if (session->failed)
		return session->error ? TLS_FAILED : TLS_CUT;
	if (session->signing && !session->signing->here)
		return TLS_WANT_SIGNATURE;
	if (!session->signing && session->server->signing >= TLS_SIGNING_MAX)
		return TLS_WANT_TURN;
	if (!enter(session))
		return session->wire.cut ? fail(session, TLS_CUT) : TLS_WANT_WRITE;
	result = step(session);
	status = result == 1 ? TLS_OK : translate(session, result);
	session->wire.established = status == TLS_OK;
	if (status == TLS_OK)
		SSL_clear_mode(session->ssl, SSL_MODE_ASYNC);
	/* tickets (1.3) or the last flight (1.2): they can travel with the greeting; a flight that
	 * waits for its signature goes out whole */
	leave(session, status == TLS_OK || status == TLS_WANT_SIGNATURE);
	if (session->wire.cut && !session->failed && !session->signing)
		return fail(session, TLS_CUT);
	return session->unsent && !session->held ? TLS_WANT_WRITE : status;
}

int tls_session_read(struct tls_session *session, char *buf, uint32_t size)
{
	int result;

	if (session->failed)
		return session->error ? TLS_FAILED : TLS_CUT;
	if (!enter(session))
		return session->wire.cut ? fail(session, TLS_CUT) : TLS_WANT_WRITE;
	result = SSL_read(session->ssl, buf, (int)(size < INT32_MAX ? size : INT32_MAX));
	if (result <= 0)
		result = (int)translate(session, result);
	leave(session, false);
	return result;
}

int tls_session_write(struct tls_session *session, const char *buf, uint32_t size)
{
	uint32_t done = 0;
	int result = 0;

	if (session->failed)
		return session->error ? TLS_FAILED : TLS_CUT;
	if (!enter(session))
		return session->wire.cut ? fail(session, TLS_CUT) : TLS_WANT_WRITE;
	size = size < TLS_WRITE_MAX ? size : TLS_WRITE_MAX;
	while (done < size) {
		uint32_t part = size - done < RECORD_MAX ? size - done : RECORD_MAX;

		/* a record that was begun must be finished: begin none without room for it */
		if (TLS_OUT_SIZE - session->wire.out->used < part + RECORD_OVERHEAD_MAX) {
			tls_wire_send(&session->wire);
			if (TLS_OUT_SIZE - session->wire.out->used < part + RECORD_OVERHEAD_MAX)
				break;
		}
		result = SSL_write(session->ssl, buf + done, (int)part);
		if (result <= 0)
			break;
		done += (uint32_t)result;
	}
	if (result <= 0 && !done)
		result = result < 0 || size ? (int)translate(session, result) : 0;
	leave(session, session->hold);
	if (session->wire.cut)
		return fail(session, TLS_CUT);
	return done ? (int)done : result;
}

enum tls_status tls_session_flush(struct tls_session *session)
{
	const uint32_t size = session->unsent_size - session->unsent_at;
	uint32_t done;

	if (!size)
		return TLS_OK;
	done = tls_wire_put(&session->wire, session->unsent + session->unsent_at, size);
	session->unsent_at += done;
	session->held = false;
	if (done < size && !session->wire.cut)
		return TLS_WANT_WRITE;
	drop_unsent(session);
	return done < size ? fail(session, TLS_CUT) : TLS_OK;
}

void tls_session_hold(struct tls_session *session, bool hold)
{
	session->hold = hold;
}

bool tls_session_blocked(const struct tls_session *session)
{
	return session->unsent && !session->held;
}

bool tls_session_pending(const struct tls_session *session)
{
	return !session->failed && SSL_has_pending(session->ssl);
}

enum tls_protocol tls_session_protocol(const struct tls_session *session)
{
	if (!session || !SSL_is_init_finished(session->ssl))
		return TLS_NONE;
	switch (SSL_version(session->ssl)) {
	case TLS1_3_VERSION:
		return TLS_1_3;
	case TLS1_2_VERSION:
		return TLS_1_2;
	default:
		return TLS_OLDER;
	}
}

const char *tls_protocol_name(enum tls_protocol protocol)
{
	switch (protocol) {
	case TLS_1_2:
		return "TLSv1.2";
	case TLS_1_3:
		return "TLSv1.3";
	case TLS_OLDER:
		return "older";
	case TLS_NONE:
	case TLS_PROTOCOLS:
		break;
	}
	return "no";
}

const char *tls_session_version(const struct tls_session *session)
{
	return SSL_is_init_finished(session->ssl) ? SSL_get_version(session->ssl) : NULL;
}

const char *tls_session_cipher(const struct tls_session *session)
{
	return SSL_get_cipher_name(session->ssl);
}

bool tls_session_resumed(const struct tls_session *session)
{
	return SSL_session_reused(session->ssl);
}

/* Under TLS 1.2 keying material is this session's alone only with the extended master secret
 * (RFC 9266 section 4.2). */
unsigned tls_session_exporter(struct tls_session *session, unsigned char *buf, unsigned size)
{
	static const char label[] = "EXPORTER-Channel-Binding";
	static const unsigned char empty[1];

	if (!session->wire.established || size < 32 ||
	    (SSL_version(session->ssl) < TLS1_3_VERSION &&
	     SSL_get_extms_support(session->ssl) != 1))
		return 0;
	if (SSL_export_keying_material(session->ssl, buf, 32, label, sizeof(label) - 1, empty, 0,
				       1) != 1)
		return 0;
	return 32;
}

static bool take_name(const unsigned char *text, int n, char *buf, size_t size)
{
	if (n <= 0 || (size_t)n >= size)
		return false;
	for (int i = 0; i < n; i++)
		if (text[i] < 0x20 || text[i] == 0x7f)
			return false;
	memcpy(buf, text, (size_t)n);
	buf[n] = '\0';
	return true;
}

static bool common_name(const X509 *certificate, char *buf, size_t size)
{
	const X509_NAME *subject = X509_get_subject_name(certificate);
	int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1), n;
	unsigned char *text = NULL;
	bool good;

	if (at < 0 || X509_NAME_get_index_by_NID(subject, NID_commonName, at) >= 0)
		return false;
	n = ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
	good = take_name(text, n, buf, size);
	OPENSSL_free(text);
	return good;
}

static bool mail_address(const X509 *certificate, char *buf, size_t size)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
	int found = 0;
	bool good = true;

	for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
		const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);

		if (name->type != GEN_EMAIL)
			continue;
		found++;
		good = good && take_name(ASN1_STRING_get0_data(name->d.rfc822Name),
					 ASN1_STRING_length(name->d.rfc822Name), buf, size);
	}
	GENERAL_NAMES_free(names);
	return good && found == 1;
}

bool tls_session_client(const struct tls_session *session, bool email, char *buf, size_t size)
{
	const X509 *certificate;
	bool good;

	if (!session || !session->server->asks_clients || !session->wire.established ||
	    SSL_get_verify_result(session->ssl) != X509_V_OK)
		return false;
	certificate = SSL_get0_peer_certificate(session->ssl);
	good = certificate &&
	       (email ? mail_address(certificate, buf, size) : common_name(certificate, buf, size));
	ERR_clear_error();
	return good;
}

const char *tls_session_error(const struct tls_session *session)
{
	if (session->error)
		return session->error;
	return session->wire.cut || session->wire.eof ? "the peer cut the connection" : "";
}
