/*
 * SipHash-2-4 (Aumasson, Bernstein 2012): a short hash with a key. Without the key nobody can make
 * many values that collide, so it is the hash of tables whose keys come from outside. Pure; any
 * process and thread.
 */
#ifndef BASE_SIPHASH_H
#define BASE_SIPHASH_H

#include <stddef.h>
#include <stdint.h>

enum { SIPHASH_KEY_SIZE = 16 };

struct siphash_key {
	uint64_t words[2];
};

struct siphash_key siphash_key_of(const unsigned char octets[SIPHASH_KEY_SIZE]);
uint64_t siphash(const struct siphash_key *key, const void *data, size_t size);
/* The same of the eight octets of number, lowest first; quicker. */
uint64_t siphash_number(const struct siphash_key *key, uint64_t number);

#endif
