/* See lines.h. */
#include "server/lines.h"

#include "base/text.h"

#include <stdio.h>
#include <string.h>

static bool plain(unsigned char c, bool blanks)
{
	return (c > ' ' || (blanks && c == ' ')) && c < 0x7f && c != '\\';
}

static size_t escape(char *buf, pop3_span text, bool blanks)
{
	size_t used = 0;

	if (text.size == 0) {
		buf[0] = '-';
		return 1;
	}
	for (size_t i = 0; i < text.size; i++) {
		unsigned char c = (unsigned char)text.data[i];

		if (plain(c, blanks) && !(text.size == 1 && c == '-'))
			buf[used++] = (char)c;
		else
			used += (size_t)sprintf(buf + used, "\\x%02x", c);
	}
	return used;
}

size_t lines_escape(char *buf, pop3_span text)
{
	return escape(buf, text, false);
}

size_t lines_escape_words(char *buf, pop3_span text)
{
	return escape(buf, text, true);
}

/* Makes room for size octets at the end of the line; NULL: there is none. */
static char *room_for(struct lines *lines, size_t size)
{
	if (lines->full || sizeof(lines->text) - lines->size < size) {
		lines->full = true;
		return NULL;
	}
	return lines->text + lines->size;
}

static void put(struct lines *lines, const char *text, size_t size)
{
	char *at = room_for(lines, size);

	if (!at)
		return;
	memcpy(at, text, size);
	lines->size += size;
}

static void put_field(struct lines *lines, pop3_span text, bool blanks)
{
	char *at;

	put(lines, "\t", 1);
	/* sprintf writes a NUL, too */
	at = room_for(lines, (text.size ? text.size : 1) * LINES_ESCAPED + 1);
	if (at)
		lines->size += escape(at, text, blanks);
}

void lines_begin(struct lines *lines, const char *kind)
{
	lines->size = lines->whole;
	lines->full = false;
	put(lines, kind, strlen(kind));
}

void lines_name(struct lines *lines, pop3_span name)
{
	put_field(lines, name, false);
}

void lines_words(struct lines *lines, const char *words)
{
	put_field(lines, span_of(words), true);
}

void lines_number(struct lines *lines, uint64_t number)
{
	char text[32];
	int size = snprintf(text, sizeof(text), "\t%llu", (unsigned long long)number);

	put(lines, text, (size_t)size);
}

bool lines_end(struct lines *lines)
{
	put(lines, "\n", 1);
	if (lines->full) {
		lines->size = lines->whole;
		return false;
	}
	lines->whole = lines->size;
	lines->count++;
	return true;
}

bool lines_obeyed(const struct ipc_control_peers *peers, uint32_t uid, uint32_t gid)
{
	for (uint32_t i = 0; i < peers->count; i++)
		if (peers->uids[i] == uid)
			return true;
	return peers->has_group && peers->gid == gid;
}
