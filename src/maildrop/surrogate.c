/* See surrogate.h. */
#include "maildrop/surrogate.h"

#include "base/array.h"
#include "base/text.h"

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define NOBODY "<utf8@address.invalid>" /* RFC 2606: nobody can have it */
#define FILLER "X-Filler:"
enum {
	WORD_MAX = 45,   /* octets of an encoded word before base64: the word has 75 at most */
	FILLER_MIN = 13, /* the shortest field of that name */
	FILLER_LINE = 64,
};

enum field_kind {
	FIELD_KEPT,      /* in ASCII */
	FIELD_RECEIVED,  /* in ASCII; it gives way where room is short */
	FIELD_TEXT,      /* encoded words */
	FIELD_ADDRESSES, /* encoded words and addresses */
	FIELD_MARKED,    /* the body needs it: a question mark for each octet */
	FIELD_LEFT_OUT,
};

struct field {
	pop3_span text; /* with its line ends */
	enum field_kind kind;
};

struct fields {
	struct field *list;
	size_t count, room;
};

/* Counts; writes, too, if there is an out. */
struct writer {
	char *out;
	size_t used;
};

/* ---- lines and fields ---- */

static pop3_span take_line(pop3_span *text)
{
	const char *end = memchr(text->data, '\n', text->size);
	pop3_span line = {text->data, end ? (size_t)(end - text->data) + 1 : text->size};

	text->data += line.size;
	text->size -= line.size;
	return line;
}

