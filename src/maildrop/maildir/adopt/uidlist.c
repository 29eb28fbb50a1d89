/* See uidlist.h. */
#include "maildrop/maildir/adopt/uidlist.h"

#include "base/array.h"
#include "base/text.h"
#include "maildrop/index/format.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#define FILE_MAX 255

static int take_uint(pop3_span text, uint32_t *ret)
{
	uint64_t number;

	if (span_number(text, UINT32_MAX, &number) < 0)
		return -1;
	*ret = (uint32_t)number;
	return 0;
}

/* "3 V1795942478 N6 G401b", or "1 1795942478 6". */
static int take_header(pop3_span line, uint32_t *ret_version, uint32_t *ret_uidvalidity)
{
	if (take_uint(span_take_until(&line, ' '), ret_version) < 0)
		return -1;
	if (*ret_version == 1)
		return take_uint(span_take_until(&line, ' '), ret_uidvalidity);
	while (*ret_version == 3 && line.size) {
		pop3_span word = span_take_until(&line, ' ');

		if (word.size && word.data[0] == 'V')
			return take_uint((pop3_span){word.data + 1, word.size - 1},
					 ret_uidvalidity);
	}
	return -1;
}

/* Letter and value of a field. */
static void take_field(pop3_span word, struct uidlist_entry *entry)
{
	pop3_span value = {word.data + 1, word.size - 1};

	if (word.data[0] == 'P')
		entry->saved = value;
	else if (word.data[0] == 'G' && value.size)
		entry->guid = value;
	else if (word.data[0] == 'O')
		(void)take_uint(value, &entry->order);
}

/* "3 O4 Pid W30 :name", or of version 1: "3 name". */
static bool take_line(pop3_span line, uint32_t version, struct uidlist_entry *ret)
{
	*ret = (struct uidlist_entry){.line = line};
	if (take_uint(span_take_until(&line, ' '), &ret->uid) < 0 || ret->uid == 0)
		return false;
	while (version == 3 && line.size && line.data[0] != ':') {
		pop3_span word = span_take_until(&line, ' ');

		if (word.size)
			take_field(word, ret);
	}
	if (line.size && line.data[0] == ':') {
		line.data++;
		line.size--;
	}
	ret->file = span_take_until(&line, ':');
	return ret->file.size > 0 && ret->file.size <= FILE_MAX;
}

int uidlist_parse(pop3_span text, struct uidlist *ret, struct err *err)
{
	struct uidlist list = {0};
	size_t room = 0;

	if (take_header(span_take_until(&text, '\n'), &list.version, &list.uidvalidity) < 0)
		return err_set(err, EX_DATAERR,
			       "its first line is none that Dovecot 1 or 2 writes");
	while (text.size) {
		struct uidlist_entry *grown =
			array_grow(list.entries, list.count, &room, sizeof(*grown));
		pop3_span line = span_take_until(&text, '\n');

		if (!grown) {
			uidlist_finish(&list);
			return err_set(err, EX_OSERR, "out of memory");
		}
		list.entries = grown;
		if (!take_line(line, list.version, &list.entries[list.count])) {
			list.bad++;
		} else if (++list.count > INDEX_COUNT_MAX) {
			uidlist_finish(&list);
			return err_set(err, EX_DATAERR, "it has more than %u messages",
				       INDEX_COUNT_MAX);
		}
	}
	*ret = list;
	return 0;
}

void uidlist_finish(struct uidlist *list)
{
	free(list->entries);
	*list = (struct uidlist){0};
}
