/*
 * See crc32c.h. A table made at first use (threads may make it twice, to the same end) and, on
 * x86-64, SSE 4.2: an index of a million messages is checked block by block, so this is on the path
 * of LIST and UIDL.
 */
#include "base/crc32c.h"

#include <stdbool.h>
#include <string.h>

static uint32_t table[256];
static volatile bool table_made;

static void make_table(void)
{
	for (uint32_t i = 0; i < 256; i++) {
		uint32_t c = i;

		for (int k = 0; k < 8; k++)
			c = c & 1 ? c >> 1 ^ 0x82f63b78u : c >> 1;
		table[i] = c;
	}
	table_made = true;
}

static uint32_t crc_table(uint32_t crc, const unsigned char *p, size_t n)
{
	if (!table_made)
		make_table();
	while (n--)
		crc = crc >> 8 ^ table[(crc ^ *p++) & 0xff];
	return crc;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) static uint32_t crc_sse42(uint32_t crc, const unsigned char *p,
							    size_t n)
{
	uint64_t wide = crc;

	for (; n >= 8; n -= 8, p += 8) {
		uint64_t v;

		memcpy(&v, p, sizeof(v));
		wide = __builtin_ia32_crc32di(wide, v);
	}
	crc = (uint32_t)wide;
	while (n--)
		crc = __builtin_ia32_crc32qi(crc, *p++);
	return crc;
}
#endif

uint32_t crc32c(uint32_t crc, const void *data, size_t size)
{
	crc = ~crc;
#if defined(__x86_64__)
	if (__builtin_cpu_supports("sse4.2"))
		return ~crc_sse42(crc, data, size);
#endif
	return ~crc_table(crc, data, size);
}
