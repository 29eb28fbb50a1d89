/* See record_form.h. Any process. */
#include "server/record_form.h"

#include "base/text.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

enum {
	NUMBER_MAX = 32,
	SIZE_MASK = 0x3fff,
	KIND_SHIFT = 14,
	LONGEST_ESCAPE = 12, /* octets that one octet of text, or one character, may become */
};

/* An output buffer: text that does not fit is left out. */
struct out {
	char *text;
	size_t size, room;
};

static void put_octets(struct out *out, const char *text, size_t size)
{
	size_t left = out->room - out->size;

	if (size > left)
		size = left;
	memcpy(out->text + out->size, text, size);
	out->size += size;
}

static void put(struct out *out, const char *text)
{
	put_octets(out, text, strlen(text));
}

static void put_octet(struct out *out, char octet)
{
	if (out->size < out->room)
		out->text[out->size++] = octet;
}

/* snprintf would be half of what a line costs. */
static void put_number(struct out *out, uint64_t number, unsigned base)
{
	char buf[NUMBER_MAX], *at = buf + sizeof(buf) - 1;

	*at = '\0';
	do
		*--at = "0123456789abcdef"[number % base];
	while (number /= base);
	put(out, at);
}

static void put_hex(struct out *out, unsigned value, unsigned digits)
{
	while (digits--)
		put_octet(out, "0123456789abcdef"[value >> (4 * digits) & 15]);
}

static void put_session(struct out *out, const struct record_view *view)
{
	put_number(out, view->front, 16);
	put_octet(out, '-');
	put_number(out, view->session, 10);
}

/* ---- fields ---- */

bool record_next(struct record_view *view, struct record_field *ret)
{
	const uint8_t *at = view->fields;
	unsigned word, size, kind;

	if (view->size < RECORD_FIELD_HEAD)
		return false;
	word = at[1] | (unsigned)at[2] << 8;
	size = word & SIZE_MASK;
	kind = word >> KIND_SHIFT;
	if (at[0] >= RECORD_KEY_COUNT || size > view->size - RECORD_FIELD_HEAD ||
	    (kind == RECORD_NUMBER && size > sizeof(uint64_t)))
		return false;
	*ret = (struct record_field){.key = at[0], .kind = kind};
	at += RECORD_FIELD_HEAD;
	if (ret->kind == RECORD_NUMBER)
		for (unsigned i = 0; i < size; i++)
			ret->number |= (uint64_t)at[i] << 8 * i;
	else
		ret->text = (pop3_span){(const char *)at, size};
	view->fields = at + size;
	view->size -= RECORD_FIELD_HEAD + size;
	return true;
}

bool record_find(const struct record_view *view, enum record_key key, struct record_field *ret)
{
	struct record_view rest = *view;

	while (record_next(&rest, ret))
		if (ret->key == key)
			return true;
	return false;
}

/* ---- a line ---- */

static bool plain(unsigned char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '@' || c == '.' || c == '_' || c == '+' || c == '-';
}

static bool plain_word(unsigned char c)
{
	return c >= ' ' && c <= '~' && c != '"' && c != '\\';
}

static void put_quoted(struct out *out, pop3_span text, bool (*stays)(unsigned char), size_t most,
		       bool cut)
{
	size_t end = out->size + most;

	put_octet(out, '"');
	for (size_t i = 0; i < text.size; i++) {
		unsigned char c = (unsigned char)text.data[i];

		if (out->size + 4 > end || out->size + 8 > out->room) {
			cut = true;
			break;
		}
		if (stays(c)) {
			put_octet(out, (char)c);
		} else {
			put(out, "\\x");
			put_hex(out, c, 2);
		}
	}
	if (cut)
		put(out, "...");
	put_octet(out, '"');
}

static void put_field(struct out *out, const struct record_field *field)
{
	const char *word = record_key_word(field->key);
	size_t least = strlen(word) + NUMBER_MAX;

	if (out->room - out->size < least)
		return;
	put_octet(out, ' ');
	put(out, word);
	put_octet(out, '=');
	if (field->kind == RECORD_NUMBER)
		put_number(out, field->number, 10);
	else if (field->kind == RECORD_WORDS)
		put_quoted(out, field->text, plain_word, out->room, false);
	else
		put_quoted(out, field->text, plain, RECORD_TEXT_MAX,
			   field->kind == RECORD_TEXT_CUT);
}

