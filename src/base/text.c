/* See text.h. Any process and thread; texts are hostile. */
#include "base/text.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

pop3_span span_of(const char *text)
{
	return (pop3_span){text, strlen(text)};
}

bool span_equal(pop3_span a, pop3_span b)
{
	return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

static int lower(unsigned char c)
{
	return c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c;
}

bool span_equal_nocase(pop3_span a, pop3_span b)
{
	if (a.size != b.size)
		return false;
	for (size_t i = 0; i < a.size; i++)
		if (lower((unsigned char)a.data[i]) != lower((unsigned char)b.data[i]))
			return false;
	return true;
}

/* C17 defines no addition to NULL, not even of 0. */
static void skip(pop3_span *text, size_t size)
{
	if (size == 0)
		return;
	text->data += size;
	text->size -= size;
}

bool span_take_prefix(pop3_span *text, pop3_span prefix)
{
	if (text->size < prefix.size || !span_equal((pop3_span){text->data, prefix.size}, prefix))
		return false;
	skip(text, prefix.size);
	return true;
}

pop3_span span_take_until(pop3_span *text, char separator)
{
	const char *end = text->size ? memchr(text->data, separator, text->size) : NULL;
	pop3_span taken = {text->data, end ? (size_t)(end - text->data) : text->size};

	skip(text, taken.size + (end ? 1 : 0));
	return taken;
}

int span_copy(pop3_span text, char *buf, size_t size)
{
	if (text.size >= size || (text.size && memchr(text.data, 0, text.size)))
		return -1;
	if (text.size)
		memcpy(buf, text.data, text.size);
	buf[text.size] = '\0';
	return 0;
}

int span_number(pop3_span text, uint64_t max, uint64_t *ret)
{
	uint64_t value = 0;

	if (text.size == 0)
		return -1;
	for (size_t i = 0; i < text.size; i++) {
		unsigned digit = (unsigned)(unsigned char)text.data[i] - '0';

		if (digit > 9 || digit > max || value > (max - digit) / 10)
			return -1;
		value = value * 10 + digit;
	}
	*ret = value;
	return 0;
}

const char text_utf16_words[] = "the file is in UTF-16: save it as UTF-8";

size_t text_mark_size(pop3_span text)
{
	return text.size >= 3 && memcmp(text.data, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
}

int text_skip_mark(pop3_span *text)
{
	size_t n = text_mark_size(*text);

	if (text->size >= 2 &&
	    (memcmp(text->data, "\xff\xfe", 2) == 0 || memcmp(text->data, "\xfe\xff", 2) == 0))
		return -1;
	text->data += n;
	text->size -= n;
	return 0;
}

/* Controls of C1, separators and marks of direction, invisible and private characters, surrogates:
 * not to be trusted on a terminal. */
static bool is_shown(uint32_t c)
{
	static const struct {
		uint32_t from, to;
	} hidden[] = {{0x0000, 0x009f}, {0x00ad, 0x00ad}, {0x061c, 0x061c}, {0x180e, 0x180e},
		      {0x200b, 0x200f}, {0x2028, 0x202e}, {0x2060, 0x206f}, {0xd800, 0xf8ff},
		      {0xfe00, 0xfe0f}, {0xfeff, 0xfeff}, {0xfff0, 0xffff}, {0xe0000, 0x10ffff}};

	for (size_t i = 0; i < sizeof(hidden) / sizeof(hidden[0]); i++)
		if (c >= hidden[i].from && c <= hidden[i].to)
			return false;
	return (c & 0xfffe) != 0xfffe;
}

size_t text_shown_size(pop3_span text)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	unsigned char first = text.size ? (unsigned char)text.data[0] : 0;
	size_t size = first >= 0xf0 && first < 0xf8   ? 4
		      : first >= 0xe0 && first < 0xf0 ? 3
		      : first >= 0xc0 && first < 0xe0 ? 2
						      : 0;
	uint32_t c = first & (0x7fu >> size);

	if (!size || size > text.size)
		return 0;
	for (size_t i = 1; i < size; i++) {
		unsigned char next = (unsigned char)text.data[i];

		if ((next & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (next & 0x3f);
	}
	return c >= least[size] && c <= 0x10ffff && is_shown(c) ? size : 0;
}

static void put_hex(char *buf, unsigned char c)
{
	static const char digits[] = "0123456789abcdef";

	buf[0] = '\\';
	buf[1] = 'x';
	buf[2] = digits[c >> 4];
	buf[3] = digits[c & 15];
}

static size_t escape(char *buf, size_t cap, pop3_span text, bool utf8)
{
	size_t used = 0, n;

	for (size_t i = 0; i < text.size; i += n) {
		unsigned char c = (unsigned char)text.data[i];
		size_t kept = utf8 ? text_shown_size((pop3_span){text.data + i, text.size - i}) : 0;
		size_t need, reserve;

		if (c >= 0x20 && c <= 0x7e && c != '\\')
			kept = 1;
		n = kept ? kept : 1;
		need = kept ? kept : 4;
		reserve = i + n < text.size ? 3 : 0;
		if (used + need + reserve > cap) {
			for (int k = 0; k < 3 && used < cap; k++)
				buf[used++] = '.';
			break;
		}
		if (kept)
			memcpy(buf + used, text.data + i, kept);
		else
			put_hex(buf + used, c);
		used += need;
	}
	buf[used] = '\0';
	return used;
}

size_t text_escape(char *buf, size_t cap, pop3_span text)
{
	return escape(buf, cap, text, false);
}

size_t text_show(char *buf, size_t cap, pop3_span text)
{
	return escape(buf, cap, text, true);
}

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

int base64_encode(pop3_span in, char *buf, size_t size)
{
	size_t need = (in.size + 2) / 3 * 4, used = 0;

	if (need >= size || need > INT32_MAX)
		return -1;
	for (size_t i = 0; i < in.size; i += 3) {
		size_t left = in.size - i;
		uint32_t v = (uint32_t)(unsigned char)in.data[i] << 16;

		if (left > 1)
			v |= (uint32_t)(unsigned char)in.data[i + 1] << 8;
		if (left > 2)
			v |= (uint32_t)(unsigned char)in.data[i + 2];
		buf[used++] = alphabet[v >> 18];
		buf[used++] = alphabet[v >> 12 & 63];
		buf[used++] = left > 1 ? alphabet[v >> 6 & 63] : '=';
		buf[used++] = left > 2 ? alphabet[v & 63] : '=';
	}
	buf[used] = '\0';
	return (int)used;
}

static int base64_value(char c)
{
	const char *at = c ? strchr(alphabet, c) : NULL;

	return at ? (int)(at - alphabet) : -1;
}

int base64_decode(pop3_span in, char *buf, size_t size)
{
	size_t used = 0;

	if (in.size % 4 != 0 || in.size > INT32_MAX)
		return -1;
	for (size_t i = 0; i < in.size; i += 4) {
		bool last = i + 4 == in.size;
		int pad = 0;
		uint32_t v = 0;

		if (last && in.data[i + 3] == '=')
			pad = in.data[i + 2] == '=' ? 2 : 1;
		for (int k = 0; k < 4; k++) {
			int digit = k >= 4 - pad ? 0 : base64_value(in.data[i + (size_t)k]);

			if (digit < 0)
				return -1;
			v = v << 6 | (uint32_t)digit;
		}
		/* the unused low bits must be zero: one encoding for one value */
		if ((pad == 1 && (v & 0xff)) || (pad == 2 && (v & 0xffff)))
			return -1;
		if (used + 3 - (size_t)pad > size)
			return -1;
		buf[used++] = (char)(v >> 16);
		if (pad < 2)
			buf[used++] = (char)(v >> 8 & 0xff);
		if (pad < 1)
			buf[used++] = (char)(v & 0xff);
	}
	return (int)used;
}

void hex_encode(const unsigned char *in, size_t n, char *buf)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < n; i++) {
		buf[2 * i] = digits[in[i] >> 4];
		buf[2 * i + 1] = digits[in[i] & 15];
	}
	buf[2 * n] = '\0';
}

void text_dotted(const uint8_t octets[4], char *buf)
{
	for (int i = 0; i < 4; i++) {
		unsigned value = octets[i];

		if (value >= 100)
			*buf++ = (char)('0' + value / 100);
		if (value >= 10)
			*buf++ = (char)('0' + value / 10 % 10);
		*buf++ = (char)('0' + value % 10);
		*buf++ = i < 3 ? '.' : '\0';
	}
}

bool text_take_pair(pop3_span *rest, const char **ret_name, const char **ret_value)
{
	const char *name = rest->data, *end = name + rest->size;
	const char *value = rest->size ? memchr(name, 0, rest->size) : NULL;
	const char *last = value ? memchr(value + 1, 0, (size_t)(end - value - 1)) : NULL;

	if (!last)
		return false;
	*ret_name = name;
	*ret_value = value + 1;
	*rest = (pop3_span){last + 1, (size_t)(end - last - 1)};
	return true;
}

bool text_is_address(const char *text)
{
	unsigned char raw[16];

	return inet_pton(AF_INET, text, raw) == 1 || inet_pton(AF_INET6, text, raw) == 1;
}
