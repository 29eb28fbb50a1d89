/* SHA-256 for names: of messages without unique ids, of accounts, of deliveries. */
#ifndef FETCH_DIGEST_H
#define FETCH_DIGEST_H

#include <pop3/span.h>

#include <stdint.h>

#define DIGEST_TEXT_SIZE 33 /* 128 bits in hex digits and a NUL */

/* Embedded; wraps the library's state, whose size is asserted in digest.c. */
struct digest {
	uint64_t state[16];
};

void digest_init(struct digest *digest);
void digest_add(struct digest *digest, pop3_span text);
/* The first half of the digest, as text. */
void digest_text(struct digest *digest, char ret[DIGEST_TEXT_SIZE]);

#endif