size_t record_line(const struct record_view *view, char buf[LOG_LINE_MAX])
{
	struct out out = {.text = buf, .room = LOG_LINE_MAX};
	struct record_view rest = *view;
	struct record_field field;
	char address[64];

	put(&out, record_event_word(view->event));
	if (view->address) {
		put(&out, " from=");
		put(&out, record_address(view->address, address));
	}
	if (view->network && view->network[0]) {
		put(&out, " from=");
		put(&out, view->network);
	}
	if (view->has_session) {
		put(&out, " session=");
		put_session(&out, view);
	}
	while (record_next(&rest, &field))
		put_field(&out, &field);
	return out.size;
}

/* ---- JSON ---- */

/* The character at the beginning of text, of which it takes *ret_size octets. */
static uint32_t character(pop3_span text, size_t *ret_size)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	unsigned char first = (unsigned char)text.data[0];
	size_t size = first < 0x80             ? 1
		      : (first & 0xe0) == 0xc0 ? 2
		      : (first & 0xf0) == 0xe0 ? 3
		      : (first & 0xf8) == 0xf0 ? 4
					       : 0;
	uint32_t c = size == 1 ? first : first & (0xffu >> (size + 1));

	*ret_size = 1;
	if (size == 0 || size > text.size)
		return 0xfffd;
	for (size_t i = 1; i < size; i++) {
		unsigned char next = (unsigned char)text.data[i];

		if ((next & 0xc0) != 0x80)
			return 0xfffd;
		c = c << 6 | (next & 0x3f);
	}
	if (c < least[size] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
		return 0xfffd;
	*ret_size = size;
	return c;
}

static void put_character(struct out *out, uint32_t c)
{
	if (c == '"' || c == '\\') {
		put_octet(out, '\\');
		put_octet(out, (char)c);
	} else if (c >= ' ' && c <= '~') {
		put_octet(out, (char)c);
	} else if (c < 0x10000) {
		put(out, "\\u");
		put_hex(out, c, 4);
	} else {
		put(out, "\\u");
		put_hex(out, 0xd800 + ((c - 0x10000) >> 10), 4);
		put(out, "\\u");
		put_hex(out, 0xdc00 + ((c - 0x10000) & 0x3ff), 4);
	}
}

static void put_string(struct out *out, pop3_span text, bool cut)
{
	put_octet(out, '"');
	while (text.size && out->room - out->size > NUMBER_MAX + LONGEST_ESCAPE) {
		size_t size;

		put_character(out, character(text, &size));
		text.data += size;
		text.size -= size;
	}
	if (cut || text.size)
		put(out, "...");
	put_octet(out, '"');
}

static void put_member(struct out *out, const char *name)
{
	if (out->size)
		put_octet(out, ',');
	put_octet(out, '"');
	put(out, name);
	put(out, "\":");
}

size_t record_json(const struct record_view *view, char *buf)
{
	struct out out = {.text = buf, .room = RECORD_JSON_MAX};
	struct record_view rest = *view;
	struct record_field field;
	char address[64];

	put_member(&out, "event");
	put_string(&out, span_of(record_event_word(view->event)), false);
	if (view->address) {
		put_member(&out, "from");
		put_string(&out, span_of(record_address(view->address, address)), false);
	}
	if (view->network && view->network[0]) {
		put_member(&out, "from");
		put_string(&out, span_of(view->network), false);
	}
	if (view->has_session) {
		put_member(&out, "session");
		put_octet(&out, '"');
		put_session(&out, view);
		put_octet(&out, '"');
	}
	while (record_next(&rest, &field)) {
		const char *word = record_key_word(field.key);

		if (out.room - out.size < strlen(word) + 2 * NUMBER_MAX + LONGEST_ESCAPE)
			break;
		put_member(&out, word);
		if (field.kind == RECORD_NUMBER)
			put_number(&out, field.number, 10);
		else
			put_string(&out, field.text, field.kind == RECORD_TEXT_CUT);
	}
	return out.size;
}

size_t record_json_head(uint64_t ms, char buf[RECORD_JSON_HEAD_MAX])
{
	time_t seconds = (time_t)(ms / 1000);
	struct tm tm = {.tm_mday = 1, .tm_year = 70};
	char day[32];

	if (!gmtime_r(&seconds, &tm) || !strftime(day, sizeof(day), "%Y-%m-%dT%H:%M:%S", &tm))
		day[0] = '\0';
	return (size_t)snprintf(buf, RECORD_JSON_HEAD_MAX, "{\"v\":1,\"time\":\"%s.%03uZ\"", day,
				(unsigned)(ms % 1000));
}
