/*
 * Netstrings ("5:hello,"), as Postfix's socketmap has them: octets in, a span out. No I/O, no
 * memory. Every octet is hostile.
 */
#ifndef SERVER_MTA_NETSTRING_H
#define SERVER_MTA_NETSTRING_H

#include <pop3/span.h>

enum {
	NETSTRING_MAX = 1024, /* octets of a content that is taken */
	NETSTRING_ROOM = NETSTRING_MAX + 8,
};

enum netstring_status { NETSTRING_WHOLE, NETSTRING_MORE, NETSTRING_BAD };

/* Reads the netstring at the front of octets. WHOLE: *ret is its content, *ret_size the octets that
 * it takes. BAD: it is none, or its content is longer than NETSTRING_MAX. */
enum netstring_status netstring_parse(pop3_span octets, pop3_span *ret, size_t *ret_size);

#endif
