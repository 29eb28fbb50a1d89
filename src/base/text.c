/* See text.h. Any process and thread; texts are hostile. */
#include "base/text.h"

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

size_t text_escape(char *buf, size_t cap, pop3_span text)
{
	static const char digits[] = "0123456789abcdef";
	size_t used = 0;

	for (size_t i = 0; i < text.size; i++) {
		unsigned char c = (unsigned char)text.data[i];
		size_t need = c >= 0x20 && c <= 0x7e && c != '\\' ? 1 : 4;
		size_t reserve = i + 1 < text.size ? 3 : 0;

		if (used + need + reserve > cap) {
			for (int k = 0; k < 3 && used < cap; k++)
				buf[used++] = '.';
			break;
		}
		if (need == 1) {
			buf[used++] = (char)c;
			continue;
		}
		buf[used++] = '\\';
		buf[used++] = 'x';
		buf[used++] = digits[c >> 4];
		buf[used++] = digits[c & 15];
	}
	buf[used] = '\0';
	return used;
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
