/* Digests, HMAC and PBKDF2 against the vectors of their RFCs; random octets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/digest.h"
#include "base/random.h"
#include "base/text.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void assert_hex(const unsigned char *octets, size_t size, const char *expected)
{
	char hex[2 * DIGEST_MAX + 1];

	assert_true(size <= DIGEST_MAX);
	hex_encode(octets, size, hex);
	assert_string_equal(hex, expected);
}

static const struct {
	enum digest_kind kind;
	const char *text, *digest;
} digests[] = {
	/* RFC 1321 A.5 */
	{DIGEST_MD5, "", "d41d8cd98f00b204e9800998ecf8427e"},
	{DIGEST_MD5, "message digest", "f96b697d7cb7938d525a2f31aaf161d0"},
	{DIGEST_MD5,
	 "12345678901234567890123456789012345678901234567890123456789012345678901234567890",
	 "57edf4a22be3c955ac49da2e2107b67a"},
	/* RFC 3174 section 7.3, RFC 6234 section 8.5 */
	{DIGEST_SHA_1, "abc", "a9993e364706816aba3e25717850c26c9cd0d89d"},
	{DIGEST_SHA_1, "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
	 "84983e441c3bd26ebaae4aa1f95129e5e54670f1"},
	{DIGEST_SHA_256, "", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
	{DIGEST_SHA_256, "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
	{DIGEST_SHA_256, "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
	 "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
	{DIGEST_SHA_512, "abc",
	 "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
	 "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f"},
};

static void test_digest_vectors(void **state)
{
	for (size_t i = 0; i < COUNT(digests); i++) {
		unsigned char raw[DIGEST_MAX];

		digest_of(digests[i].kind, digests[i].text, strlen(digests[i].text), raw);
		assert_hex(raw, digest_size(digests[i].kind), digests[i].digest);
	}
}

/* In pieces of every size, and a copy taken half way goes its own way. */
static void test_digest_in_pieces(void **state)
{
	for (size_t i = 0; i < COUNT(digests); i++) {
		const char *text = digests[i].text;
		const size_t size = strlen(text);

		for (size_t piece = 1; piece <= size; piece++) {
			struct digest digest, copy;
			unsigned char raw[DIGEST_MAX];
			size_t at = 0;

			digest_init(&digest, digests[i].kind);
			for (; at + piece <= size; at += piece)
				digest_add(&digest, text + at, piece);
			copy = digest;
			digest_add(&copy, "something else", 14);
			digest_finish(&copy, raw);
			digest_add(&digest, text + at, size - at);
			digest_finish(&digest, raw);
			assert_hex(raw, digest_size(digests[i].kind), digests[i].digest);
		}
	}
}

static void test_nothing_added(void **state)
{
	struct digest digest;
	unsigned char raw[DIGEST_MAX];

	digest_init(&digest, DIGEST_SHA_256);
	digest_add(&digest, NULL, 0);
	digest_finish(&digest, raw);
	assert_hex(raw, 32, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

static void test_name_is_the_first_half(void **state)
{
	char name[DIGEST_NAME_MAX];
	struct digest digest;

	digest_init(&digest, DIGEST_SHA_256);
	digest_add(&digest, "abc", 3);
	digest_finish_name(&digest, name);
	assert_string_equal(name, "ba7816bf8f01cfea414140de5dae2223");
}

static void assert_wiped(const void *state, size_t size)
{
	const unsigned char *octets = state;

	for (size_t i = 0; i < size; i++)
		assert_int_equal(octets[i], 0);
}

static void test_finish_leaves_nothing(void **state)
{
	unsigned char raw[DIGEST_MAX];
	struct digest digest;
	struct hmac hmac;

	digest_init(&digest, DIGEST_SHA_512);
	digest_add(&digest, "a secret", 8);
	digest_finish(&digest, raw);
	assert_wiped(digest.state, sizeof(digest.state));
	hmac_init(&hmac, DIGEST_SHA_1, "a key", 5);
	hmac_finish(&hmac, raw);
	assert_wiped(hmac.inner.state, sizeof(hmac.inner.state));
	assert_wiped(hmac.outer.state, sizeof(hmac.outer.state));
}

/* ---- HMAC ---- */

static const char long_key_text[] = "Test Using Larger Than Block-Size Key - Hash Key First";

static const struct {
	enum digest_kind kind;
	int key_octet; /* 0: key is a text */
	size_t key_size;
	const char *key, *text, *mac;
} macs[] = {
	/* RFC 2202 sections 2 and 3: cases 1, 2, 6 */
	{DIGEST_MD5, 0x0b, 16, NULL, "Hi There", "9294727a3638bb1c13f48ef8158bfc9d"},
	{DIGEST_MD5, 0, 4, "Jefe", "what do ya want for nothing?",
	 "750c783e6ab0b503eaa86e310a5db738"},
	{DIGEST_MD5, 0xaa, 80, NULL, long_key_text, "6b1ab7fe4bd7bf8f0b62e6ce61b9d0cd"},
	{DIGEST_SHA_1, 0x0b, 20, NULL, "Hi There", "b617318655057264e28bc0b6fb378c8ef146be00"},
	{DIGEST_SHA_1, 0, 4, "Jefe", "what do ya want for nothing?",
	 "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"},
	{DIGEST_SHA_1, 0xaa, 80, NULL, long_key_text, "aa4ae5e15272d00e95705637ce8a3b55ed402112"},
	/* RFC 4231 section 4: cases 1, 2, 6 */
	{DIGEST_SHA_256, 0x0b, 20, NULL, "Hi There",
	 "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"},
	{DIGEST_SHA_256, 0, 4, "Jefe", "what do ya want for nothing?",
	 "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
	{DIGEST_SHA_256, 0xaa, 131, NULL, long_key_text,
	 "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"},
	{DIGEST_SHA_512, 0, 4, "Jefe", "what do ya want for nothing?",
	 "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554"
	 "9758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737"},
};

static const void *key_of(size_t i, unsigned char buf[160])
{
	memset(buf, macs[i].key_octet, 160);
	return macs[i].key ? (const void *)macs[i].key : buf;
}

static void test_hmac_vectors(void **state)
{
	for (size_t i = 0; i < COUNT(macs); i++) {
		unsigned char key[160], raw[DIGEST_MAX];

		hmac_of(macs[i].kind, key_of(i, key), macs[i].key_size, macs[i].text,
			strlen(macs[i].text), raw);
		assert_hex(raw, digest_size(macs[i].kind), macs[i].mac);
	}
}

/* One keyed state serves many texts. */
static void test_keyed_state_is_copied(void **state)
{
	for (size_t i = 0; i < COUNT(macs); i++) {
		unsigned char key[160], raw[DIGEST_MAX];
		struct hmac keyed;

		hmac_init(&keyed, macs[i].kind, key_of(i, key), macs[i].key_size);
		for (int round = 0; round < 3; round++) {
			struct hmac hmac = keyed;

			hmac_add(&hmac, macs[i].text, 4);
			hmac_add(&hmac, macs[i].text + 4, strlen(macs[i].text) - 4);
			hmac_finish(&hmac, raw);
			assert_hex(raw, digest_size(macs[i].kind), macs[i].mac);
		}
	}
}

/* RFC 2195's example, answered from the stored states. */
static void test_hmac_md5_states(void **state)
{
	static const char text[] = "<1896.697170952@postoffice.reston.mci.net>";
	unsigned char states[HMAC_MD5_STATES], raw[DIGEST_MAX];
	struct hmac hmac;

	hmac_init(&hmac, DIGEST_MD5, "tanstaaftanstaaf", 16);
	hmac_md5_save(&hmac, states);
	memset(&hmac, 0xff, sizeof(hmac));
	hmac_md5_restore(&hmac, states);
	hmac_add(&hmac, text, strlen(text));
	hmac_finish(&hmac, raw);
	assert_hex(raw, 16, "b913a602c7eda7a495b4e6e7334d3890");
}

/* ---- PBKDF2 ---- */

static const struct {
	enum digest_kind kind;
	uint32_t iterations;
	const char *password, *salt, *key;
} keys[] = {
	/* RFC 6070 */
	{DIGEST_SHA_1, 1, "password", "salt", "0c60c80f961f0e71f3a9b524af6012062fe037a6"},
	{DIGEST_SHA_1, 2, "password", "salt", "ea6c014dc72d6f8ccd1ed92ace1d41f0d8de8957"},
	{DIGEST_SHA_1, 4096, "password", "salt", "4b007901b765489abead49d926f721d065a429c1"},
	/* RFC 7914 section 11, the first of two blocks */
	{DIGEST_SHA_256, 1, "passwd", "salt",
	 "55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc"},
	{DIGEST_SHA_256, 80000, "Password", "NaCl",
	 "4ddcd8f60b98be21830cee5ef22701f9641a4418d04c0414aeff08876b34ab56"},
};

static void test_pbkdf2_vectors(void **state)
{
	for (size_t i = 0; i < COUNT(keys); i++) {
		unsigned char raw[DIGEST_MAX];

		pbkdf2(keys[i].kind, keys[i].password, strlen(keys[i].password), keys[i].salt,
		       strlen(keys[i].salt), keys[i].iterations, raw);
		assert_hex(raw, digest_size(keys[i].kind), keys[i].key);
	}
}

/* ---- random octets ---- */

static void test_random_octets(void **state)
{
	static unsigned char first[1000], second[1000]; /* more than one call gives for sure */
	unsigned seen = 0;

	assert_int_equal(random_octets(first, sizeof(first)), 0);
	assert_int_equal(random_octets(second, sizeof(second)), 0);
	assert_memory_not_equal(first, second, 64);
	for (size_t i = sizeof(first) - 64; i < sizeof(first); i++)
		seen |= first[i]; /* filled to its end */
	assert_int_equal(seen, 0xff);
	assert_int_equal(random_octets(NULL, 0), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_digest_vectors),
		cmocka_unit_test(test_digest_in_pieces),
		cmocka_unit_test(test_nothing_added),
		cmocka_unit_test(test_name_is_the_first_half),
		cmocka_unit_test(test_finish_leaves_nothing),
		cmocka_unit_test(test_hmac_vectors),
		cmocka_unit_test(test_keyed_state_is_copied),
		cmocka_unit_test(test_hmac_md5_states),
		cmocka_unit_test(test_pbkdf2_vectors),
		cmocka_unit_test(test_random_octets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
