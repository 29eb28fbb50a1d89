/* The journal's inside, shared by journal.c (entries, writing) and load.c (reading). */
#ifndef FETCH_JOURNAL_JOURNAL_PRIVATE_H
#define FETCH_JOURNAL_JOURNAL_PRIVATE_H

#include "fetch/journal/journal.h"

enum {
	JOURNAL_MEMORIES = 16,
	JOURNAL_NAME_MAX = 200,
};

struct journal {
	const struct fetch_files *files;
	int dir, fd, lock;
	char name[JOURNAL_NAME_MAX];
	char title[JOURNAL_VALUE_MAX];
	off_t size; /* of what is whole and flushed */
	uint64_t group;
	uint64_t lines; /* in the file: to know when to rewrite it */

	struct seen *entries;
	uint32_t count, capacity;
	char *names; /* identities, NUL-terminated */
	size_t names_size, names_capacity;
	struct journal_slot {
		uint32_t hash;
		uint32_t entry; /* index + 1 */
	} * slots;
	uint32_t slot_mask;

	char *out;
	size_t out_size, out_capacity, batch_start;
	unsigned batch_lines;

	struct {
		char key[33];
		char value[JOURNAL_VALUE_MAX + 1];
	} memories[JOURNAL_MEMORIES];
	unsigned memory_count;
};

int journal_keep_memory(struct journal *journal, pop3_span key, pop3_span value);
int journal_rewrite_file(struct journal *journal, int64_t before, struct err *err);

/* Applies one batch's lines (checked already). Used by the loader and its fuzzer. */
int journal_apply(struct journal *journal, pop3_span batch);

#endif
