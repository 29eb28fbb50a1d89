/*
 * Numbers, base64, unique ids and response codes (RFC 1939, 2449 section 8, 3206, 4648).
 * Called by all files of both machines. No state, no allocation; input is hostile.
 */
#include "pop3/grammar_private.h"

#include <pop3/client.h>

#include <string.h>

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

bool p3_digits(pop3_span text)
{
	for (size_t i = 0; i < text.size; i++) {
		if (!is_digit(text.data[i]))
			return false;
	}
	return text.size;
}

bool p3_number(pop3_span text, uint64_t max, uint64_t *ret_number)
{
	uint64_t number = 0;

	if (text.size > P3_NUMBER_MAX || !p3_digits(text))
		return false;
	if (text.data[0] == '0' && text.size > 1)
		return false;
	for (size_t i = 0; i < text.size; i++) {
		uint64_t digit = (uint64_t)(text.data[i] - '0');

		/* nineteen digits always fit: no division for them */
		if (i >= 19 && number > (UINT64_MAX - digit) / 10)
			return false;
		number = number * 10 + digit;
	}
	if (number > max)
		return false;
	*ret_number = number;
	return true;
}

static size_t digits_of(uint64_t number)
{
	size_t n = 1;

	for (uint64_t limit = 10; n < P3_NUMBER_MAX && number >= limit; limit *= 10)
		n++;
	return n;
}

size_t p3_put_number(char *out, uint64_t number)
{
	static const char pairs[] = "00010203040506070809101112131415161718192021222324252627282930"
				    "31323334353637383940414243444546474849505152535455565758596061"
				    "62636465666768697071727374757677787980818283848586878889909192"
				    "93949596979899";
	size_t size = digits_of(number), at = size;

	while (number >= 100) {
		at -= 2;
		memcpy(out + at, pairs + number % 100 * 2, 2);
		number /= 100;
	}
	if (number >= 10)
		memcpy(out, pairs + number * 2, 2);
	else
		out[0] = (char)('0' + number);
	return size;
}

static bool is_base64(char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || is_digit(c) || c == '+' ||
	       c == '/';
}

bool p3_base64(pop3_span text)
{
	size_t n = text.size;

	if (n % 4)
		return false;
	if (n && text.data[n - 1] == '=')
		n -= text.data[n - 2] == '=' ? 2 : 1;
	for (size_t i = 0; i < n; i++) {
		if (!is_base64(text.data[i]))
			return false;
	}
	return true;
}

bool p3_unique_id(pop3_span text)
{
	if (text.size < 1 || text.size > POP3_CLIENT_ID_MAX)
		return false;
	for (size_t i = 0; i < text.size; i++) {
		unsigned char c = (unsigned char)text.data[i];

		if ((c < 0x20 && c != '\t') || c == 0x7f)
			return false;
	}
	return true;
}

static char upper(char c)
{
	return c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
}

static bool starts_nocase(pop3_span text, const char *word, size_t size)
{
	if (text.size < size)
		return false;
	for (size_t i = 0; i < size; i++) {
		if (upper(text.data[i]) != word[i])
			return false;
	}
	return true;
}

bool p3_equal_nocase(pop3_span text, const char *word)
{
	size_t size = strlen(word);

	return text.size == size && starts_nocase(text, word, size);
}

bool p3_in_list(const char *list, pop3_span word)
{
	if (!list || word.size == 0)
		return false;
	for (const char *p = list; *p;) {
		size_t n = strcspn(p, " ");

		if (n == word.size && memcmp(p, word.data, n) == 0)
			return true;
		p += n;
		p += *p == ' ';
	}
	return false;
}

static const char *const code_names[] = {
	[POP3_CODE_NONE] = "",
	[POP3_CODE_AUTH] = "AUTH",
	[POP3_CODE_IN_USE] = "IN-USE",
	[POP3_CODE_LOGIN_DELAY] = "LOGIN-DELAY",
	[POP3_CODE_SYS_TEMP] = "SYS/TEMP",
	[POP3_CODE_SYS_PERM] = "SYS/PERM",
	[POP3_CODE_UTF8] = "UTF8",
};
_Static_assert(sizeof(code_names) / sizeof(code_names[0]) == POP3_CODE_COUNT,
	       "every response code has a name");

const char *p3_code_name(enum pop3_code code)
{
	return (unsigned)code < POP3_CODE_COUNT ? code_names[code] : NULL;
}

enum pop3_code p3_take_code(pop3_span *text)
{
	const char *close;
	pop3_span inner;

	if (text->size < 2 || text->data[0] != '[')
		return POP3_CODE_NONE;
	close = memchr(text->data, ']', text->size);
	if (!close)
		return POP3_CODE_NONE;
	inner = (pop3_span){text->data + 1, (size_t)(close - text->data) - 1};

	for (unsigned code = POP3_CODE_NONE + 1; code < POP3_CODE_COUNT; code++) {
		size_t n = strlen(code_names[code]);

		/* RFC 2449 section 8: a level behind "/" that we don't know leaves the known one */
		if (!starts_nocase(inner, code_names[code], n) ||
		    (inner.size != n && inner.data[n] != '/'))
			continue;
		text->size -= (size_t)(close + 1 - text->data);
		text->data = close + 1;
		if (text->size && text->data[0] == ' ') {
			text->data++;
			text->size--;
		}
		return (enum pop3_code)code;
	}
	return POP3_CODE_NONE;
}
