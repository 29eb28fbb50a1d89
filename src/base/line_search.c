/*
 * See line_search.h. Vectors are GNU extensions, and an exception to the rule that only src/sys has
 * them, as in pop3/message.c: memmem took a third of the time in which a mailbox is scanned. The
 * loop of plain C behind them is the only one for other compilers.
 */
#include "base/line_search.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#if defined(__GNUC__) && !defined(POP3_PORTABLE)
enum { LANES = 16, AT_ONCE = 4 * LANES };

typedef unsigned char lanes __attribute__((vector_size(LANES)));

/* Lanes are not 0 where an LF stands with that octet behind it. */
static lanes look(const char *p, char first)
{
	lanes now, next;

	memcpy(&now, p, sizeof(now));
	memcpy(&next, p + 1, sizeof(next));
	return (lanes)(now == '\n') & (lanes)(next == (unsigned char)first);
}

static bool any(lanes v)
{
	uint64_t halves[2];

	memcpy(halves, &v, sizeof(v));
	return halves[0] | halves[1];
}

/* Skips octets in which there is none. */
static size_t skip(pop3_span text, size_t at, char first)
{
	while (text.size - at > AT_ONCE) {
		const char *p = text.data + at;

		if (any(look(p, first) | look(p + LANES, first) | look(p + 2 * LANES, first) |
			look(p + 3 * LANES, first)))
			break;
		at += AT_ONCE;
	}
	return at;
}
#else
enum { AT_ONCE = 4096 };

static size_t skip(pop3_span text, size_t at, char first)
{
	(void)text;
	(void)first;
	return at;
}
#endif

size_t line_search(pop3_span text, size_t at, char first)
{
	while (at < text.size) {
		size_t end;

		at = skip(text, at, first);
		end = text.size - at < AT_ONCE ? text.size : at + AT_ONCE;
		for (; at < end; at++)
			if (text.data[at] == '\n' && at + 1 < text.size &&
			    text.data[at + 1] == first)
				return at;
	}
	return text.size;
}
