/* The signatures that handshakes may have: the door between what fronts ask for and what the
 * process keys makes. No state. */
#ifndef SYS_TLS_SCHEME_H
#define SYS_TLS_SCHEME_H

#include <stdbool.h>
#include <stdint.h>

/* The preferences of a server, for the library. Nothing with SHA-1 or SHA-224. */
#define TLS_SCHEMES                                                                          \
	"ECDSA+SHA256:ECDSA+SHA384:ECDSA+SHA512:ed25519:ed448:"                              \
	"rsa_pss_pss_sha256:rsa_pss_pss_sha384:rsa_pss_pss_sha512:"                          \
	"rsa_pss_rsae_sha256:rsa_pss_rsae_sha384:rsa_pss_rsae_sha512:RSA+SHA256:RSA+SHA384:" \
	"RSA+SHA512"

enum tls_scheme_kind { TLS_RSA, TLS_RSA_PSS, TLS_ECDSA, TLS_ED25519, TLS_ED448 };

struct tls_scheme {
	uint16_t code; /* SignatureScheme, RFC 8446 section 4.2.3; TLS_SCHEME_MD5_SHA1 is ours */
	uint8_t kind;  /* of the key: enum tls_scheme_kind */
	bool pss;      /* of an RSA key: RSASSA-PSS, else PKCS #1 version 1.5 */
	uint16_t bits; /* of the SHA-2 digest; 0: the scheme has its own; TLS_BITS_… */
};

/* Of TLS 1.0 and 1.1 alone: RSA over MD5 and SHA-1 together, ECDSA over SHA-1. */
enum { TLS_SCHEME_MD5_SHA1 = 0xfe01, TLS_BITS_SHA1 = 160, TLS_BITS_MD5_SHA1 = 288 };
bool tls_scheme_is_old(const struct tls_scheme *scheme);

const struct tls_scheme *tls_scheme(uint32_t code); /* NULL: none of the list */
/* The scheme with these properties, NULL: none. */
const struct tls_scheme *tls_scheme_find(enum tls_scheme_kind kind, bool pss, unsigned bits);

#endif
