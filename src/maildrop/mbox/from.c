/* See from.h. */
#include "maildrop/mbox/from.h"

#include "base/text.h"

#include <string.h>

struct cursor {
	const char *at, *end;
};

static bool take_spaces(struct cursor *c)
{
	const char *begin = c->at;

	while (c->at < c->end && (*c->at == ' ' || *c->at == '\t'))
		c->at++;
	return c->at > begin;
}

/* One of the words of three letters, which stand in one string. */
static bool take_word(struct cursor *c, const char *words)
{
	if (c->end - c->at < 3)
		return false;
	for (; *words; words += 3) {
		if (memcmp(c->at, words, 3) == 0) {
			c->at += 3;
			return true;
		}
	}
	return false;
}

static bool take_number(struct cursor *c, int min_digits, int max_digits, unsigned min,
			unsigned max)
{
	unsigned value = 0;
	int digits = 0;

	while (c->at < c->end && *c->at >= '0' && *c->at <= '9' && digits < max_digits) {
		value = value * 10 + (unsigned)(*c->at++ - '0');
		digits++;
	}
	return digits >= min_digits && value >= min && value <= max;
}

static bool take_octet(struct cursor *c, char octet)
{
	if (c->at == c->end || *c->at != octet)
		return false;
	c->at++;
	return true;
}

static bool take_time(struct cursor *c)
{
	if (!take_number(c, 1, 2, 0, 23) || !take_octet(c, ':') || !take_number(c, 2, 2, 0, 59))
		return false;
	return !take_octet(c, ':') || take_number(c, 2, 2, 0, 60);
}

static bool is_letter(char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

/* "CET", "+0100"; "MET DST" is two of them. */
static bool take_zone(struct cursor *c)
{
	const char *begin = c->at;

	if (c->at < c->end && (*c->at == '+' || *c->at == '-')) {
		c->at++;
		return take_number(c, 4, 4, 0, 9999);
	}
	while (c->at < c->end && is_letter(*c->at) && c->at - begin < 6)
		c->at++;
	return c->at > begin;
}

static bool take_year(struct cursor *c)
{
	struct cursor start = *c;

	if (take_number(c, 4, 4, 1970, 2999) &&
	    (c->at == c->end || *c->at == ' ' || *c->at == '\t'))
		return true;
	*c = start;
	return false;
}

static bool is_date(struct cursor c)
{
	if (!take_word(&c, "MonTueWedThuFriSatSun") || !take_spaces(&c) ||
	    !take_word(&c, "JanFebMarAprMayJunJulAugSepOctNovDec") || !take_spaces(&c) ||
	    !take_number(&c, 1, 2, 1, 31) || !take_spaces(&c) || !take_time(&c))
		return false;
	for (int zones = 0; zones < 3 && take_spaces(&c); zones++)
		if (take_year(&c))
			return true;
		else if (!take_zone(&c))
			return false;
	return false;
}

uint32_t mbox_from_line(pop3_span text)
{
	size_t cap = text.size < MBOX_LOOK ? text.size : MBOX_LOOK;
	struct cursor line = {text.data, NULL};
	const char *end;
	uint32_t size;

	if (cap < 5 || memcmp(text.data, "From ", 5) != 0)
		return 0;
	end = memchr(text.data, '\n', cap);
	if (!end && cap == MBOX_LOOK)
		return 0;
	size = end ? (uint32_t)(end - text.data) + 1 : (uint32_t)cap;
	line.end = end ? end : text.data + cap;
	if (line.end[-1] == '\r')
		line.end--;
	line.at += 4;
	while (line.at < line.end)
		if (!take_spaces(&line))
			line.at++;
		else if (is_date(line))
			return size;
	return 0;
}

bool mbox_header_value(pop3_span text, pop3_span name, pop3_span *value)
{
	size_t cap = text.size < MBOX_LOOK ? text.size : MBOX_LOOK;
	const char *end;

	if (cap < name.size || !span_equal_nocase((pop3_span){text.data, name.size}, name))
		return false;
	end = memchr(text.data, '\n', cap);
	*value = (pop3_span){text.data + name.size,
			     (end ? (size_t)(end - text.data) : cap) - name.size};
	while (value->size && strchr(" \t\r", value->data[value->size - 1]) &&
	       value->data[value->size - 1])
		value->size--;
	while (value->size && (*value->data == ' ' || *value->data == '\t')) {
		value->data++;
		value->size--;
	}
	return true;
}

enum mbox_header mbox_header_kind(pop3_span text)
{
	static const struct {
		pop3_span name;
		enum mbox_header kind;
	} known[] = {
		{{"Status:", 7}, MBOX_HEADER_HIDDEN},
		{{"X-Status:", 9}, MBOX_HEADER_HIDDEN},
		{{"X-Keywords:", 11}, MBOX_HEADER_HIDDEN},
		{{"X-UID:", 6}, MBOX_HEADER_HIDDEN},
		{{"X-IMAP:", 7}, MBOX_HEADER_HIDDEN},
		{{"X-IMAPbase:", 11}, MBOX_HEADER_HIDDEN},
		{{"Content-Length:", 15}, MBOX_HEADER_VARIES},
		{{"Lines:", 6}, MBOX_HEADER_VARIES},
	};
	pop3_span value;

	if (text.size == 0 || !strchr("SsXxCcLl", *text.data) || !*text.data)
		return MBOX_HEADER;
	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
		if (mbox_header_value(text, known[i].name, &value))
			return known[i].kind;
	return MBOX_HEADER;
}

uint32_t mbox_empty_line(pop3_span text)
{
	if (text.size && text.data[0] == '\n')
		return 1;
	return text.size >= 2 && text.data[0] == '\r' && text.data[1] == '\n' ? 2 : 0;
}
