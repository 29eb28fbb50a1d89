/*
 * See tls_session.h: one session of a server. Fronts only, after the sandbox was entered; every
 * octet that comes in is hostile. The library's records pass through one buffer of the server's, so
 * that a reply of any size is one send, and an idle session owns no buffer.
 */
#include "sys/tls_internal.h"

#include <assert.h>
#include <errno.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum {
	NUISANCES_MAX = 32,
	RECORD_MAX = 16384,
	RECORD_OVERHEAD_MAX = 256, /* header, nonce, tag, type */
};

struct tls_session *tls_session_of(const SSL *ssl)
{
	return BIO_get_data(SSL_get_rbio(ssl));
}

/* ---- between the library and the socket ---- */

/* Sends what is in out; keeps the rest at its front. */
static void send_out(struct tls_session *session)
{
	struct tls_server *server = session->server;
	uint32_t at = 0;

	while (at < server->out_used) {
		ssize_t sent = send(session->fd, server->out + at, server->out_used - at,
				    MSG_NOSIGNAL | MSG_DONTWAIT);

		if (sent < 0 && errno == EINTR)
			continue;
		if (sent < 0) {
			session->cut |= errno != EAGAIN;
			break;
		}
		at += (uint32_t)sent;
	}
	server->out_used -= at;
	memmove(server->out, server->out + at, server->out_used);
}

static int bio_write(BIO *bio, const char *data, int size)
{
	struct tls_session *session = BIO_get_data(bio);
	struct tls_server *server = session->server;

	BIO_clear_retry_flags(bio);
	if ((uint32_t)size > TLS_OUT_SIZE - server->out_used)
		send_out(session); /* a flight larger than the buffer: a very long chain */
	if ((uint32_t)size > TLS_OUT_SIZE - server->out_used)
		size = (int)(TLS_OUT_SIZE - server->out_used);
	if (session->cut)
		return -1;
	if (!size) {
		BIO_set_retry_write(bio);
		return -1;
	}
	memcpy(server->out + server->out_used, data, (size_t)size);
	server->out_used += (uint32_t)size;
	return size;
}

static int bio_read(BIO *bio, char *data, int size)
{
	struct tls_session *session = BIO_get_data(bio);
	ssize_t got;

	BIO_clear_retry_flags(bio);
	if (session->nuisances > NUISANCES_MAX)
		return -1;
	/* a flight of ours is on its way out: nothing can have come in answer to it */
	if (!session->established && session->server->out_used) {
		BIO_set_retry_read(bio);
		return -1;
	}
	do
		got = recv(session->fd, data, (size_t)size, MSG_DONTWAIT);
	while (got < 0 && errno == EINTR);
	if (got == 0)
		session->eof = true;
	if (got < 0 && errno == EAGAIN)
		BIO_set_retry_read(bio);
	else if (got < 0)
		session->cut = true;
	return (int)got;
}

static long bio_ctrl(BIO *bio, int command, long number, void *pointer)
{
	const struct tls_session *session = BIO_get_data(bio);

	(void)number;
	(void)pointer;
	switch (command) {
	case BIO_CTRL_FLUSH: /* at the end of the call */
		return 1;
	case BIO_CTRL_EOF:
		return session->eof;
	default:
		return 0;
	}
}

BIO_METHOD *tls_bio_method(void)
{
	BIO_METHOD *method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "session");

	if (method) {
		BIO_meth_set_write(method, bio_write);
		BIO_meth_set_read(method, bio_read);
		BIO_meth_set_ctrl(method, bio_ctrl);
	}
	return method;
}

void tls_watch_message(int write_p, int version, int content_type, const void *buf, size_t len,
		       SSL *ssl, void *arg)
{
	const unsigned char *octets = buf;
	struct tls_session *session = tls_session_of(ssl);
	bool update, refused;

	(void)version;
	(void)arg;
	if (!session->established || !len)
		return;
	update = content_type == SSL3_RT_HANDSHAKE && !write_p && octets[0] == SSL3_MT_KEY_UPDATE;
	refused = content_type == SSL3_RT_ALERT && write_p && len == 2 &&
		  octets[1] == SSL_AD_NO_RENEGOTIATION;
	if ((update || refused) && session->nuisances <= NUISANCES_MAX)
		session->nuisances++;
}

/* ---- a call ---- */

static void drop_unsent(struct tls_session *session)
{
	free(session->unsent);
	session->unsent = NULL;
	session->unsent_at = session->unsent_size = 0;
	session->held = false;
}

/* What waits goes in front of what this call makes. False: something waits that the socket did not
 * take. */
static bool enter(struct tls_session *session)
{
	struct tls_server *server = session->server;

	assert(!session->failed);
	ERR_clear_error();
	server->out_used = 0;
	if (!session->unsent)
		return true;
	if (!session->held)
		return tls_session_flush(session) == TLS_OK;
	server->out_used = session->unsent_size - session->unsent_at;
	memcpy(server->out, session->unsent + session->unsent_at, server->out_used);
	drop_unsent(session);
	return true;
}

