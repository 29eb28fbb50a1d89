/*
 * Reads a session's index (base and a prefix of the log) from two descriptors that a keeper sent: a
 * front answers LIST, UIDL and sizes with it. Uses pread only (never maps),
 * checks every field, bounds everything; a broken index is an error, never an empty list. No lock,
 * no directory, no writing.
 */
#ifndef MAILDROP_INDEX_VIEW_H
#define MAILDROP_INDEX_VIEW_H

#include "base/err.h"

#include <pop3/span.h>

#include <stdbool.h>
#include <stdint.h>

struct index_view;

struct index_entry {
	uint64_t octets;
	pop3_span unique_id;
};

/* The descriptors stay the caller's and must outlive the view. count and octets: what the keeper
 * announced; a view that disagrees fails. */
int index_view_create(int base_fd, int delta_fd, uint64_t delta_size, uint32_t count,
		      uint64_t octets, struct index_view **ret, struct err *err);
void index_view_destroy(struct index_view *view);
/* Reads up to n > 0 entries from message number first (1…). Returns how many: at least 1, fewer
 * than n if the next one needs another reading; 0 beyond the end, -1 on error. Unique ids live
 * until the next call; without them (then empty spans) less is read. Cheap in sequence. */
int index_view_read(struct index_view *view, uint32_t first, bool with_ids, struct index_entry *ret,
		    uint32_t n, struct err *err);
/* Frees the read buffers; they come again when needed. */
void index_view_trim(struct index_view *view);

#endif
