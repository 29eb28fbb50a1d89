/* See secret.h. Any process and thread. */
#include "base/secret.h"

#include <string.h>

void wipe(void *p, size_t n)
{
	explicit_bzero(p, n);
}

void secret_init(struct secret *secret)
{
	secret->size = 0;
	secret->bytes[0] = '\0';
}

int secret_set(struct secret *secret, pop3_span bytes)
{
	if (bytes.size > SECRET_MAX)
		return -1;
	if (bytes.size)
		memcpy(secret->bytes, bytes.data, bytes.size);
	secret->bytes[bytes.size] = '\0';
	secret->size = bytes.size;
	return 0;
}

void secret_finish(struct secret *secret)
{
	/* all of it: a longer secret may have been set before */
	wipe(secret->bytes, sizeof(secret->bytes));
	secret->size = 0;
}

bool secret_equal(pop3_span a, pop3_span b)
{
	volatile unsigned char difference = 0;

	if (a.size != b.size)
		return false;
	for (size_t i = 0; i < a.size; i++)
		difference |= (unsigned char)(a.data[i] ^ b.data[i]);
	return difference == 0;
}