/* Sends what this call made, or (hold) lets it wait for the next one. */
static void leave(struct tls_session *session, bool hold)
{
	struct tls_server *server = session->server;

	if (!hold)
		send_out(session);
	if (!server->out_used || session->cut)
		return;
	session->unsent = malloc(server->out_used);
	if (!session->unsent) {
		session->cut = true;
		return;
	}
	memcpy(session->unsent, server->out, server->out_used);
	session->unsent_size = server->out_used;
	session->unsent_at = 0;
	session->held = hold;
	server->out_used = 0;
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
	default:
		break;
	}
	if (session->nuisances > NUISANCES_MAX)
		session->error = "too many key updates or renegotiations";
	else if (session->cut || session->eof)
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
	BIO *bio = BIO_new(server->bio);

	ERR_clear_error();
	if (!session || !bio)
		goto fail;
	session->ssl = SSL_new(server->contexts[0]);
	if (!session->ssl)
		goto fail;
	BIO_set_data(bio, session);
	BIO_set_init(bio, 1);
	SSL_set_bio(session->ssl, bio, bio);
	SSL_set_accept_state(session->ssl);
	session->server = tls_server_keep(server);
	session->fd = fd;
	return session;
fail:
	BIO_free(bio);
	free(session);
	return NULL;
}

void tls_session_shutdown(struct tls_session *session)
{
	/* behind half a record it would be noise */
	if (session->established && !session->failed && enter(session)) {
		SSL_shutdown(session->ssl);
		send_out(session);
		ERR_clear_error();
	}
	session->failed = true;
}

void tls_session_destroy(struct tls_session *session)
{
	if (!session)
		return;
	tls_session_shutdown(session);
	drop_unsent(session);
	SSL_free(session->ssl);
	tls_server_destroy(session->server);
	free(session);
}

enum tls_status tls_session_handshake(struct tls_session *session)
{
	enum tls_status status;
	int result;

	if (session->failed)
		return session->error ? TLS_FAILED : TLS_CUT;
	if (!enter(session))
		return session->cut ? fail(session, TLS_CUT) : TLS_WANT_WRITE;
	result = SSL_accept(session->ssl);
	status = result == 1 ? TLS_OK : translate(session, result);
	session->established = status == TLS_OK;
	/* tickets (1.3) or the last flight (1.2): they can travel with the greeting */
	leave(session, status == TLS_OK);
	if (session->cut && !session->failed)
		return fail(session, TLS_CUT);
	return session->unsent && !session->held ? TLS_WANT_WRITE : status;
}

int tls_session_read(struct tls_session *session, char *buf, uint32_t size)
{
	int result;

	if (session->failed)
		return session->error ? TLS_FAILED : TLS_CUT;
	if (!enter(session))
		return session->cut ? fail(session, TLS_CUT) : TLS_WANT_WRITE;
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
		return session->cut ? fail(session, TLS_CUT) : TLS_WANT_WRITE;
	size = size < TLS_WRITE_MAX ? size : TLS_WRITE_MAX;
	while (done < size) {
		uint32_t part = size - done < RECORD_MAX ? size - done : RECORD_MAX;

		/* a record that was begun must be finished: begin none without room for it */
		if (TLS_OUT_SIZE - session->server->out_used < part + RECORD_OVERHEAD_MAX) {
			send_out(session);
			if (TLS_OUT_SIZE - session->server->out_used < part + RECORD_OVERHEAD_MAX)
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
	if (session->cut)
		return fail(session, TLS_CUT);
	return done ? (int)done : result;
}

enum tls_status tls_session_flush(struct tls_session *session)
{
	while (session->unsent_at < session->unsent_size) {
		ssize_t sent = send(session->fd, session->unsent + session->unsent_at,
				    session->unsent_size - session->unsent_at,
				    MSG_NOSIGNAL | MSG_DONTWAIT);

		if (sent < 0 && errno == EINTR)
			continue;
		session->held = false;
		if (sent < 0 && errno == EAGAIN)
			return TLS_WANT_WRITE;
		if (sent < 0) {
			session->cut = true;
			drop_unsent(session);
			return fail(session, TLS_CUT);
		}
		session->unsent_at += (uint32_t)sent;
	}
	drop_unsent(session);
	return TLS_OK;
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

	if (!session->established || size < 32 ||
	    (SSL_version(session->ssl) < TLS1_3_VERSION &&
	     SSL_get_extms_support(session->ssl) != 1))
		return 0;
	if (SSL_export_keying_material(session->ssl, buf, 32, label, sizeof(label) - 1, empty, 0,
				       1) != 1)
		return 0;
	return 32;
}

/* The hash is that of the certificate's signature, MD5 and SHA-1 replaced by SHA-256 (RFC 5929
 * section 4.1). */
unsigned tls_session_end_point(struct tls_session *session, unsigned char *buf, unsigned size)
{
	X509 *certificate = SSL_get_certificate(session->ssl);
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned digest_size;
	const EVP_MD *md;
	int nid;

	if (!session->established || !certificate ||
	    !X509_get_signature_info(certificate, &nid, NULL, NULL, NULL))
		return 0;
	if (nid == NID_md5 || nid == NID_sha1)
		nid = NID_sha256;
	md = EVP_get_digestbynid(nid);
	if (!md || !X509_digest(certificate, md, digest, &digest_size) || digest_size > size)
		return 0;
	memcpy(buf, digest, digest_size);
	return digest_size;
}

const char *tls_session_error(const struct tls_session *session)
{
	if (session->error)
		return session->error;
	return session->cut || session->eof ? "the peer cut the connection" : "";
}
