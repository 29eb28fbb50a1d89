/* Shared by tls_client.c and tls_trust.c: for these two only. */
#ifndef SYS_TLS_CLIENT_INTERNAL_H
#define SYS_TLS_CLIENT_INTERNAL_H

#include "sys/tls_trust.h"

#include <openssl/ssl.h>

/* A new connection that trusts these authorities; note gets each session that could be resumed, and
 * is the same function for all. NULL: OpenSSL's queue of errors says why. */
SSL *tls_trust_connection(const struct tls_trust *trust, int (*note)(SSL *, SSL_SESSION *));

#endif
