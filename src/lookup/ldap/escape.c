/* See escape.h. */
#include "lookup/ldap/escape.h"

#include <string.h>

static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
static const char digits[] = "0123456789";

/* Both languages take any octet as "\" and two digits; what need not be written so is the least
 * that every server agrees about. */
static bool is_plain(char c)
{
	return c && (strchr(letters, c) || strchr(digits, c) || strchr("@._-", c));
}

int filter_escape(pop3_span value, char *buf, size_t size)
{
	static const char hex[] = "0123456789abcdef";
	size_t used = 0;

	for (size_t i = 0; i < value.size; i++) {
		unsigned char c = (unsigned char)value.data[i];

		if (size - used < 4)
			return -1;
		if (is_plain(value.data[i])) {
			buf[used++] = value.data[i];
			continue;
		}
		buf[used++] = '\\';
		buf[used++] = hex[c >> 4];
		buf[used++] = hex[c & 15];
	}
	return (int)used;
}

int dn_escape(pop3_span value, char *buf, size_t size)
{
	return filter_escape(value, buf, size);
}

bool filter_is_whole(const char *text)
{
	size_t depth = 0;

	if (*text != '(')
		return false;
	for (; *text; text++) {
		if (*text == '(')
			depth++;
		else if (*text == ')' && --depth == 0)
			return text[1] == '\0';
	}
	return false;
}

bool attribute_is_valid(const char *text)
{
	size_t n = strlen(text);

	if (n == 0 || n > 128 || strspn(text, ":;-") != 0)
		return false;
	for (size_t i = 0; i < n; i++)
		if (!strchr(letters, text[i]) && !strchr(digits, text[i]) &&
		    !strchr(".-;:_", text[i]))
			return false;
	return true;
}
