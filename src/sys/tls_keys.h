/*
 * The private keys of a TLS server, and what they sign: handshakes, nothing else. The octets to
 * sign must have the form that a handshake gives them, so a process that may ask cannot use the
 * keys for anything but handshakes. Runs in the process keys, before and in its sandbox, and in
 * `valijad -t`; the requests are hostile.
 */
#ifndef SYS_TLS_KEYS_H
#define SYS_TLS_KEYS_H

#include "sys/tls_server.h"

#include <stdbool.h>
#include <stdint.h>

struct tls_keys;

enum tls_keys_answer {
	TLS_KEYS_SIGNED,
	TLS_KEYS_MISUSED, /* no such key, or not the octets of a handshake */
	TLS_KEYS_FAILED,  /* this kind of key makes no such signatures */
};

/* Keys 0 … count - 1. Parses all of them into memory that is not swapped or dumped; the PEM texts
 * stay the caller's, who wipes them. Returns 0, or -1: err names the certificate and says why. */
int tls_keys_create(const struct tls_certificate *certificates, unsigned count,
		    struct tls_keys **ret, struct err *err);
void tls_keys_destroy(struct tls_keys *keys); /* NULL is none */
/* They sign for TLS 1.0 and 1.1, too. */
void tls_keys_allow_old(struct tls_keys *keys);
/* Signs the content of request into signature, TLS_SIGNATURE_MAX octets, and sets *ret_size. */
enum tls_keys_answer tls_keys_sign(struct tls_keys *keys, const struct tls_to_sign *request,
				   unsigned char *signature, unsigned *ret_size);

#endif
