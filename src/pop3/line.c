/*
 * Lines of both machines: octets are collected up to CRLF, or discarded up to it. Called by
 * server.c and client.c; the storage is theirs. Input is hostile.
 */
#include "pop3/line_private.h"

#include <string.h>

static void skip(pop3_span *in, size_t n)
{
	in->data += n;
	in->size -= n;
}

/* Appends content; the CR in front of it, held back so far, was no line end and counts too. */
static enum p3_line_result append(const struct p3_line *line, pop3_span *in, size_t n)
{
	size_t room, fits;

	if (*line->last_cr) {
		if (*line->size >= line->max)
			return P3_LINE_LONG;
		line->buffer[(*line->size)++] = '\r';
		*line->last_cr = false;
	}
	room = line->max - *line->size;
	fits = n < room ? n : room;
	if (fits)
		memcpy(line->buffer + *line->size, in->data, fits);
	*line->size += (uint32_t)fits;
	skip(in, fits);
	return fits < n ? P3_LINE_LONG : P3_LINE_MORE;
}

enum p3_line_result p3_take_line(const struct p3_line *line, pop3_span *in)
{
	const char *lf;
	size_t n;

	if (in->size == 0)
		return P3_LINE_MORE;
	lf = memchr(in->data, '\n', in->size);
	n = lf ? (size_t)(lf - in->data) : in->size;
	if (n) {
		bool ends_in_cr = in->data[n - 1] == '\r';

		if (n > 1 || !ends_in_cr || *line->last_cr) {
			if (append(line, in, n - ends_in_cr) == P3_LINE_LONG)
				return P3_LINE_LONG;
		}
		skip(in, ends_in_cr);
		*line->last_cr = ends_in_cr;
	}
	if (!lf)
		return P3_LINE_MORE;
	skip(in, 1);
	if (!*line->last_cr)
		return P3_LINE_BARE_LF;
	*line->last_cr = false;
	return P3_LINE_OK;
}

enum p3_line_result p3_discard_line(pop3_span *in, bool *last_cr, uint32_t *discarded, uint32_t max,
				    bool *content)
{
	while (in->size) {
		const char *lf = memchr(in->data, '\n', in->size);
		size_t n = lf ? (size_t)(lf - in->data) : in->size;
		bool ended = false, filled = false;

		if (n + 1 > max - *discarded)
			return P3_LINE_LONG;
		if (n)
			*last_cr = in->data[n - 1] == '\r';
		if (content && n)
			*content = true;
		if (lf) {
			ended = *last_cr;
			filled = content && *content;
			*last_cr = false;
			n++;
		}
		*discarded += (uint32_t)n;
		skip(in, n);
		if (lf && content)
			*content = false;
		if (ended)
			return P3_LINE_OK;
		if (filled)
			return P3_LINE_BARE_LF;
	}
	return P3_LINE_MORE;
}
