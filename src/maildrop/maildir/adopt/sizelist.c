/* See sizelist.h. */
#include "maildrop/maildir/adopt/sizelist.h"

#include "base/array.h"
#include "base/text.h"
#include "maildrop/index/format.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#define FILE_MAX 255
#define VERSION_MAX 3
#define FLAGS ':' /* begins the flags of a file's name */

/* A line without its line feed, which is taken, too. false: there is none that ends: the rest of a
 * list that was cut off, whose last number may be half of one. */
static bool take_line(pop3_span *text, pop3_span *ret)
{
	const char *end = text->size ? memchr(text->data, '\n', text->size) : NULL;

	if (!end)
		return false;
	*ret = (pop3_span){text->data, (size_t)(end - text->data)};
	text->size -= ret->size + 1;
	text->data = end + 1;
	return true;
}

/* The word behind the last space, which is taken, too. Data NULL: there is no space. */
static pop3_span take_last(pop3_span *line)
{
	for (size_t i = line->size; i > 0; i--)
		if (line->data[i - 1] == ' ') {
			pop3_span word = {line->data + i, line->size - i};

			line->size = i - 1;
			return word;
		}
	return (pop3_span){NULL, 0};
}

/* "7" of version 1, "7:1795942478" of version 2, "7:1795942478:0" of version 3; a server that was
 * upgraded has these forms in one file. */
static bool take_number(pop3_span word, struct sizelist_entry *entry)
{
	uint64_t flag;

	if (span_number(span_take_until(&word, ':'), UINT64_MAX, &entry->number) < 0)
		return false;
	if (word.size && span_number(span_take_until(&word, ':'), UINT64_MAX, &entry->validity) < 0)
		return false;
	return word.size == 0 || span_number(word, UINT64_MAX, &flag) == 0;
}

/* "NAME SIZE NUMBER", of version 0 "NAME SIZE"; a name may have spaces. */
static bool take_entry(pop3_span line, unsigned version, struct sizelist_entry *ret)
{
	const char *flags;
	uint64_t size;

	*ret = (struct sizelist_entry){0};
	if (version > 0 && !take_number(take_last(&line), ret))
		return false;
	if (span_number(take_last(&line), UINT64_MAX, &size) < 0)
		return false;
	flags = line.size ? memchr(line.data, FLAGS, line.size) : NULL;
	ret->name = line;
	ret->file = (pop3_span){line.data, flags ? (size_t)(flags - line.data) : line.size};
	return ret->file.size > 0 && line.size <= FILE_MAX;
}

/* "/3 NEXT VALIDITY", "/1 NEXT": what follows is for messages that come later. Version 0 has no
 * such line: its first one is a message. */
static int take_version(pop3_span *text, unsigned *ret)
{
	struct sizelist_entry entry;
	pop3_span rest = *text, line;
	const char *space;
	uint64_t version;

	*ret = 0;
	if (!take_line(&rest, &line))
		return -1;
	if (line.size == 0 || line.data[0] != '/')
		return take_entry(line, 0, &entry) ? 0 : -1;
	space = memchr(line.data, ' ', line.size);
	if (!space ||
	    span_number((pop3_span){line.data + 1, (size_t)(space - line.data) - 1}, VERSION_MAX,
			&version) < 0 ||
	    version == 0)
		return -1;
	*ret = (unsigned)version;
	*text = rest;
	return 0;
}

/* ---- order ---- */

/* The number that a name begins with, as atol reads it: Courier sorts by it. */
static int64_t leading_number(pop3_span name)
{
	uint64_t number = 0;
	bool negative;
	size_t i = 0;

	while (i < name.size &&
	       (name.data[i] == ' ' || (name.data[i] >= '\t' && name.data[i] <= '\r')))
		i++;
	negative = i < name.size && name.data[i] == '-';
	if (i < name.size && (name.data[i] == '-' || name.data[i] == '+'))
		i++;
	for (; i < name.size && name.data[i] >= '0' && name.data[i] <= '9'; i++)
		number = number > INT64_MAX / 10 ? INT64_MAX
						 : number * 10 + (uint64_t)(name.data[i] - '0');
	if (number > INT64_MAX)
		number = INT64_MAX;
	return negative ? -(int64_t)number : (int64_t)number;
}

