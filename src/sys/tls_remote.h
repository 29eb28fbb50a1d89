/*
 * Keys for OpenSSL whose private half is elsewhere: a small provider with one key manager a kind of
 * key and one signature, which calls back. For sys/tls_server.c only. Nothing is mapped or opened
 * for it.
 */
#ifndef SYS_TLS_REMOTE_H
#define SYS_TLS_REMOTE_H

#include <openssl/evp.h>
#include <openssl/provider.h>
#include <stddef.h>
#include <stdint.h>

/* Signs content with key number key. Returns the signature's size, 0: it cannot. */
typedef unsigned tls_remote_sign(void *context, uint32_t key, const unsigned char *content,
				 size_t size, unsigned char *signature, size_t room);

/* Loads the provider, before the first key. The caller unloads it when the last key is freed. NULL:
 * it cannot be loaded. */
OSSL_PROVIDER *tls_remote_load(void);
/* A key that passes for the whole of public; call makes each signature. The caller frees
 * it, and keeps context as long as it lives. NULL: a kind of key that is not served, or no memory.
 */
EVP_PKEY *tls_remote_key(EVP_PKEY *public, uint32_t key, tls_remote_sign *call, void *context);

#endif
