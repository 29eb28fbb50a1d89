/* See siphash.h. */
#include "base/siphash.h"

struct state {
	uint64_t v0, v1, v2, v3;
};

static uint64_t left(uint64_t x, unsigned n)
{
	return x << n | x >> (64 - n);
}

static uint64_t word(const unsigned char *octets, size_t count)
{
	uint64_t value = 0;

	while (count--)
		value = value << 8 | octets[count];
	return value;
}

static void rounds(struct state *s, unsigned count)
{
	while (count--) {
		s->v0 += s->v1;
		s->v2 += s->v3;
		s->v1 = left(s->v1, 13) ^ s->v0;
		s->v3 = left(s->v3, 16) ^ s->v2;
		s->v0 = left(s->v0, 32);
		s->v2 += s->v1;
		s->v0 += s->v3;
		s->v1 = left(s->v1, 17) ^ s->v2;
		s->v3 = left(s->v3, 21) ^ s->v0;
		s->v2 = left(s->v2, 32);
	}
}

static struct state begin(const struct siphash_key *key)
{
	return (struct state){
		key->words[0] ^ 0x736f6d6570736575u, key->words[1] ^ 0x646f72616e646f6du,
		key->words[0] ^ 0x6c7967656e657261u, key->words[1] ^ 0x7465646279746573u};
}

static void add(struct state *s, uint64_t value)
{
	s->v3 ^= value;
	rounds(s, 2);
	s->v0 ^= value;
}

static uint64_t end(struct state *s)
{
	s->v2 ^= 0xff;
	rounds(s, 4);
	return s->v0 ^ s->v1 ^ s->v2 ^ s->v3;
}

struct siphash_key siphash_key_of(const unsigned char octets[SIPHASH_KEY_SIZE])
{
	return (struct siphash_key){{word(octets, 8), word(octets + 8, 8)}};
}

uint64_t siphash(const struct siphash_key *key, const void *data, size_t size)
{
	const unsigned char *at = data;
	uint64_t length = (uint64_t)size << 56;
	struct state s = begin(key);

	for (; size >= 8; size -= 8, at += 8)
		add(&s, word(at, 8));
	add(&s, length | word(at, size));
	return end(&s);
}

uint64_t siphash_number(const struct siphash_key *key, uint64_t number)
{
	struct state s = begin(key);

	add(&s, number);
	add(&s, 8ull << 56);
	return end(&s);
}
