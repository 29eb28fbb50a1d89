/*
 * See crc32c.h. A table made at first use (threads may make it twice, with the same result) and, on
 * x86-64, SSE 4.2 with PCLMUL: an index of a million messages is checked block by block, so this is
 * on the path of LIST and UIDL.
 */
#include "base/crc32c.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

static uint32_t table[256];
static atomic_bool table_made;

static void make_table(void)
{
	for (uint32_t i = 0; i < 256; i++) {
		uint32_t c = i;

		for (int k = 0; k < 8; k++)
			c = c & 1 ? c >> 1 ^ 0x82f63b78u : c >> 1;
		table[i] = c;
	}
	atomic_store_explicit(&table_made, true, memory_order_release);
}

static uint32_t crc_table(uint32_t crc, const unsigned char *p, size_t n)
{
	if (!atomic_load_explicit(&table_made, memory_order_acquire))
		make_table();
	while (n--)
		crc = crc >> 8 ^ table[(crc ^ *p++) & 0xff];
	return crc;
}

#if defined(__x86_64__)
/* The instruction takes eight octets a cycle, its result comes three cycles later: so three runs at
 * once, of a length that lets three of them fill a block of the index. */
#define RUN 1360
/* x^(8n - 33) modulo the polynomial, for n = RUN and 2 * RUN; its bits reversed. */
#define OVER_ONE 0x3f70cc6f
#define OVER_TWO 0x5aa1f3cf

/* The sum after n more octets of zeros: times x^(8n), of which the instruction contributes x^33. */
__attribute__((target("sse4.2,pclmul"))) static uint64_t shift(uint64_t crc, int over)
{
	__m128i product =
		_mm_clmulepi64_si128(_mm_cvtsi64_si128((long long)crc), _mm_cvtsi32_si128(over), 0);

	return _mm_crc32_u64(0, (uint64_t)_mm_cvtsi128_si64(product));
}

static uint64_t eight(const unsigned char *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

__attribute__((target("sse4.2,pclmul"))) static uint32_t crc_sse42(uint32_t crc,
								   const unsigned char *p, size_t n)
{
	uint64_t wide = crc;

	for (; n >= 3 * RUN; n -= 3 * RUN, p += 3 * RUN) {
		uint64_t second = 0, third = 0;

		for (size_t i = 0; i < RUN; i += 8) {
			wide = _mm_crc32_u64(wide, eight(p + i));
			second = _mm_crc32_u64(second, eight(p + RUN + i));
			third = _mm_crc32_u64(third, eight(p + 2 * RUN + i));
		}
		wide = shift(wide, OVER_TWO) ^ shift(second, OVER_ONE) ^ third;
	}
	for (; n >= 8; n -= 8, p += 8)
		wide = _mm_crc32_u64(wide, eight(p));
	crc = (uint32_t)wide;
	while (n--)
		crc = _mm_crc32_u8(crc, *p++);
	return crc;
}
#endif

uint32_t crc32c(uint32_t crc, const void *data, size_t size)
{
	crc = ~crc;
#if defined(__x86_64__)
	if (__builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("pclmul"))
		return ~crc_sse42(crc, data, size);
#endif
	return ~crc_table(crc, data, size);
}
