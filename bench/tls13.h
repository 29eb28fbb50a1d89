/*
 * The client's side of TLS 1.3 (RFC 8446) for a load generator: full handshakes with X25519, no
 * verification of the certificate, no resumption, no key updates. A library's client, which checks
 * everything, costs more processor time than the server it talks to, so that the load would
 * measure itself. The server can't tell the difference but in one point: every connection of a
 * client has the same key share. What the server proves by its Finished message is checked.
 */
#ifndef BENCH_TLS13_H
#define BENCH_TLS13_H

#include <stdbool.h>
#include <sys/types.h>

struct tls13;        /* a connection */
struct tls13_client; /* what connections share */

struct tls13_client *tls13_client_create(void); /* ends the program when it can't */
void tls13_client_destroy(struct tls13_client *client);

/* fd stays the caller's; non-blocking, connected. */
struct tls13 *tls13_create(struct tls13_client *client, int fd);
void tls13_destroy(struct tls13 *tls); /* tells the peer nothing */
/* 1: through; 0: call again when fd can be read; -1: failed. */
int tls13_handshake(struct tls13 *tls);
/* As recv and send do it, after the handshake; size at least TLS13_READ_MIN for reading, at most
 * TLS13_WRITE_MAX for writing. A record is sent whole or not at all (errno ENOBUFS: no room, the
 * connection is of no use any more); errno EPROTO: the peer broke the protocol. */
#define TLS13_READ_MIN 65536
#define TLS13_WRITE_MAX 16384
ssize_t tls13_read(struct tls13 *tls, void *data, size_t size);
ssize_t tls13_write(struct tls13 *tls, const void *data, size_t size);

#endif
