/* See cram_md5.h. OpenSSL's old interface is the one that shows MD5's state. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "users/cram_md5.h"

#include "base/text.h"

#include <openssl/md5.h>
#include <stdint.h>
#include <string.h>

static void put_state(const MD5_CTX *md5, unsigned char out[16])
{
	const MD5_LONG words[4] = {md5->A, md5->B, md5->C, md5->D};

	for (int i = 0; i < 16; i++)
		out[i] = (unsigned char)(words[i / 4] >> 8 * (i % 4));
}

/* A context that has taken one block and come to this state. */
static void from_state(const unsigned char in[16], MD5_CTX *md5)
{
	MD5_LONG words[4] = {0};

	for (int i = 0; i < 16; i++)
		words[i / 4] |= (MD5_LONG)in[i] << 8 * (i % 4);
	MD5_Init(md5);
	md5->A = words[0];
	md5->B = words[1];
	md5->C = words[2];
	md5->D = words[3];
	md5->Nl = 64 * 8;
}

static void state_of_pad(const unsigned char key[64], unsigned char pad, unsigned char out[16])
{
	unsigned char block[64];
	MD5_CTX md5;

	for (int i = 0; i < 64; i++)
		block[i] = key[i] ^ pad;
	MD5_Init(&md5);
	MD5_Update(&md5, block, sizeof(block));
	put_state(&md5, out);
	wipe(block, sizeof(block));
	wipe(&md5, sizeof(md5));
}

void cram_md5_make(const struct secret *password, char hex[CRAM_MD5_HEX + 1])
{
	unsigned char key[64] = {0}, states[32];

	if (password->size > sizeof(key))
		MD5((const unsigned char *)password->bytes, password->size, key);
	else
		memcpy(key, password->bytes, password->size);
	state_of_pad(key, 0x5c, states);
	state_of_pad(key, 0x36, states + 16);
	hex_encode(states, sizeof(states), hex);
	wipe(key, sizeof(key));
	wipe(states, sizeof(states));
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int cram_md5_answer(pop3_span hex, pop3_span challenge, char answer[33])
{
	unsigned char states[32], inner[16], outer[16];
	MD5_CTX md5;

	if (hex.size != CRAM_MD5_HEX)
		return -1;
	for (size_t i = 0; i < sizeof(states); i++) {
		int high = hex_digit(hex.data[2 * i]), low = hex_digit(hex.data[2 * i + 1]);

		if (high < 0 || low < 0)
			return -1;
		states[i] = (unsigned char)(high << 4 | low);
	}
	from_state(states + 16, &md5);
	MD5_Update(&md5, challenge.data, challenge.size);
	MD5_Final(inner, &md5);
	from_state(states, &md5);
	MD5_Update(&md5, inner, sizeof(inner));
	MD5_Final(outer, &md5);
	hex_encode(outer, sizeof(outer), answer);
	wipe(states, sizeof(states));
	wipe(&md5, sizeof(md5));
	return 0;
}
