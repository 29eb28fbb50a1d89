/* See tls_scheme.h. Fronts, keys, and every process that checks messages between them. */
#include "sys/tls_scheme.h"

#include <stddef.h>

static const struct tls_scheme schemes[] = {
	{0x0403, TLS_ECDSA, false, 256},
	{0x0503, TLS_ECDSA, false, 384},
	{0x0603, TLS_ECDSA, false, 512},
	{0x0807, TLS_ED25519, false, 0},
	{0x0808, TLS_ED448, false, 0},
	{0x0809, TLS_RSA_PSS, true, 256},
	{0x080a, TLS_RSA_PSS, true, 384},
	{0x080b, TLS_RSA_PSS, true, 512},
	{0x0804, TLS_RSA, true, 256},
	{0x0805, TLS_RSA, true, 384},
	{0x0806, TLS_RSA, true, 512},
	{0x0401, TLS_RSA, false, 256},
	{0x0501, TLS_RSA, false, 384},
	{0x0601, TLS_RSA, false, 512},
	{0x0203, TLS_ECDSA, false, TLS_BITS_SHA1},
	{TLS_SCHEME_MD5_SHA1, TLS_RSA, false, TLS_BITS_MD5_SHA1},
};

#define COUNT (sizeof(schemes) / sizeof(schemes[0]))

const struct tls_scheme *tls_scheme(uint32_t code)
{
	for (size_t i = 0; i < COUNT; i++)
		if (schemes[i].code == code)
			return &schemes[i];
	return NULL;
}

bool tls_scheme_is_old(const struct tls_scheme *scheme)
{
	return scheme->bits == TLS_BITS_SHA1 || scheme->bits == TLS_BITS_MD5_SHA1;
}

const struct tls_scheme *tls_scheme_find(enum tls_scheme_kind kind, bool pss, unsigned bits)
{
	for (size_t i = 0; i < COUNT; i++)
		if (schemes[i].kind == kind && schemes[i].pss == pss && schemes[i].bits == bits)
			return &schemes[i];
	return NULL;
}
