/*
 * Numbers in files and packets, their lowest octet first, on any machine. With a constant number of
 * octets each is one load or store. Header only.
 */
#ifndef BASE_LITTLE_ENDIAN_H
#define BASE_LITTLE_ENDIAN_H

#include <endian.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* octets: 8 at most; of value, the low ones. */
static inline void le_put(void *to, uint64_t value, size_t octets)
{
	const uint64_t little = htole64(value);

	memcpy(to, &little, octets);
}

static inline uint64_t le_get(const void *from, size_t octets)
{
	uint64_t little = 0;

	memcpy(&little, from, octets);
	return le64toh(little);
}

static inline void le_put16(void *to, uint64_t value)
{
	le_put(to, value, 2);
}

static inline uint16_t le_get16(const void *from)
{
	return (uint16_t)le_get(from, 2);
}

static inline void le_put32(void *to, uint64_t value)
{
	le_put(to, value, 4);
}

static inline uint32_t le_get32(const void *from)
{
	return (uint32_t)le_get(from, 4);
}

static inline void le_put64(void *to, uint64_t value)
{
	le_put(to, value, 8);
}

static inline uint64_t le_get64(const void *from)
{
	return (uint64_t)le_get(from, 8);
}

#endif
