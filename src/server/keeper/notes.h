/*
 * Lines about the maildrops' troubles that are worked around, each once in the log: a maildrop
 * mentions them each time it meets them. Written by a keeper's workers and loop.
 */
#ifndef SERVER_KEEPER_NOTES_H
#define SERVER_KEEPER_NOTES_H

#include <pthread.h>
#include <stdint.h>

#define KEEPER_NOTES 512 /* lines that are remembered: of more, the oldest may be written again */

struct keeper_notes {
	pthread_mutex_t lock;
	uint64_t seen[KEEPER_NOTES]; /* hashes of lines; 0: none */
	unsigned next;
};

void keeper_notes_init(struct keeper_notes *notes);
/* For the settings of maildrops; context: struct keeper_notes. Logs a line that is not remembered.
 */
void keeper_note(void *context, const char *text);
/* The same of an index that is made anew: logged each time. */
void keeper_note_index(void *context, const char *text);

#endif
