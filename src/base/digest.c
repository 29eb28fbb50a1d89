/*
 * See digest.h. The library's low-level functions, and that on purpose: its newer ones load
 * providers first (two megabytes, two milliseconds) and allocate a context for each digest, and
 * only these show the state of MD5.
 */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "base/digest.h"

#include "base/secret.h"
#include "base/text.h"

#include <assert.h>
#include <openssl/md5.h>
#include <openssl/sha.h>
#include <string.h>

enum { BLOCK_MAX = SHA512_CBLOCK };

/* Every kind's state begins where struct digest begins. */
#define STATE(type, digest) ((type *)(void *)(digest)->state)

static_assert(sizeof(MD5_CTX) <= sizeof(((struct digest *)0)->state), "room for MD5");
static_assert(sizeof(SHA_CTX) <= sizeof(((struct digest *)0)->state), "room for SHA-1");
static_assert(sizeof(SHA256_CTX) <= sizeof(((struct digest *)0)->state), "room for SHA-256");
static_assert(sizeof(SHA512_CTX) <= sizeof(((struct digest *)0)->state), "room for SHA-512");
static_assert(_Alignof(SHA512_CTX) <= _Alignof(struct digest), "aligned for each");
static_assert(SHA512_DIGEST_LENGTH == DIGEST_MAX, "the longest");

size_t digest_size(enum digest_kind kind)
{
	switch (kind) {
	case DIGEST_MD5:
		return MD5_DIGEST_LENGTH;
	case DIGEST_SHA_1:
		return SHA_DIGEST_LENGTH;
	case DIGEST_SHA_256:
		return SHA256_DIGEST_LENGTH;
	case DIGEST_SHA_512:
		return SHA512_DIGEST_LENGTH;
	}
	return 0;
}

void digest_init(struct digest *digest, enum digest_kind kind)
{
	digest->kind = kind;
	switch (kind) {
	case DIGEST_MD5:
		MD5_Init(STATE(MD5_CTX, digest));
		break;
	case DIGEST_SHA_1:
		SHA1_Init(STATE(SHA_CTX, digest));
		break;
	case DIGEST_SHA_256:
		SHA256_Init(STATE(SHA256_CTX, digest));
		break;
	case DIGEST_SHA_512:
		SHA512_Init(STATE(SHA512_CTX, digest));
		break;
	}
}

void digest_add(struct digest *digest, const void *data, size_t size)
{
	if (!size) /* data may be NULL then */
		return;
	switch (digest->kind) {
	case DIGEST_MD5:
		MD5_Update(STATE(MD5_CTX, digest), data, size);
		break;
	case DIGEST_SHA_1:
		SHA1_Update(STATE(SHA_CTX, digest), data, size);
		break;
	case DIGEST_SHA_256:
		SHA256_Update(STATE(SHA256_CTX, digest), data, size);
		break;
	case DIGEST_SHA_512:
		SHA512_Update(STATE(SHA512_CTX, digest), data, size);
		break;
	}
}

/* The state is not wiped: for those who use it again, or wipe more at once. */
static void write_digest(struct digest *digest, unsigned char *ret)
{
	switch (digest->kind) {
	case DIGEST_MD5:
		MD5_Final(ret, STATE(MD5_CTX, digest));
		break;
	case DIGEST_SHA_1:
		SHA1_Final(ret, STATE(SHA_CTX, digest));
		break;
	case DIGEST_SHA_256:
		SHA256_Final(ret, STATE(SHA256_CTX, digest));
		break;
	case DIGEST_SHA_512:
		SHA512_Final(ret, STATE(SHA512_CTX, digest));
		break;
	}
}

void digest_finish(struct digest *digest, unsigned char *ret)
{
	write_digest(digest, ret);
	wipe(digest->state, sizeof(digest->state));
}

void digest_finish_name(struct digest *digest, char ret[DIGEST_NAME_MAX])
{
	unsigned char raw[DIGEST_MAX];

	digest_finish(digest, raw);
	hex_encode(raw, (DIGEST_NAME_MAX - 1) / 2, ret);
	wipe(raw, sizeof(raw));
}

void digest_of(enum digest_kind kind, const void *data, size_t size, unsigned char *ret)
{
	struct digest digest;

	digest_init(&digest, kind);
	digest_add(&digest, data, size);
	digest_finish(&digest, ret);
}

/* ---- HMAC ---- */

