/* See grant.h. */
#include "oauth/grant.h"

#include "base/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define FIRST_LINE "valija-grant 1\n"
#define LAST_LINE "end\n" /* without it the text is a part of a grant */

void grant_init(struct grant *grant)
{
	memset(grant, 0, sizeof(*grant));
	secret_init(&grant->access);
	secret_init(&grant->refresh);
	secret_init(&grant->previous);
}

void grant_finish(struct grant *grant)
{
	secret_finish(&grant->access);
	secret_finish(&grant->refresh);
	secret_finish(&grant->previous);
}

int grant_write(const struct grant *g, char *out, size_t cap)
{
	int n = snprintf(out, cap,
			 FIRST_LINE "granted %" PRId64 "\nrefreshed %" PRId64 "\nexpires %" PRId64
				    "\naccess %s\nrefresh %s\nprevious %s\n" LAST_LINE,
			 g->granted, g->refreshed, g->expires, g->access.bytes, g->refresh.bytes,
			 g->previous.bytes);

	return n > 0 && (size_t)n < cap ? n : -1;
}

static int read_number(pop3_span text, int64_t *ret)
{
	uint64_t number;

	if (span_number(text, INT64_MAX, &number) < 0)
		return -1;
	*ret = (int64_t)number;
	return 0;
}

static int read_token(pop3_span text, struct secret *ret)
{
	for (size_t i = 0; i < text.size; i++)
		if (text.data[i] <= 0x20 || text.data[i] >= 0x7f)
			return -1;
	return secret_set(ret, text);
}

static int read_line(pop3_span line, struct grant *ret)
{
	const char *blank = line.size ? memchr(line.data, ' ', line.size) : NULL;
	pop3_span name, value;

	if (!blank)
		return -1;
	name = (pop3_span){line.data, (size_t)(blank - line.data)};
	value = (pop3_span){blank + 1, line.size - name.size - 1};
	if (span_equal(name, SPAN_LITERAL("granted")))
		return read_number(value, &ret->granted);
	if (span_equal(name, SPAN_LITERAL("refreshed")))
		return read_number(value, &ret->refreshed);
	if (span_equal(name, SPAN_LITERAL("expires")))
		return read_number(value, &ret->expires);
	if (span_equal(name, SPAN_LITERAL("access")))
		return read_token(value, &ret->access);
	if (span_equal(name, SPAN_LITERAL("refresh")))
		return read_token(value, &ret->refresh);
	if (span_equal(name, SPAN_LITERAL("previous")))
		return read_token(value, &ret->previous);
	return 0; /* of a later version */
}

int grant_read(pop3_span text, struct grant *ret)
{
	size_t first = strlen(FIRST_LINE), last = strlen(LAST_LINE);

	if (text.size < first + last || memcmp(text.data, FIRST_LINE, first) != 0)
		return -1;
	text.data += first;
	text.size -= first;
	for (;;) {
		const char *end = text.size ? memchr(text.data, '\n', text.size) : NULL;
		pop3_span line = {text.data, end ? (size_t)(end - text.data) : 0};

		if (!end)
			return -1;
		if (span_equal(line, SPAN_LITERAL("end")))
			return ret->access.size || ret->refresh.size ? 0 : -1;
		if (read_line(line, ret) < 0)
			return -1;
		text.size -= line.size + 1;
		text.data = end + 1;
	}
}
