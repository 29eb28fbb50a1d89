/*
 * The state after a prefix of the log: groups of frames are read, each applied whole or not at
 * all. Runs in fronts and keepers; the file may be hostile, so every field is checked. Owns its
 * arrays; the descriptor is the caller's.
 */
#ifndef MAILDROP_INDEX_DELTA_H
#define MAILDROP_INDEX_DELTA_H

#include "base/err.h"
#include "maildrop/index/format.h"
#include "maildrop/syscalls.h"

/* A change to a message that is found again at its place in the file. */
struct index_edit {
	uint32_t ordinal;
	uint64_t position;
};

struct index_delta {
	uint64_t id;
	uint64_t size;   /* octets understood: the prefix */
	bool whole;      /* nothing but that prefix was in the file */
	bool files_only; /* there is no base: only pending DELs have a meaning */
	uint32_t base_count, added;
	uint64_t *adds;    /* positions of ADD changes */
	uint32_t *removed; /* ordinals that DEL and GONE removed; sorted and unique after a scan */
	size_t removed_count;
	struct index_edit *edits; /* NAME and SIZE, by ordinal, then as they came */
	size_t edit_count;
	uint64_t *pending; /* positions of DEL changes whose files are not known to be gone */
	size_t pending_count;
	uint64_t *unknown; /* positions of changes of kinds that only a later version knows */
	size_t unknown_count;
	size_t add_room, removed_room, edit_room, pending_room, unknown_room;
	uint32_t count; /* messages left */
	uint64_t octets, stored;
	uint32_t in_new;                   /* messages left that are in new/ */
	uint32_t verified, unverified_end; /* only ordinals between may have uncounted octets */
	bool flushed;
	struct index_stamp stamps[INDEX_DIRECTORIES];
};

/* Without a base: header NULL; then only pending DELs have a meaning, and changes that name
 * messages are not checked against anything. */
void index_delta_init(struct index_delta *delta, const struct index_header *header);
void index_delta_finish(struct index_delta *delta);
/*
 * Goes on behind delta->size, to limit or (UINT64_MAX) the end of the file. 0: everything up to
 * there that is whole has been taken; -1: cannot be read, is not this base's delta, contradicts
 * itself, or memory is short; INDEX_NEWER: of a later version.
 */
int index_delta_scan(struct index_delta *delta, const struct maildrop_syscalls *sys, int fd,
		     uint64_t limit, struct err *err);
/* Goes on with whole groups that the caller itself wrote behind delta->size. -1: they contradict
 * what was known, or memory is short. */
int index_delta_take(struct index_delta *delta, const unsigned char *frames, size_t size);
/* Takes the pending DELs of all good frames, also of those behind damage, for a delta without a
 * base. Returns how many changes were found behind damage. */
size_t index_delta_salvage(struct index_delta *delta, const struct maildrop_syscalls *sys, int fd);
/* One change at a position that the scan noted, into buf. */
int index_delta_read(const struct maildrop_syscalls *sys, int fd, uint64_t position,
		     unsigned char buf[INDEX_CHANGE_MAX], struct index_change *ret,
		     struct err *err);
/* Message number (from 1) → ordinal, and whether an ordinal is a message still. */
uint32_t index_delta_ordinal(const struct index_delta *delta, uint32_t number);
bool index_delta_removed(const struct index_delta *delta, uint32_t ordinal);
/* The first edit of this ordinal or a later one, or edit_count. */
size_t index_delta_edit(const struct index_delta *delta, uint32_t ordinal);

#endif
