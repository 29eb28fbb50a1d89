/* See notes.h. */
#include "server/keeper/notes.h"

#include "base/log.h"
#include "base/table.h"

#include <stdbool.h>
#include <string.h>

void keeper_notes_init(struct keeper_notes *notes)
{
	memset(notes, 0, sizeof(*notes));
	pthread_mutex_init(&notes->lock, NULL);
}

void keeper_note(void *context, const char *text)
{
	struct keeper_notes *notes = context;
	uint64_t hash = hash_octets(text, strlen(text)) | 1;
	bool known = false;

	pthread_mutex_lock(&notes->lock);
	for (unsigned i = 0; i < KEEPER_NOTES && !known; i++)
		known = notes->seen[i] == hash;
	if (!known)
		notes->seen[notes->next++ % KEEPER_NOTES] = hash;
	pthread_mutex_unlock(&notes->lock);
	if (!known)
		log_warning("%s", text);
}

void keeper_note_index(void *context, const char *text)
{
	(void)context;
	log_info("%s", text);
}
