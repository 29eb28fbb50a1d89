/*
 * The lists in which other servers keep unique ids: the first octet chooses one, the others are the
 * file. Checked: what is found lies within it and is as the headers say; ids of Courier have only
 * octets that POP3 allows, and fit or are none.
 */
#include "maildrop/maildir/adopt/sizelist.h"
#include "maildrop/maildir/adopt/uidlist.h"

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
	if (data[0] == 'd')
		try_uidlist(text);
	else
		try_sizelist(text);
	free(copy);
	return 0;
}