static bool is_empty(pop3_span line)
{
	return line.size && (*line.data == '\n' ||
			     (*line.data == '\r' && line.size > 1 && line.data[1] == '\n'));
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static bool is_ascii(pop3_span text)
{
	for (size_t i = 0; i < text.size; i++)
		if (text.data[i] & 0x80)
			return false;
	return true;
}

size_t surrogate_header(pop3_span message)
{
	pop3_span rest = message;

	while (rest.size)
		if (is_empty(take_line(&rest)))
			break;
	return message.size - rest.size;
}

size_t surrogate_size(pop3_span header)
{
	size_t size = header.size;

	for (size_t i = 0; i < header.size; i++)
		size += header.data[i] == '\n' && (i == 0 || header.data[i - 1] != '\r');
	return size;
}

/* The name in front of the colon; size 0: there is none. */
static pop3_span name_of(pop3_span field)
{
	const char *colon = memchr(field.data, ':', field.size);
	pop3_span name = {field.data, colon ? (size_t)(colon - field.data) : 0};

	while (name.size && is_blank(name.data[name.size - 1]))
		name.size--;
	return is_ascii(name) && !memchr(name.data, '\n', name.size) ? name
								     : (pop3_span){field.data, 0};
}

static bool is_one_of(pop3_span name, const char *const *names)
{
	for (; *names; names++)
		if (span_equal_nocase(name, span_of(*names)))
			return true;
	return false;
}

static enum field_kind kind_of(pop3_span field)
{
	static const char *const texts[] = {"Subject", "Comments", NULL};
	static const char *const addresses[] = {
		"From",        "Sender",        "Reply-To",  "To",        "Cc",         "Bcc",
		"Resent-From", "Resent-Sender", "Resent-To", "Resent-Cc", "Resent-Bcc", NULL};
	static const char *const needed[] = {"Content-Type", "Content-Disposition", NULL};
	pop3_span name = name_of(field);

	if (is_ascii(field))
		return span_equal_nocase(name, SPAN_LITERAL("Received")) ? FIELD_RECEIVED
									 : FIELD_KEPT;
	if (is_one_of(name, texts))
		return FIELD_TEXT;
	if (is_one_of(name, addresses))
		return FIELD_ADDRESSES;
	return is_one_of(name, needed) ? FIELD_MARKED : FIELD_LEFT_OUT;
}

/* Without the empty line. -1: no memory. */
static int split(pop3_span header, struct fields *ret)
{
	while (header.size) {
		pop3_span field = take_line(&header);
		struct field *grown;

		while (header.size && is_blank(*header.data))
			field.size += take_line(&header).size;
		grown = array_grow(ret->list, ret->count, &ret->room, sizeof(*grown));
		if (!grown)
			return -1;
		ret->list = grown;
		ret->list[ret->count++] = (struct field){field, kind_of(field)};
	}
	return 0;
}

/* ---- writing ---- */

static void put(struct writer *w, const char *data, size_t size)
{
	if (w->out && size)
		memcpy(w->out + w->used, data, size);
	w->used += size;
}

static void put_text(struct writer *w, const char *text)
{
	put(w, text, strlen(text));
}

/* With CRLF for each line end. marked: question marks for what is not ASCII, and no addresses. */
static void put_lines(struct writer *w, pop3_span text, bool marked)
{
	bool marks = marked && !is_ascii(text);

	for (size_t i = 0; i < text.size; i++) {
		char c = text.data[i];

		if (c == '\n' && (i == 0 || text.data[i - 1] != '\r'))
			put(w, "\r", 1);
		if (marks && (c & 0x80 || c == '@'))
			c = '?';
		put(w, &c, 1);
	}
}

/* Octets of whole characters, at most WORD_MAX. */
static size_t word_size(pop3_span text)
{
	size_t size = text.size < WORD_MAX ? text.size : WORD_MAX;

	while (size < text.size && size && ((unsigned char)text.data[size] & 0xc0) == 0x80)
		size--;
	return size ? size : text.size < WORD_MAX ? text.size : WORD_MAX;
}

/* Text without line ends, as encoded words, one a line. */
static void put_words(struct writer *w, pop3_span text)
{
	char word[4 * WORD_MAX / 3 + 8];

	for (bool first = true; text.size; first = false) {
		size_t size = word_size(text);
		int n = base64_encode((pop3_span){text.data, size}, word, sizeof(word));

		assert(n > 0);
		put_text(w, first ? "=?utf-8?B?" : "\r\n =?utf-8?B?");
		put(w, word, (size_t)n);
		put_text(w, "?=");
		text.data += size;
		text.size -= size;
	}
}

static pop3_span trimmed(pop3_span text)
{
	while (text.size && strchr(" \t\r\n", *text.data) && *text.data) {
		text.data++;
		text.size--;
	}
	while (text.size && strchr(" \t\r\n", text.data[text.size - 1]) && text.data[text.size - 1])
		text.size--;
	return text;
}

/* ---- addresses ---- */

/* Takes what stands before the next comma that is in no string, comment or bracket. */
static pop3_span take_address(pop3_span *list)
{
	bool quoted = false;
	int comments = 0, brackets = 0;
	size_t i;

	for (i = 0; i < list->size; i++) {
		char c = list->data[i];

		if (c == '\\' && (quoted || comments))
			i++;
		else if (c == '"' && !comments)
			quoted = !quoted;
		else if (quoted)
			continue;
		else if (c == '(')
			comments++;
		else if (c == ')' && comments)
			comments--;
		else if (!comments && (c == '<' || c == '>'))
			brackets = c == '<';
		else if (!comments && !brackets && c == ',')
			break;
	}
	if (i > list->size)
		i = list->size;
	pop3_span address = {list->data, i};

	i += i < list->size;
	list->data += i;
	list->size -= i;
	return trimmed(address);
}

static pop3_span without_quotes(pop3_span text)
{
	text = trimmed(text);
	if (text.size >= 2 && *text.data == '"' && text.data[text.size - 1] == '"') {
		text.data++;
		text.size -= 2;
	}
	return text;
}

static void put_address(struct writer *w, pop3_span address)
{
	const char *open = memrchr(address.data, '<', address.size);
	pop3_span name = {address.data, open ? (size_t)(open - address.data) : 0};
	pop3_span route = {address.data + name.size, address.size - name.size};

	if (is_ascii(address)) {
		put(w, address.data, address.size);
		return;
	}
	name = without_quotes(name);
	put_words(w, name.size ? name : route);
	put(w, " ", 1);
	if (open && is_ascii(route))
		put(w, route.data, route.size);
	else
		put_text(w, NOBODY);
}

static void put_addresses(struct writer *w, pop3_span list)
{
	for (bool first = true; list.size;) {
		pop3_span address = take_address(&list);

		if (address.size == 0)
			continue;
		put_text(w, first ? "" : ",\r\n ");
		put_address(w, address);
		first = false;
	}
}

/* ---- a field ---- */

/* Its value on one line, in room of its size. */
static pop3_span unfolded(pop3_span field, char *room)
{
	pop3_span name = name_of(field);
	const char *colon = memchr(field.data, ':', field.size);
	size_t used = 0;

	for (const char *p = colon + 1; name.size && p < field.data + field.size; p++)
		if (*p != '\r' && *p != '\n')
			room[used++] = *p;
	return trimmed((pop3_span){room, used});
}

static int put_field(struct writer *w, const struct field *field)
{
	pop3_span name = name_of(field->text), value;
	char *room;

	switch (field->kind) {
	case FIELD_KEPT:
	case FIELD_RECEIVED:
	case FIELD_MARKED:
		put_lines(w, field->text, field->kind == FIELD_MARKED);
		return 0;
	case FIELD_LEFT_OUT:
		return 0;
	case FIELD_TEXT:
	case FIELD_ADDRESSES:
		break;
	}
	room = malloc(field->text.size);
	if (!room)
		return -1;
	value = unfolded(field->text, room);
	put(w, name.data, name.size);
	put_text(w, ": ");
	if (field->kind == FIELD_TEXT)
		put_words(w, value);
	else
		put_addresses(w, value);
	put_text(w, "\r\n");
	free(room);
	return 0;
}

/* Octets of all of them. -1: no memory. */
static int put_fields(struct writer *w, const struct fields *fields)
{
	for (size_t i = 0; i < fields->count; i++)
		if (put_field(w, &fields->list[i]) < 0)
			return -1;
	return 0;
}

/* ---- exactly as many octets ---- */

/* A field of so many octets, in lines: at least FILLER_MIN. */
static void put_filler(struct writer *w, size_t size)
{
	size_t line = sizeof(FILLER) - 1;

	put_text(w, FILLER);
	size -= line;
	while (size) {
		/* " x…" and CRLF; what is left is nothing, or a line as well */
		size_t n = size <= FILLER_LINE      ? size
			   : size - FILLER_LINE < 4 ? FILLER_LINE - 4
						    : FILLER_LINE;

		put(w, " ", 1);
		for (size_t i = 3; i < n; i++)
			put(w, "x", 1);
		put_text(w, "\r\n");
		size -= n;
	}
}

/* Leaves Received out, the oldest first, until the others fit into so many octets, with a filler
 * behind them. -1: no memory; 0: they do not fit. */
static int fit(struct fields *fields, size_t size)
{
	struct writer count = {0};
	size_t i = fields->count;

	if (put_fields(&count, fields) < 0)
		return -1;
	while (count.used != size && (count.used > size || size - count.used < FILLER_MIN)) {
		while (i && fields->list[i - 1].kind != FIELD_RECEIVED)
			i--;
		if (!i)
			return 0;
		fields->list[--i].kind = FIELD_LEFT_OUT;
		count.used -= surrogate_size(fields->list[i].text);
	}
	return 1;
}

/* All that is there, with question marks: it always has the size. */
static void mark_all(struct fields *fields)
{
	for (size_t i = 0; i < fields->count; i++)
		fields->list[i].kind = FIELD_MARKED;
}

/* Octets of the empty line that the header ends with. */
static size_t empty_line(pop3_span header)
{
	size_t size = header.size && header.data[header.size - 1] == '\n';

	if (size && header.size > 1 && header.data[header.size - 2] == '\r')
		size++;
	return size == header.size || header.data[header.size - size - 1] == '\n' ? size : 0;
}

int surrogate_write(pop3_span header, char *out)
{
	size_t empty = empty_line(header), all = surrogate_size(header) - (empty ? 2 : 0);
	pop3_span lines = {header.data, header.size - empty};
	struct writer w = {.out = out};
	struct fields fields = {0};
	int result = split(lines, &fields);

	/* of a last line without an end nobody knows whether it has one */
	if (result == 0 && lines.size && lines.data[lines.size - 1] == '\n')
		result = fit(&fields, all);
	if (result == 0)
		mark_all(&fields);
	if (result >= 0)
		result = put_fields(&w, &fields);
	if (result == 0 && w.used < all)
		put_filler(&w, all - w.used);
	put_text(&w, result == 0 && empty ? "\r\n" : "");
	free(fields.list);
	return result;
}
