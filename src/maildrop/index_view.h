/*
 * Reads a session's index (base + that much of the delta) from two descriptors that somebody else
 * made: what a front uses to answer LIST, UIDL and sizes by itself. Uses pread only (never maps),
 * checks every field, bounds everything; a broken index is an error, never an empty list. No lock,
 * no directory, no writing.
 */
#ifndef MAILDROP_INDEX_VIEW_H
#define MAILDROP_INDEX_VIEW_H

#include "base/err.h"

#include <pop3/client.h>

#include <stdint.h>

struct index_view;

struct index_entry {
	uint64_t octets;
	uint8_t unique_id_size;
	char unique_id[POP3_UNIQUE_ID_MAX];
};

/* The descriptors stay the caller's and must outlive the view. count and octets: what the keeper
 * announced; a view that disagrees fails. */
int index_view_create(int base_fd, int delta_fd, uint64_t delta_size, uint32_t count,
		      uint64_t octets, struct index_view **ret, struct err *err);
void index_view_destroy(struct index_view *view);
/* Reads up to n entries from message number first (1…). Returns how many, 0 beyond the end, -1 on
 * error. Cheap in sequence. */
int index_view_read(struct index_view *view, uint32_t first, struct index_entry *entries,
		    uint32_t n, struct err *err);

#endif
