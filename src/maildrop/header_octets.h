/*
 * The octets of a message's header: ASCII, UTF-8 (RFC 6532: a client has to give UTF8 for it, RFC
 * 6856), or others, which no standard has and which mail had long before either. The header ends
 * with the first empty line; headers of parts inside the body do not count. In pieces, without I/O
 * or allocation; every octet is hostile.
 */
#ifndef MAILDROP_HEADER_OCTETS_H
#define MAILDROP_HEADER_OCTETS_H

#include <pop3/span.h>

#include <stdbool.h>
#include <stdint.h>

enum header_kind { HEADER_ASCII, HEADER_UTF8, HEADER_OTHER };

/* Embedded by the caller. */
struct header_octets {
	uint8_t line;      /* octets of the line so far: 0, 1 (a CR), 2 (more) */
	uint8_t left;      /* octets that the character still has */
	uint8_t low, high; /* the bounds of the next one */
	bool beyond;       /* there was a character beyond ASCII */
	bool broken;       /* there were octets that are no UTF-8 */
	bool ended;        /* the empty line was there */
};

void header_octets_init(struct header_octets *octets);
/* Takes the next piece. False: what comes behind it changes nothing any more. */
bool header_octets_feed(struct header_octets *octets, pop3_span piece);
/* After the last piece. */
enum header_kind header_octets_kind(const struct header_octets *octets);

#endif
