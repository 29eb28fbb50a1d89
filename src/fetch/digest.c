/*
 * See digest.h. The library's old low-level functions, and that on purpose: the new ones load
 * providers first, which costs two megabytes and two milliseconds in a run without TLS.
 */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "fetch/digest.h"

#include "base/text.h"

#include <assert.h>
#include <openssl/sha.h>
#include <string.h>

static_assert(sizeof(SHA256_CTX) <= sizeof(struct digest), "room for the library's state");
static_assert(_Alignof(SHA256_CTX) <= _Alignof(struct digest), "aligned for it");

void digest_init(struct digest *digest)
{
	SHA256_Init((SHA256_CTX *)digest->state);
}

void digest_add(struct digest *digest, pop3_span text)
{
	SHA256_Update((SHA256_CTX *)digest->state, text.data, text.size);
}

void digest_text(struct digest *digest, char ret[DIGEST_TEXT_SIZE])
{
	unsigned char raw[SHA256_DIGEST_LENGTH];

	SHA256_Final(raw, (SHA256_CTX *)digest->state);
	hex_encode(raw, 16, ret);
}
