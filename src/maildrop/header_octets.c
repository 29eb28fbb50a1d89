/* See header_octets.h. */
#include "maildrop/header_octets.h"

void header_octets_init(struct header_octets *h)
{
	*h = (struct header_octets){0};
}

/* The first octet of a character beyond ASCII: RFC 3629 section 4. False: none begins so. */
static bool begin(struct header_octets *h, uint8_t octet)
{
	if (octet < 0xc2 || octet > 0xf4)
		return false;
	h->left = octet < 0xe0 ? 1 : octet < 0xf0 ? 2 : 3;
	h->low = octet == 0xe0 ? 0xa0 : octet == 0xf0 ? 0x90 : 0x80;
	h->high = octet == 0xed ? 0x9f : octet == 0xf4 ? 0x8f : 0xbf;
	return true;
}

static bool go_on(struct header_octets *h, uint8_t octet)
{
	if (octet < h->low || octet > h->high)
		return false;
	h->left--;
	h->low = 0x80;
	h->high = 0xbf;
	h->beyond |= h->left == 0;
	return true;
}

static bool is_sound(struct header_octets *h, uint8_t octet)
{
	if (h->left)
		return go_on(h, octet);
	return octet < 0x80 || begin(h, octet);
}

bool header_octets_feed(struct header_octets *h, pop3_span piece)
{
	for (size_t i = 0; i < piece.size && !h->ended && !h->broken; i++) {
		uint8_t octet = (uint8_t)piece.data[i];

		if (!is_sound(h, octet)) {
			h->broken = true;
		} else if (octet == '\n') {
			h->ended = h->line < 2;
			h->line = 0;
		} else {
			h->line = h->line == 0 && octet == '\r' ? 1 : 2;
		}
	}
	return !h->ended && !h->broken;
}

enum header_kind header_octets_kind(const struct header_octets *h)
{
	if (h->broken || h->left)
		return HEADER_OTHER;
	return h->beyond ? HEADER_UTF8 : HEADER_ASCII;
}
