/* See cram_md5.h. In auth's workers, and in `valija user`. */
#include "users/cram_md5.h"

#include "base/digest.h"
#include "base/text.h"

void cram_md5_make(const struct secret *password, char hex[CRAM_MD5_HEX + 1])
{
	unsigned char states[HMAC_MD5_STATES];
	struct hmac hmac;

	hmac_init(&hmac, DIGEST_MD5, password->bytes, password->size);
	hmac_md5_save(&hmac, states);
	hex_encode(states, sizeof(states), hex);
	wipe(&hmac, sizeof(hmac));
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
	unsigned char states[HMAC_MD5_STATES], mac[DIGEST_MAX];
	struct hmac hmac;

	if (hex.size != CRAM_MD5_HEX)
		return -1;
	for (size_t i = 0; i < sizeof(states); i++) {
		int high = hex_digit(hex.data[2 * i]), low = hex_digit(hex.data[2 * i + 1]);

		if (high < 0 || low < 0)
			return -1;
		states[i] = (unsigned char)(high << 4 | low);
	}
	hmac_md5_restore(&hmac, states);
	hmac_add(&hmac, challenge.data, challenge.size);
	hmac_finish(&hmac, mac);
	hex_encode(mac, digest_size(DIGEST_MD5), answer);
	wipe(states, sizeof(states));
	return 0;
}
