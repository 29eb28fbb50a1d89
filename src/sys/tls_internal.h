/* The body of a server, which tls_server.c makes and tls_session.c takes its contexts from: for
 * these two only. */
#ifndef SYS_TLS_INTERNAL_H
#define SYS_TLS_INTERNAL_H

#include "sys/tls_wire.h"
#include "sys/tls_server.h"

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
	struct tls_out out;
};

#endif