/* The octet at i; beyond the end 0. */
static int octet_at(pop3_span name, size_t i)
{
	return i < name.size ? (signed char)name.data[i] : 0;
}

/* Courier's order: by that number, then octet by octet up to the flags. */
static int by_name(const void *left, const void *right)
{
	const struct sizelist_entry *x = left, *y = right;
	int64_t m = leading_number(x->name), n = leading_number(y->name);
	size_t i = 0;
	int a, b;

	if (m != n)
		return m < n ? -1 : 1;
	for (;; i++) {
		a = octet_at(x->name, i);
		b = octet_at(y->name, i);
		if (a != b)
			return a < b ? -1 : 1;
		if (a == FLAGS || (i >= x->name.size && i >= y->name.size))
			break;
	}
	/* the same message twice: as they stand in the file */
	return x->name.data < y->name.data ? -1 : x->name.data > y->name.data;
}

/* ---- the list ---- */

/* 0; -1 with err. */
static int take_entries(pop3_span text, unsigned version, struct sizelist *list, struct err *err)
{
	size_t room = 0;
	pop3_span line;

	while (take_line(&text, &line)) {
		struct sizelist_entry *grown =
			array_grow(list->entries, list->count, &room, sizeof(*grown));

		if (!grown)
			return err_set(err, EX_OSERR, "out of memory");
		list->entries = grown;
		if (!take_entry(line, version, &grown[list->count]))
			list->bad++;
		else if (++list->count > INDEX_COUNT_MAX)
			return err_set(err, EX_DATAERR, "it has more than %u messages",
				       INDEX_COUNT_MAX);
	}
	list->bad += text.size > 0;
	return 0;
}

int sizelist_parse(pop3_span text, struct sizelist *ret, struct err *err)
{
	struct sizelist list = {0};
	unsigned version;

	if (take_version(&text, &version) < 0)
		return err_set(err, EX_DATAERR,
			       "its first line is none that Courier writes, versions 0 to %d",
			       VERSION_MAX);
	if (take_entries(text, version, &list, err) < 0) {
		sizelist_finish(&list);
		return -1;
	}
	if (list.count)
		qsort(list.entries, list.count, sizeof(*list.entries), by_name);
	*ret = list;
	return 0;
}

void sizelist_finish(struct sizelist *list)
{
	free(list->entries);
	*list = (struct sizelist){0};
}

/* ---- ids ---- */

/* Octets that Courier does not send as they are. */
static bool is_coded(unsigned char c)
{
	return c < 0x21 || c > 0x7e || c == '\'' || c == '"' || c == '+';
}

/* Ids of files' names: of messages that were there when an old Courier wrote its first list. */
static size_t name_id(pop3_span file, char *ret, size_t size)
{
	size_t used = 0;

	for (size_t i = 0; i < file.size; i++) {
		unsigned char c = (unsigned char)file.data[i];

		if (size - used < sizeof("+XX"))
			return 0;
		used += (size_t)snprintf(ret + used, size - used, is_coded(c) ? "+%02X" : "%c", c);
	}
	return used;
}

size_t sizelist_id(const struct sizelist_entry *entry, char *ret, size_t size)
{
	int n;

	if (entry->number == 0)
		return name_id(entry->file, ret, size);
	n = snprintf(ret, size, entry->validity ? "UID%" PRIu64 "-%" PRIu64 : "UID%" PRIu64,
		     entry->number, entry->validity);
	return n > 0 && (size_t)n < size ? (size_t)n : 0;
}
