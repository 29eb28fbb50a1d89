/* See redirect.h. */
#include "fetch/oauth/redirect.h"

#include "base/secret.h"
#include "base/text.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum { VALUE_MAX = REDIRECT_CODE_MAX };

pop3_span redirect_query(pop3_span address)
{
	const char *mark = address.size ? memchr(address.data, '?', address.size) : NULL;
	const char *end = address.data + address.size;
	const char *fragment;

	if (!mark)
		return (pop3_span){0};
	mark++;
	fragment = memchr(mark, '#', (size_t)(end - mark));
	return (pop3_span){mark, (size_t)((fragment ? fragment : end) - mark)};
}

pop3_span redirect_target(pop3_span request)
{
	const char *end;

	if (request.size < 4 || memcmp(request.data, "GET ", 4) != 0)
		return (pop3_span){0};
	request.data += 4;
	request.size -= 4;
	end = memchr(request.data, ' ', request.size);
	return end ? (pop3_span){request.data, (size_t)(end - request.data)} : (pop3_span){0};
}

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* "%41" and "+". -1: a broken escape, or too long. */
static int decode(pop3_span text, char *out, size_t cap)
{
	size_t used = 0;

	for (size_t i = 0; i < text.size; i++) {
		char c = text.data[i];

		if (used + 1 >= cap)
			return -1;
		if (c == '%') {
			int high = i + 2 < text.size ? hex(text.data[i + 1]) : -1;
			int low = high < 0 ? -1 : hex(text.data[i + 2]);

			if (low < 0)
				return -1;
			c = (char)(high * 16 + low);
			i += 2;
		}
		out[used++] = c == '+' && text.data[i] == '+' ? ' ' : c;
	}
	out[used] = '\0';
	return (int)used;
}

/* The value of a name that is there once; -1: not there, twice, or broken. */
static int value_of(pop3_span query, const char *name, char out[VALUE_MAX])
{
	size_t n = strlen(name);
	int size = -1;

	while (query.size) {
		const char *end = memchr(query.data, '&', query.size);
		size_t part = end ? (size_t)(end - query.data) : query.size;

		if (part > n && memcmp(query.data, name, n) == 0 && query.data[n] == '=') {
			if (size >= 0)
				return -1;
			size = decode((pop3_span){query.data + n + 1, part - n - 1}, out,
				      VALUE_MAX);
			if (size < 0)
				return -1;
		}
		query.data += part + (end != NULL);
		query.size -= part + (end != NULL);
	}
	return size;
}

static bool printable(const char *text, int size)
{
	for (int i = 0; i < size; i++)
		if (text[i] <= 0x20 || text[i] >= 0x7f)
			return false;
	return size > 0;
}

enum redirect_kind redirect_read(pop3_span query, const char *state, struct redirect *ret)
{
	char value[VALUE_MAX];
	int n = value_of(query, "state", value);

	*ret = (struct redirect){0};
	if (n < 0 || !secret_equal((pop3_span){value, (size_t)n}, span_of(state)))
		return REDIRECT_OTHER;
	n = value_of(query, "error", value);
	if (n > 0) {
		size_t used = text_escape(ret->words, 63, (pop3_span){value, (size_t)n});

		n = value_of(query, "error_description", value);
		if (n > 0) {
			used += (size_t)snprintf(ret->words + used, sizeof(ret->words) - used,
						 ": ");
			text_escape(ret->words + used, sizeof(ret->words) - used - 1,
				    (pop3_span){value, (size_t)n});
		}
		return REDIRECT_ERROR;
	}
	n = value_of(query, "code", value);
	if (!printable(value, n))
		return REDIRECT_OTHER;
	memcpy(ret->code, value, (size_t)n + 1);
	return REDIRECT_CODE;
}
