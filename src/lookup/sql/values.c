/* See values.h. Names come from clients. */
#include "lookup/sql/values.h"

#include "base/text.h"

#include <string.h>

/* Octets of the character of UTF-8 that text begins with; 0: it is none (RFC 3629). */
static size_t character(const unsigned char *text)
{
	static const struct {
		unsigned char first, last, low, high; /* of the second octet */
		size_t size;
	} forms[] = {
		{0x01, 0x7f, 0, 0, 1},       {0xc2, 0xdf, 0x80, 0xbf, 2},
		{0xe0, 0xe0, 0xa0, 0xbf, 3}, {0xe1, 0xec, 0x80, 0xbf, 3},
		{0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
		{0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4},
		{0xf4, 0xf4, 0x80, 0x8f, 4},
	};
	size_t i = 0;

	while (i < sizeof(forms) / sizeof(forms[0]) &&
	       (text[0] < forms[i].first || text[0] > forms[i].last))
		i++;
	if (i == sizeof(forms) / sizeof(forms[0]))
		return 0;
	if (forms[i].size > 1 && (text[1] < forms[i].low || text[1] > forms[i].high))
		return 0;
	for (size_t n = 2; n < forms[i].size; n++)
		if ((text[n] & 0xc0) != 0x80)
			return 0;
	return forms[i].size;
}

static bool is_utf8(const char *text)
{
	const unsigned char *at = (const unsigned char *)text;
	size_t n;

	for (; *at; at += n)
		if ((n = character(at)) == 0)
			return false;
	return true;
}

static void divide(struct sql_values *values)
{
	pop3_span user = span_of(values->lower);
	const char *at = user.size ? memrchr(user.data, '@', user.size) : NULL;

	values->value[SQL_USER] = user;
	values->value[SQL_LOCAL] =
		(pop3_span){user.data, at ? (size_t)(at - user.data) : user.size};
	values->value[SQL_DOMAIN] =
		at ? (pop3_span){at + 1, user.size - (size_t)(at + 1 - user.data)}
		   : SPAN_LITERAL("");
}

bool sql_values_set(struct sql_values *values, const char *text, unsigned name, const char *address,
		    const char *service)
{
	if (!is_utf8(text) || span_copy(span_of(text), values->lower, sizeof(values->lower)) < 0)
		return false;
	for (char *at = values->lower; *at; at++)
		if (*at >= 'A' && *at <= 'Z')
			*at = (char)(*at + 'a' - 'A');
	divide(values);
	values->value[SQL_ADDRESS] = span_of(address);
	values->value[SQL_SERVICE] = span_of(service);
	values->name = name;
	return true;
}

void sql_values_copy(struct sql_values *to, const struct sql_values *from)
{
	*to = *from;
	divide(to);
}
