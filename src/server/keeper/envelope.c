/* See envelope.h. */
#include "server/keeper/envelope.h"

#include "base/text.h"

#include <string.h>
#include <strings.h>

pop3_span envelope_sender(const char *headers)
{
	static const char begin[] = "Return-Path: <";
	const char *from = headers + sizeof(begin) - 1, *end;

	if (strncmp(headers, begin, sizeof(begin) - 1) != 0)
		return SPAN_LITERAL("");
	end = strstr(from, ">\r\n");
	return end ? (pop3_span){from, (size_t)(end - from)} : SPAN_LITERAL("");
}

/* "Received: from NAME ([ADDRESS])": the client chose NAME, so the address is found from the end of
 * the line. */
pop3_span envelope_client(const char *headers)
{
	const char *line = strstr(headers, "\r\nReceived: from "), *end, *at;

	end = line ? strstr(line + 2, "\r\n") : NULL;
	if (!end || end - line < 20 || memcmp(end - 2, "])", 2) != 0)
		return SPAN_LITERAL("");
	for (at = end - 2; at > line + 2 && memcmp(at - 2, "([", 2) != 0; at--)
		;
	return at > line + 2 ? (pop3_span){at, (size_t)(end - 2 - at)} : SPAN_LITERAL("");
}

/* The end of the line at p, without its line break; *ret_next: the next line. */
static const char *line_end(const char *p, const char *end, const char **ret_next)
{
	const char *feed = memchr(p, '\n', (size_t)(end - p));

	*ret_next = feed ? feed + 1 : end;
	if (!feed)
		return end;
	return feed > p && feed[-1] == '\r' ? feed - 1 : feed;
}

void envelope_message_id(pop3_span head, char ret[ENVELOPE_ID_MAX])
{
	static const char name[] = "Message-ID:";
	const char *p = head.data, *end = head.data + head.size, *next, *stop;

	ret[0] = '\0';
	for (; p < end; p = next) {
		stop = line_end(p, end, &next);
		if (stop == p) /* the header ends here */
			return;
		if ((size_t)(stop - p) < sizeof(name) - 1 ||
		    strncasecmp(p, name, sizeof(name) - 1) != 0)
			continue;
		p += sizeof(name) - 1;
		if (next < end && (*next == ' ' || *next == '\t') && stop - p < 2)
			stop = line_end(p = next, end, &next); /* folded behind the colon */
		while (p < stop && (*p == ' ' || *p == '\t' || *p == '<'))
			p++;
		while (stop > p && (stop[-1] == ' ' || stop[-1] == '\t' || stop[-1] == '>'))
			stop--;
		if ((size_t)(stop - p) >= ENVELOPE_ID_MAX)
			stop = p + ENVELOPE_ID_MAX - 1;
		memcpy(ret, p, (size_t)(stop - p));
		ret[stop - p] = '\0';
		return;
	}
}
