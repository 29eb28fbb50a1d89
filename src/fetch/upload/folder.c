/* See folder.h. */
#include "fetch/upload/folder.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

struct writer {
	char *buf;
	size_t used;
	uint32_t bits; /* of UTF-16 that wait for six */
	unsigned bit_count;
	bool shifted; /* behind "&" */
};

/* One character of UTF-8; -1: none. */
static int32_t take_character(pop3_span *text)
{
	unsigned char c = (unsigned char)*text->data;
	unsigned more = c < 0x80 ? 0 : c >= 0xc2 && c < 0xe0 ? 1 : c >= 0xe0 && c < 0xf0 ? 2 : 3;
	static const uint32_t lowest[] = {0, 0x80, 0x800, 0x10000};
	uint32_t value = more == 0 ? c : c & (0x3fu >> more);

	if ((c >= 0x80 && c < 0xc2) || c > 0xf4 || text->size <= more)
		return -1;
	for (unsigned i = 1; i <= more; i++) {
		if (((unsigned char)text->data[i] & 0xc0) != 0x80)
			return -1;
		value = value << 6 | ((unsigned char)text->data[i] & 0x3f);
	}
	text->data += more + 1;
	text->size -= more + 1;
	if (value < lowest[more] || value > 0x10ffff || (value >= 0xd800 && value < 0xe000))
		return -1;
	return (int32_t)value;
}

static void put(struct writer *w, char c)
{
	if (w->used < FOLDER_WIRE_MAX)
		w->buf[w->used++] = c;
}

static char digit(uint32_t six)
{
	return "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,"[six & 63];
}

static void put_unit(struct writer *w, uint32_t unit)
{
	if (!w->shifted)
		put(w, '&');
	w->shifted = true;
	w->bits = w->bits << 16 | unit; /* at most five waited */
	for (w->bit_count += 16; w->bit_count >= 6; w->bit_count -= 6)
		put(w, digit(w->bits >> (w->bit_count - 6)));
}

static void shift_out(struct writer *w)
{
	if (!w->shifted)
		return;
	if (w->bit_count)
		put(w, digit(w->bits << (6 - w->bit_count)));
	put(w, '-');
	w->shifted = false;
	w->bits = w->bit_count = 0;
}

static void put_character(struct writer *w, uint32_t c)
{
	if (c >= 0x20 && c <= 0x7e) {
		shift_out(w);
		if (c == '"' || c == '\\')
			put(w, '\\');
		put(w, (char)c);
		if (c == '&')
			put(w, '-');
	} else if (c < 0x10000) {
		put_unit(w, c);
	} else {
		put_unit(w, 0xd800 + ((c - 0x10000) >> 10));
		put_unit(w, 0xdc00 + ((c - 0x10000) & 0x3ff));
	}
}

int folder_wire(pop3_span name, char ret[FOLDER_WIRE_MAX])
{
	struct writer w = {.buf = ret};

	put(&w, '"');
	while (name.size) {
		int32_t c = take_character(&name);

		if (c < 0x20 || c == 0x7f)
			return -1;
		put_character(&w, (uint32_t)c);
	}
	shift_out(&w);
	put(&w, '"');
	put(&w, '\0');
	return ret[w.used - 1] == '\0' ? 0 : -1;
}
