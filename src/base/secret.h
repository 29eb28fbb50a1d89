/*
 * A password, key or token: a struct, so that it cannot be a log argument; wiped when finished;
 * compared in constant time. In place, so that no copy is left on a heap. Any process and thread.
 */
#ifndef BASE_SECRET_H
#define BASE_SECRET_H

#include <pop3/span.h>

#include <stdbool.h>

#define SECRET_MAX 4096

struct secret {
	size_t size;
	/* always NUL-terminated, for crypt(3); may hold a NUL inside: check size */
	char bytes[SECRET_MAX + 1];
};

void secret_init(struct secret *secret);
int secret_set(struct secret *secret, pop3_span bytes); /* -1: longer than SECRET_MAX */
void secret_finish(struct secret *secret);
/* The time it takes depends on the sizes only. */
bool secret_equal(pop3_span a, pop3_span b);
void wipe(void *p, size_t n); /* the compiler does not leave it out */

#endif
