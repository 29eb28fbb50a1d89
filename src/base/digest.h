/*
 * Digests, HMAC and PBKDF2: the one door to libcrypto besides sys/tls*.h. Any process and thread.
 * States are embedded in the caller's structs; nothing is allocated, nothing can fail, and no
 * provider is loaded, so a login or a message name costs its compressions and no more. States that
 * took a secret are wiped by their _finish. Constant-time comparison: base/secret.h; random octets:
 * base/random.h.
 */
#ifndef BASE_DIGEST_H
#define BASE_DIGEST_H

#include <stddef.h>
#include <stdint.h>

enum digest_kind { DIGEST_MD5, DIGEST_SHA_1, DIGEST_SHA_256, DIGEST_SHA_512 };

#define DIGEST_MAX 64      /* octets of the longest digest */
#define DIGEST_NAME_MAX 33 /* a digest as a name: 128 bits in hex digits and a NUL */
#define HMAC_MD5_STATES 32

/* Wraps the library's state, whose size is asserted in digest.c. A copy goes its own way. */
struct digest {
	uint64_t state[27];
	enum digest_kind kind;
};

size_t digest_size(enum digest_kind kind); /* octets of a digest */
void digest_init(struct digest *digest, enum digest_kind kind);
void digest_add(struct digest *digest, const void *data, size_t size);
/* Writes digest_size octets. The state is wiped. */
void digest_finish(struct digest *digest, unsigned char *ret);
/* The first 16 octets as hex digits. The state is wiped. */
void digest_finish_name(struct digest *digest, char ret[DIGEST_NAME_MAX]);
/* All at once. */
void digest_of(enum digest_kind kind, const void *data, size_t size, unsigned char *ret);

/* HMAC (RFC 2104). A state that has taken the key and no text may be kept and copied for each
 * text: that saves two compressions a text. */
struct hmac {
	struct digest inner, outer;
};
void hmac_init(struct hmac *hmac, enum digest_kind kind, const void *key, size_t size);
void hmac_add(struct hmac *hmac, const void *data, size_t size);
/* Writes digest_size octets. The state is wiped. */
void hmac_finish(struct hmac *hmac, unsigned char *ret);
/* All at once. */
void hmac_of(enum digest_kind kind, const void *key, size_t key_size, const void *data, size_t size,
	     unsigned char *ret);

/* The keyed state of HMAC-MD5 in the form that passwd-files hold for CRAM-MD5: outer, then inner
 * chaining value, little-endian. Saved before any text was added. */
void hmac_md5_save(const struct hmac *hmac, unsigned char ret[HMAC_MD5_STATES]);
void hmac_md5_restore(struct hmac *hmac, const unsigned char states[HMAC_MD5_STATES]);

/* PBKDF2 (RFC 8018) with HMAC, its first block only: SCRAM's Hi() (RFC 5802 section 2.2). Writes
 * digest_size octets. iterations > 0. */
void pbkdf2(enum digest_kind kind, const void *password, size_t password_size, const void *salt,
	    size_t salt_size, uint32_t iterations, unsigned char *ret);

#endif
