/*
 * The lists in which other servers keep unique ids: the first octet chooses one, the others are the
 * file. Checked: what is found lies within it and is as the headers say; ids of Courier have only
 * octets that POP3 allows, and fit or are none. Lists of Dovecot get ids of ours, too.
 */
#include "maildrop/maildir/adopt/keywords.h"
#include "maildrop/maildir/adopt/sizelist.h"
#include "maildrop/maildir/adopt/uidlist.h"
#include "maildrop/maildir/adopt/uidlist_give.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define FILE_MAX 255
#define ID_ROOM 1024

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_inside(pop3_span part, pop3_span text)
{
	assert(part.data >= text.data && part.size <= text.size &&
	       part.data + part.size <= text.data + text.size);
}

static void try_uidlist(pop3_span text)
{
	struct uidlist list;
	char letter = keywords_letter(text, "$POP3Deleted");

	assert(!letter || (letter >= 'a' && letter <= 'z'));
	(void)keywords_has(text, 'a');
	if (uidlist_parse(text, &list, NULL) < 0)
		return;
	for (uint32_t i = 0; i < list.count; i++) {
		const struct uidlist_entry *e = &list.entries[i];

		check_inside(e->file, text);
		assert(e->uid > 0 && e->file.size > 0 && e->file.size <= FILE_MAX);
		if (e->saved.data)
			check_inside(e->saved, text);
		if (e->guid.data)
			check_inside(e->guid, text);
	}
	uidlist_finish(&list);
}

/* Our ids into the list: of a file that it has, of one that it has not, of two of one name. What
 * comes out has them all and is right as it is. */
static void try_give(pop3_span text)
{
	struct uidlist_message messages[4] = {
		{.id = {"new", 3}, .file = {"new.file", 8}},
		{.id = {"old", 3}, .file = {"old", 3}},
		{.id = {"again", 5}, .file = {"old", 3}},
		{.id = {"last", 4}, .file = {"1.a", 3}},
	};
	struct uidlist_given given = {0}, again = {0};
	struct uidlist list = {0};

	if (uidlist_parse(text, &list, NULL) == 0 && list.count)
		messages[1].file = messages[2].file = list.entries[0].file;
	uidlist_finish(&list);
	if (uidlist_give(text, NULL, messages, 4, &given, NULL) < 0)
		return;
	assert(given.lost >= 1);
	if (given.text) {
		const pop3_span made = {given.text, given.size};
		int result = uidlist_give(made, NULL, messages, 4, &again, NULL);

		assert(result == 0 && !again.text && again.added == 0);
	}
	free(given.text);
}

static void check_id(const struct sizelist_entry *entry)
{
	char id[ID_ROOM], small[24];
	size_t size = sizelist_id(entry, id, sizeof(id));

	assert(size > 0 && strlen(id) == size);
	for (size_t i = 0; i < size; i++)
		assert(id[i] > 0x20 && id[i] < 0x7f);
	size = sizelist_id(entry, small, sizeof(small));
	assert(size == 0 || (strlen(small) == size && strcmp(small, id) == 0));
}

static void try_sizelist(pop3_span text)
{
	struct sizelist list;

	if (sizelist_parse(text, &list, NULL) < 0)
		return;
	for (uint32_t i = 0; i < list.count; i++) {
		const struct sizelist_entry *e = &list.entries[i];

		check_inside(e->name, text);
		check_inside(e->file, e->name);
		assert(e->file.size > 0 && e->name.size <= FILE_MAX);
		assert(!memchr(e->file.data, ':', e->file.size));
		check_id(e);
	}
	sizelist_finish(&list);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	pop3_span text;
	char *copy;

	if (size == 0)
		return 0;
	copy = malloc(size - 1 ? size - 1 : 1); /* of its exact size: reading beyond it is seen */
	memcpy(copy, data + 1, size - 1);
	text = (pop3_span){copy, size - 1};
	if (data[0] == 'd') {
		try_uidlist(text);
		try_give(text);
	} else {
		try_sizelist(text);
	}
	free(copy);
	return 0;
}