static size_t block_size(enum digest_kind kind)
{
	switch (kind) {
	case DIGEST_MD5:
		return MD5_CBLOCK;
	case DIGEST_SHA_1:
		return SHA_CBLOCK;
	case DIGEST_SHA_256:
		return SHA256_CBLOCK;
	case DIGEST_SHA_512:
		return SHA512_CBLOCK;
	}
	return 0;
}

static void take_pad(struct digest *digest, enum digest_kind kind, const unsigned char *key,
		     unsigned char pad)
{
	unsigned char block[BLOCK_MAX];
	const size_t size = block_size(kind);

	for (size_t i = 0; i < size; i++)
		block[i] = key[i] ^ pad;
	digest_init(digest, kind);
	digest_add(digest, block, size);
	wipe(block, sizeof(block));
}

void hmac_init(struct hmac *hmac, enum digest_kind kind, const void *key, size_t size)
{
	unsigned char block[BLOCK_MAX] = {0};

	if (size > block_size(kind))
		digest_of(kind, key, size, block);
	else if (size)
		memcpy(block, key, size);
	take_pad(&hmac->inner, kind, block, 0x36);
	take_pad(&hmac->outer, kind, block, 0x5c);
	wipe(block, sizeof(block));
}

void hmac_add(struct hmac *hmac, const void *data, size_t size)
{
	digest_add(&hmac->inner, data, size);
}

static void write_hmac(struct hmac *hmac, unsigned char *ret)
{
	write_digest(&hmac->inner, ret);
	digest_add(&hmac->outer, ret, digest_size(hmac->outer.kind));
	write_digest(&hmac->outer, ret);
}

void hmac_finish(struct hmac *hmac, unsigned char *ret)
{
	write_hmac(hmac, ret);
	wipe(hmac, sizeof(*hmac));
}

void hmac_of(enum digest_kind kind, const void *key, size_t key_size, const void *data, size_t size,
	     unsigned char *ret)
{
	struct hmac hmac;

	hmac_init(&hmac, kind, key, key_size);
	hmac_add(&hmac, data, size);
	hmac_finish(&hmac, ret);
}

static void save_state(const struct digest *digest, unsigned char ret[16])
{
	const MD5_CTX *md5 = (const MD5_CTX *)(const void *)digest->state;
	const MD5_LONG words[4] = {md5->A, md5->B, md5->C, md5->D};

	for (int i = 0; i < 16; i++)
		ret[i] = (unsigned char)(words[i / 4] >> 8 * (i % 4));
}

/* A state that has taken one block and come to these values. */
static void restore_state(struct digest *digest, const unsigned char values[16])
{
	MD5_CTX *md5 = STATE(MD5_CTX, digest);
	MD5_LONG words[4] = {0};

	for (int i = 0; i < 16; i++)
		words[i / 4] |= (MD5_LONG)values[i] << 8 * (i % 4);
	digest_init(digest, DIGEST_MD5);
	md5->A = words[0];
	md5->B = words[1];
	md5->C = words[2];
	md5->D = words[3];
	md5->Nl = MD5_CBLOCK * 8;
}

void hmac_md5_save(const struct hmac *hmac, unsigned char ret[HMAC_MD5_STATES])
{
	assert(hmac->inner.kind == DIGEST_MD5);
	save_state(&hmac->outer, ret);
	save_state(&hmac->inner, ret + HMAC_MD5_STATES / 2);
}

void hmac_md5_restore(struct hmac *hmac, const unsigned char states[HMAC_MD5_STATES])
{
	restore_state(&hmac->outer, states);
	restore_state(&hmac->inner, states + HMAC_MD5_STATES / 2);
}

/* ---- PBKDF2 ---- */

void pbkdf2(enum digest_kind kind, const void *password, size_t password_size, const void *salt,
	    size_t salt_size, uint32_t iterations, unsigned char *ret)
{
	static const unsigned char first_block[4] = {0, 0, 0, 1};
	const size_t size = digest_size(kind);
	struct hmac keyed, run;
	unsigned char round[DIGEST_MAX];

	assert(iterations);
	hmac_init(&keyed, kind, password, password_size);
	run = keyed;
	hmac_add(&run, salt, salt_size);
	hmac_add(&run, first_block, sizeof(first_block));
	write_hmac(&run, round);
	memcpy(ret, round, size);
	for (uint32_t i = 1; i < iterations; i++) {
		run = keyed;
		hmac_add(&run, round, size);
		write_hmac(&run, round);
		for (size_t k = 0; k < size; k++)
			ret[k] ^= round[k];
	}
	wipe(&keyed, sizeof(keyed));
	wipe(&run, sizeof(run));
	wipe(round, sizeof(round));
}
