/* What tls_server.c (contexts) and tls_session.c (sessions) share. Nobody else includes this. */
#ifndef SYS_TLS_INTERNAL_H
#define SYS_TLS_INTERNAL_H

#include "sys/tls_session.h"

#include <openssl/ssl.h>

/* Room for one whole tls_session_write with its records' overhead, and what was held before it. */
#define TLS_WRITE_MAX 65536
#define TLS_OUT_SIZE (TLS_WRITE_MAX + 8192)

struct tls_name;

struct tls_server {
	unsigned references;
	SSL_CTX **contexts;
	unsigned context_count;
	struct tls_name *names; /* sorted: which context answers for it */
	unsigned name_count;
	unsigned char alpn[64]; /* length octet and name; 0: none */
	unsigned char keys[TLS_TICKET_KEYS][TLS_TICKET_KEY_SIZE];
	unsigned key_count;
	EVP_CIPHER *ticket_cipher;
	BIO_METHOD *bio;
	/* Records on their way to the socket, of the session that is in a call. Sessions of one
	 * server are all in one thread. */
	char *out;
	uint32_t out_used;
};

struct tls_session {
	struct tls_server *server;
	SSL *ssl;
	const char *error; /* static words of the library, NULL: none */
	char *unsent;      /* records the socket did not take, or that wait for more to go with */
	uint32_t unsent_at, unsent_size;
	int fd;
	uint16_t nuisances; /* key updates and renegotiations asked for */
	bool held;          /* unsent was not tried yet */
	bool hold;          /* let what is written wait */
	bool eof, cut, failed, established;
};

struct tls_session *tls_session_of(const SSL *ssl);
BIO_METHOD *tls_bio_method(void);
/* Counts what only an attacker sends often (threat 5). */
void tls_watch_message(int write_p, int version, int content_type, const void *buf, size_t len,
		       SSL *ssl, void *arg);

#endif
