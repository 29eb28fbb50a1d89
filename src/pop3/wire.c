/*
 * See wire_private.h. Vectors are GNU extensions, an exception that message.c explains; the loops
 * of plain C are the only ones for other compilers, and with -DPOP3_PORTABLE.
 */
#include "pop3/wire_private.h"

#include <string.h>

#if defined(__GNUC__) && !defined(POP3_PORTABLE)
#define WITH_VECTORS 1

/* Lanes of octets count up to TURNS_MAX, then they are added up. */
enum { LANES = 16, TURNS_MAX = 255, BLOCK = 4 * LANES };

typedef unsigned char lanes __attribute__((vector_size(LANES)));

static lanes load_lanes(const char *p)
{
	lanes v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static uint64_t add_up(lanes counts)
{
	uint64_t sum = 0;

	for (int i = 0; i < LANES; i++)
		sum += counts[i];
	return sum;
}

static bool any(lanes v)
{
	uint64_t halves[2];

	memcpy(halves, &v, sizeof(v));
	return halves[0] | halves[1];
}

/* Counts as p3_count_bare does, in as many octets as fill lanes; advances *p and *n. */
static uint64_t count_lanes(const char **ptr, size_t *size, bool *dots)
{
	const char *p = *ptr;
	size_t n = *size;
	uint64_t bare = 0;
	lanes dotted = {0};

	while (n >= LANES) {
		lanes counts = {0};
		size_t turns = n / LANES < TURNS_MAX ? n / LANES : TURNS_MAX;

		n -= turns * LANES;
		for (; turns; turns--, p += LANES) {
			lanes now = load_lanes(p), before = load_lanes(p - 1);

			counts -= (lanes)(now == '\n') & (lanes)(before != '\r');
			dotted |= (lanes)(now == '.') & (lanes)(before == '\n');
		}
		bare += add_up(counts);
	}
	*dots = *dots || add_up(dotted);
	*ptr = p;
	*size = n;
	return bare;
}

/* Copies LANES octets. Lanes are not 0 where the octet is no such text. */
static lanes copy_lanes(char *out, const char *p)
{
	lanes now = load_lanes(p), before = load_lanes(p - 1);

	memcpy(out, &now, sizeof(now));
	return ((lanes)(now == '\n') ^ (lanes)(before == '\r')) |
	       ((lanes)(now == '.') & (lanes)(before == '\n'));
}
#endif

uint64_t p3_count_bare(const char *p, size_t n, bool *dots)
{
	uint64_t bare = 0;

#ifdef WITH_VECTORS
	bare = count_lanes(&p, &n, dots);
#endif
	for (; n; n--, p++) {
		bare += p[0] == '\n' && p[-1] != '\r';
		*dots = *dots || (p[0] == '.' && p[-1] == '\n');
	}
	return bare;
}

size_t p3_copy_wire(char *out, const char *in, size_t n)
{
	size_t at = 0;

#ifdef WITH_VECTORS
	for (; n - at >= BLOCK; at += BLOCK) {
		lanes other = {0};

		for (size_t i = at; i < at + BLOCK; i += LANES)
			other |= copy_lanes(out + i, in + i);
		if (any(other))
			break;
	}
#else
	(void)out;
	(void)in;
	(void)n;
#endif
	return at;
}
