/*
 * TLS of a server: contexts from certificates that were opened elsewhere. TLS 1.2 and 1.3 only, no
 * renegotiation, no compression; the certificate is chosen by SNI (the first one is the default);
 * ALPN; tickets under keys that are given, so that they outlive a process. It has no private key:
 * a handshake asks for each signature (tls_session_to_sign), which tls_keys.h makes in another
 * process. Fronts make a server before they enter the sandbox and hand it to their sessions
 * (tls_session.h). OpenSSL stays behind sys/tls*.h and base/digest.h.
 */
#ifndef SYS_TLS_SERVER_H
#define SYS_TLS_SERVER_H

#include "base/err.h"

#include <pop3/span.h>

#include <stdint.h>

struct tls_server;

struct tls_dates { /* seconds since 1970: the certificate is good from the first to the last */
	int64_t first, last;
};

#define TLS_TICKET_KEY_SIZE 80 /* name 16, AES-256 key 32, HMAC key 32 */
#define TLS_TICKET_KEYS 3
#define TLS_TICKET_SECONDS 7200 /* a ticket is good for so long */

enum {
	TLS_CONTENT_MAX = 192,    /* octets that a handshake has signed at a time */
	TLS_SIGNATURE_MAX = 1024, /* octets: RSA with 8192 bits */
	TLS_SIGNING_MAX = 512,    /* handshakes of a server that wait for a signature */
};

/* A signature that a handshake needs. */
struct tls_to_sign {
	uint32_t key;    /* the place of its certificate in the list that made the server */
	uint32_t scheme; /* SignatureScheme (tls_scheme.h) */
	uint32_t size;   /* octets of content */
	unsigned char content[TLS_CONTENT_MAX];
};

struct tls_certificate {
	pop3_span certificate; /* PEM, with its chain */
	pop3_span key;         /* PEM, not encrypted; for tls_keys.h, a server does not read it */
	const char *name;      /* file name, for messages */
};

/* The PEM is not kept. alpn: "pop3" (a client that offers ALPN without it is refused with
 * no_application_protocol); NULL: none. -1: err names the certificate and says why. */
int tls_server_create(const struct tls_certificate *certificates, unsigned count, const char *alpn,
		      struct tls_server **ret, struct err *err);
/* The lowest version of TLS; below 1.2 with what such clients know, as far as it has forward
 * secrecy (ECDHE with AES and SHA-1). */
enum tls_minimum { TLS_MIN_1_2, TLS_MIN_1_3, TLS_MIN_1_0, TLS_MIN_1_1, TLS_MINIMA };
/* Sets it for the server's sessions to come; without this call it is 1.2. -1: the library has no
 * such version, or does not allow it. */
int tls_server_minimum(struct tls_server *server, enum tls_minimum minimum, struct err *err);
/* Asks clients for a certificate of these authorities (PEM); one that has none goes on without. */
int tls_server_clients(struct tls_server *server, const struct tls_certificate *authorities,
		       struct err *err);
/* Whether a server may go over to a certificate: its chain is readable, and it is valid at now
 * (seconds since 1970; -1: at any time). 0, or -1 with err. */
int tls_certificate_judge(const struct tls_certificate *certificate, int64_t now, struct err *err);
/* fresh takes the place of old: it has its ticket keys, and first is added to the numbers of its
 * keys (tls_to_sign). */
void tls_server_succeed(struct tls_server *fresh, const struct tls_server *old, uint32_t first);
/* Counted: sessions keep it alive. NULL is none. */
void tls_server_destroy(struct tls_server *server);
struct tls_server *tls_server_keep(struct tls_server *server); /* one more to destroy */
/* Sessions that wait for a signature; at TLS_SIGNING_MAX, others get TLS_WANT_TURN. */
unsigned tls_server_signing(const struct tls_server *server);
/* The dates of certificate number i of those that the server was made from. */
struct tls_dates tls_server_dates(const struct tls_server *server, unsigned i);
/* keys[0] makes tickets, all are accepted. */
void tls_server_ticket_keys(struct tls_server *server,
			    const unsigned char (*keys)[TLS_TICKET_KEY_SIZE], unsigned count);

#endif
