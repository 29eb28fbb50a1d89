/* The body of a server, which tls_server.c makes and tls_session.c takes its contexts from: for
 * these two only. */
#ifndef SYS_TLS_INTERNAL_H
#define SYS_TLS_INTERNAL_H

#include "sys/tls_wire.h"
#include "sys/tls_server.h"

#include <openssl/provider.h>

struct tls_name;

struct tls_server {
	unsigned references;
	SSL_CTX **contexts; /* [0] answers where no name fits */
	unsigned context_count;
	struct tls_name *names; /* sorted: which context answers for it */
	unsigned name_count;
	struct tls_dates *dates; /* of each certificate, in the order given */
	unsigned date_count;
	unsigned char alpn[64]; /* length octet and name; 0: none */
	unsigned char keys[TLS_TICKET_KEYS][TLS_TICKET_KEY_SIZE];
	unsigned key_count;
	EVP_CIPHER *ticket_cipher;
	BIO_METHOD *bio;
	OSSL_PROVIDER *remote; /* of its keys */
	struct tls_out out;
	unsigned char identity[32]; /* of its names: tickets of others are not taken */
	bool asks_clients;          /* for certificates */
	uint32_t first_key;         /* the number of its first key, outside */
	unsigned signing;           /* sessions that wait for a signature */
	/* The session in a step of its handshake, NULL: none; and its function that stops this step
	 * until a signature is here, writes it and returns its size, 0: the handshake cannot go on.
	 */
	struct tls_session *current;
	unsigned (*sign)(struct tls_session *session, uint32_t key, const unsigned char *content,
			 size_t size, unsigned char *signature, size_t room);
};

#endif
