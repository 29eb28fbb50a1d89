/*
 * The headers from which other servers make unique ids of mboxes: the first octet says whether it
 * is the first message of a file, the others are the headers. Checked: what is found lies within
 * them, numbers are as the header says, ids have the form of that server's.
 */
#include "maildrop/mbox/adopt/notes.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define HEX "0123456789abcdef"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(pop3_span head, bool first)
{
	struct mbox_notes notes;
	const char *at;

	mbox_notes_read(head, first, &notes);
	assert(first || notes.uidvalidity == 0);
	assert(notes.uidvalidity || notes.last_uid == 0);
	assert(!first || notes.uidvalidity || notes.uid == 0);
	assert(strlen(notes.dovecot_md5) == 32 && strspn(notes.dovecot_md5, HEX) == 32);
	assert(strlen(notes.popa3d_id) == 16 && strspn(notes.popa3d_id, HEX) == 16);
	at = notes.xuidl.data;
	if (!at)
		return;
	assert(at >= head.data && at + notes.xuidl.size <= head.data + head.size);
	assert(notes.xuidl.size == 0 ||
	       (!strchr(" \t\r\n", at[0]) && !strchr(" \t\r\n", at[notes.xuidl.size - 1])) ||
	       at[0] == '\0' || at[notes.xuidl.size - 1] == '\0');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *copy;

	if (size == 0)
		return 0;
	copy = malloc(size - 1 ? size - 1 : 1); /* of its exact size: reading beyond it is seen */
	memcpy(copy, data + 1, size - 1);
	check((pop3_span){copy, size - 1}, data[0] == 'f');
	free(copy);
	return 0;
}
