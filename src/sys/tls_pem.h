/* Certificates and keys in PEM form, for sys/tls*.c only. The terminal is never asked for a
 * passphrase. */
#ifndef SYS_TLS_PEM_H
#define SYS_TLS_PEM_H

#include "sys/tls_server.h"

#include <openssl/evp.h>
#include <openssl/x509.h>

/* The first certificate; the others are pushed onto chain, unless that is NULL. The caller frees
 * all. NULL: err says why. */
X509 *tls_pem_leaf(const struct tls_certificate *from, STACK_OF(X509) * chain, struct err *err);
EVP_PKEY *tls_pem_key(const struct tls_certificate *from, struct err *err);

#endif
