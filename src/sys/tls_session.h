/*
 * A TLS session of a server on a descriptor. It blocks never; what it waits for is the caller's to
 * wait for. Buffers are released while a session is idle. One thread for all sessions of a server
 * (tls_server.h). Fronts only, after the sandbox was entered; every octet that comes in is hostile.
 */
#ifndef SYS_TLS_SESSION_H
#define SYS_TLS_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tls_server;
struct tls_session;
struct tls_to_sign;

enum tls_status {
	TLS_OK = 0,
	TLS_WANT_READ = -1,
	TLS_WANT_WRITE = -2,
	TLS_CLOSED = -3, /* close_notify */
	TLS_FAILED = -4,
	TLS_CUT = -5,            /* EOF without close_notify */
	TLS_WANT_SIGNATURE = -6, /* of a handshake only: see tls_session_to_sign */
	TLS_WANT_TURN = -7 /* of a handshake only: too many of this server wait for signatures */
};

/* The protection of a connection; used by any process. */
enum tls_protocol { TLS_NONE, TLS_1_2, TLS_1_3, TLS_OLDER, TLS_PROTOCOLS };
/* "TLSv1.3"; "no" of TLS_NONE. */
const char *tls_protocol_name(enum tls_protocol protocol);

/* Keeps the server; the descriptor stays the caller's. NULL: out of memory. */
struct tls_session *tls_session_create(struct tls_server *server, int fd);
/* Sends close_notify if that does not block. NULL is none. */
void tls_session_destroy(struct tls_session *session);
enum tls_status tls_session_handshake(struct tls_session *session);
/* The signature that the handshake waits for; NULL: none. It lives until the signature is given. */
const struct tls_to_sign *tls_session_to_sign(const struct tls_session *session);
/* Gives the signature (size 0: there is none, and the handshake fails) and goes on with the
 * handshake. */
enum tls_status tls_session_signed(struct tls_session *session, const char *signature, size_t size);
/* Return octets > 0 or a tls_status. */
int tls_session_read(struct tls_session *session, char *buf, uint32_t size);
/* Takes at most 64 KiB at once; records that the socket does not take wait in the session, and
 * TLS_WANT_WRITE is returned until they are out. */
int tls_session_write(struct tls_session *session, const char *buf, uint32_t size);
/* Sends the records that wait. The last records of a handshake wait, too, so that the first octets
 * written can go with them: call this when nothing is to be written. TLS_OK: none waits any more.
 */
enum tls_status tls_session_flush(struct tls_session *session);
/* While held, records wait for more to go with, or for flush or shutdown. */
void tls_session_hold(struct tls_session *session, bool hold);
bool tls_session_blocked(const struct tls_session *session); /* the socket refused what waits */
/* Sends close_notify, if that does not block; once. Nothing can be written afterwards. */
void tls_session_shutdown(struct tls_session *session);
bool tls_session_pending(const struct tls_session *session); /* decrypted octets wait inside */
/* TLS_NONE: in the handshake, or session is NULL. */
enum tls_protocol tls_session_protocol(const struct tls_session *session);
const char *tls_session_version(const struct tls_session *session); /* NULL: in the handshake */
const char *tls_session_cipher(const struct tls_session *session);
bool tls_session_resumed(const struct tls_session *session);
/* Channel binding; returns octets written, 0: not available. */
unsigned tls_session_exporter(struct tls_session *session, unsigned char *buf,
			      unsigned size); /* RFC 9266, 32 octets */
/* The name in the client's certificate, which was verified: its common name, or (email) the mail
 * address in its extension. False: there is no such certificate, or not exactly one such name. */
bool tls_session_client(const struct tls_session *session, bool email, char *buf, size_t size);
const char *tls_session_error(const struct tls_session *session); /* words for the log */

#endif
