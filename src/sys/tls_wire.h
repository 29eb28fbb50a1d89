/*
 * The path of the library's records to the socket: below tls_server.c and tls_session.c, for these
 * two only. Sessions of one server are all in one thread and share one buffer for records on their
 * way out, so that a reply of any size is one send, and an idle session owns no buffer.
 */
#ifndef SYS_TLS_WIRE_H
#define SYS_TLS_WIRE_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdint.h>

enum {
	TLS_WRITE_MAX = 65536, /* octets that one tls_session_write takes */
	/* one whole write with its records' overhead, and what was held before it */
	TLS_OUT_SIZE = TLS_WRITE_MAX + 8192,
	TLS_NUISANCES_MAX = 32,
};

/* A server's: records of the session that is in a call. */
struct tls_out {
	char *octets; /* TLS_OUT_SIZE */
	uint32_t used;
};

/* A session's; embedded. The descriptor stays the caller's. */
struct tls_wire {
	struct tls_out *out;
	int fd;
	uint8_t nuisances; /* key updates and renegotiations that the peer asked for */
	bool established;  /* the handshake is complete */
	bool eof;          /* the peer sends no more */
	bool cut;          /* the socket is broken */
};

BIO_METHOD *tls_wire_method(void); /* NULL: out of memory. BIO_meth_free it. */
/* A BIO over the wire, for an SSL to read from and write to. NULL: out of memory. */
BIO *tls_wire_bio(struct tls_wire *wire, const BIO_METHOD *method);
/* Sends what is in out; keeps what the socket does not take at its front. */
void tls_wire_send(struct tls_wire *wire);
/* Sends octets; returns how many the socket took. Sets cut if it is broken. */
uint32_t tls_wire_put(struct tls_wire *wire, const char *octets, uint32_t size);
/* A message callback of the library: counts what only an attacker sends often (threat 5). */
void tls_wire_watch(int write_p, int version, int content_type, const void *buf, size_t len,
		    SSL *ssl, void *arg);

#endif
