/* See event_members.h. */
#include "server/monitor/event_members.h"

#include "base/text.h"

#include <string.h>

static bool take(pop3_span *text, char octet)
{
	if (!text->size || *text->data != octet)
		return false;
	text->data++;
	text->size--;
	return true;
}

static bool is_hex(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

/* Behind a backslash. */
static bool take_escape(pop3_span *text)
{
	if (take(text, '"') || take(text, '\\'))
		return true;
	if (!take(text, 'u') || text->size < 4)
		return false;
	for (int i = 0; i < 4; i++)
		if (!is_hex(text->data[i]))
			return false;
	text->data += 4;
	text->size -= 4;
	return true;
}

static bool take_string(pop3_span *text)
{
	if (!take(text, '"'))
		return false;
	while (text->size) {
		unsigned char c = (unsigned char)*text->data;

		if (take(text, '"'))
			return true;
		if (c < ' ' || c > '~')
			return false;
		if (take(text, '\\')) {
			if (!take_escape(text))
				return false;
			continue;
		}
		text->data++;
		text->size--;
	}
	return false;
}

static bool take_name(pop3_span *text)
{
	static const pop3_span own[] = {{"v", 1}, {"time", 4}, {"process", 7}};
	pop3_span name = {text->data + 1, 0};

	if (!take(text, '"'))
		return false;
	while (text->size && ((*text->data >= 'a' && *text->data <= 'z') || *text->data == '-')) {
		name.size++;
		text->data++;
		text->size--;
	}
	for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
		if (span_equal(name, own[i]))
			return false;
	return name.size > 0 && take(text, '"') && take(text, ':');
}

static bool take_number(pop3_span *text)
{
	size_t digits = 0;

	for (; text->size && *text->data >= '0' && *text->data <= '9'; digits++) {
		text->data++;
		text->size--;
	}
	return digits > 0 && digits <= 20;
}

static bool take_value(pop3_span *text)
{
	return text->size && *text->data == '"' ? take_string(text) : take_number(text);
}

bool event_members_valid(pop3_span members)
{
	static const char first[] = "\"event\":\"";

	if (members.size < sizeof(first) - 1 || memcmp(members.data, first, sizeof(first) - 1) != 0)
		return false;
	do
		if (!take_name(&members) || !take_value(&members))
			return false;
	while (take(&members, ','));
	return members.size == 0;
}
