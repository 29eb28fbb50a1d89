/* See tls_wire.h. POP3 fronts, in their sandbox; tls_wire_method also before it and in valijad -t.
 * Every octet that comes in is hostile. */
#include "sys/tls_wire.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

uint32_t tls_wire_put(struct tls_wire *wire, const char *octets, uint32_t size)
{
	uint32_t at = 0;

	while (at < size) {
		ssize_t sent = send(wire->fd, octets + at, size - at, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (sent < 0 && errno == EINTR)
			continue;
		if (sent < 0) {
			wire->cut |= errno != EAGAIN;
			break;
		}
		at += (uint32_t)sent;
	}
	return at;
}

void tls_wire_send(struct tls_wire *wire)
{
	struct tls_out *out = wire->out;
	uint32_t done = tls_wire_put(wire, out->octets, out->used);

	out->used -= done;
	memmove(out->octets, out->octets + done, out->used);
}

static int bio_write(BIO *bio, const char *data, int size)
{
	struct tls_wire *wire = BIO_get_data(bio);
	struct tls_out *out = wire->out;

	BIO_clear_retry_flags(bio);
	if ((uint32_t)size > TLS_OUT_SIZE - out->used)
		tls_wire_send(wire); /* a flight larger than the buffer: a very long chain */
	if ((uint32_t)size > TLS_OUT_SIZE - out->used)
		size = (int)(TLS_OUT_SIZE - out->used);
	if (wire->cut)
		return -1;
	if (!size) {
		BIO_set_retry_write(bio);
		return -1;
	}
	memcpy(out->octets + out->used, data, (size_t)size);
	out->used += (uint32_t)size;
	return size;
}

static int bio_read(BIO *bio, char *data, int size)
{
	struct tls_wire *wire = BIO_get_data(bio);
	ssize_t got;

	BIO_clear_retry_flags(bio);
	if (wire->nuisances > TLS_NUISANCES_MAX)
		return -1;
	/* a flight of ours is on its way out: nothing can have come in answer to it */
	if (!wire->established && wire->out->used) {
		BIO_set_retry_read(bio);
		return -1;
	}
	do
		got = recv(wire->fd, data, (size_t)size, MSG_DONTWAIT);
	while (got < 0 && errno == EINTR);
	if (got == 0)
		wire->eof = true;
	if (got < 0 && errno == EAGAIN)
		BIO_set_retry_read(bio);
	else if (got < 0)
		wire->cut = true;
	return (int)got;
}

static long bio_ctrl(BIO *bio, int command, long number, void *pointer)
{
	const struct tls_wire *wire = BIO_get_data(bio);

	(void)number;
	(void)pointer;
	switch (command) {
	case BIO_CTRL_FLUSH: /* at the end of the call */
		return 1;
	case BIO_CTRL_EOF:
		return wire->eof;
	default:
		return 0;
	}
}

BIO_METHOD *tls_wire_method(void)
{
	BIO_METHOD *method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "session");

	if (method) {
		BIO_meth_set_write(method, bio_write);
		BIO_meth_set_read(method, bio_read);
		BIO_meth_set_ctrl(method, bio_ctrl);
	}
	return method;
}

BIO *tls_wire_bio(struct tls_wire *wire, const BIO_METHOD *method)
{
	BIO *bio = BIO_new(method);

	if (bio) {
		BIO_set_data(bio, wire);
		BIO_set_init(bio, 1);
	}
	return bio;
}

void tls_wire_watch(int write_p, int version, int content_type, const void *buf, size_t len,
		    SSL *ssl, void *arg)
{
	const unsigned char *octets = buf;
	struct tls_wire *wire = BIO_get_data(SSL_get_rbio(ssl));
	bool update, refused;

	(void)version;
	(void)arg;
	if (!wire->established || !len)
		return;
	update = content_type == SSL3_RT_HANDSHAKE && !write_p && octets[0] == SSL3_MT_KEY_UPDATE;
	refused = content_type == SSL3_RT_ALERT && write_p && len == 2 &&
		  octets[1] == SSL_AD_NO_RENEGOTIATION;
	if ((update || refused) && wire->nuisances <= TLS_NUISANCES_MAX)
		wire->nuisances++;
}
