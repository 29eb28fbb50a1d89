/*
 * An index as it is read: a base and a prefix of its delta, message by message. Used by fronts
 * (view.c) and keepers. The descriptors are the caller's. Every field is checked; damage is
 * an error.
 */
#ifndef MAILDROP_INDEX_INDEX_H
#define MAILDROP_INDEX_INDEX_H

#include "base/err.h"
#include "maildrop/index/delta.h"
#include "maildrop/index/format.h"
#include "maildrop/index/view.h"
#include "maildrop/syscalls.h"

/* Checked blocks of one part of the base. */
struct index_window {
	unsigned char *data;
	uint64_t first; /* block number in the file */
	uint32_t count, room;
};

/* A run of the delta, for changes that are read one after the other. */
struct index_stretch {
	unsigned char *data;
	uint64_t first;
	uint32_t size;
};

struct index {
	const struct maildrop_syscalls *sys;
	int base_fd, delta_fd;
	struct index_header header;
	uint64_t hashes_at, texts_at, end; /* first blocks of the base's parts, and behind them */
	struct index_delta delta;
	struct index_window records, texts;
	struct index_stretch log;
};

struct index_message {
	uint64_t octets, stored, inode;
	uint16_t flags;
	uint8_t id_size, name_size;
	char id[POP3_UNIQUE_ID_MAX];
	char name[INDEX_NAME_MAX + 1]; /* NUL-terminated */
};

/* limit: as index_delta_scan. -1: damaged, of different generations, unreadable; INDEX_NEWER: base
 * or delta is of a later version. */
int index_open(struct index *index, const struct maildrop_syscalls *sys, int base_fd, int delta_fd,
	       uint64_t limit, struct err *err);
/* A base without its delta: its sizes and unique ids are still of use. -1, INDEX_NEWER. */
int index_open_base(struct index *index, const struct maildrop_syscalls *sys, int base_fd,
		    struct err *err);
/* Whether the base is as long as its header says: 0, or -1. A base that lost its end would be found
 * damaged only by the command that needs what was there. */
int index_check_size(const struct index *index, struct err *err);
void index_close(struct index *index);
/* Frees the read buffers; they come again when needed. */
void index_drop_buffers(struct index *index);
/* ordinal < header.count + delta.added; a removed message is read, too. */
int index_read(struct index *index, uint32_t ordinal, struct index_message *ret, struct err *err);
/* Only what a listing needs, of up to n > 0 messages in a row: returns how many, at least 1. Ids
 * live until the next call; without them (then empty spans) no text of the base is read. */
int index_read_entries(struct index *index, uint32_t ordinal, bool with_ids,
		       struct index_entry *ret, uint32_t n, struct err *err);
/* A block of hashes, until the next call. NULL: cannot be read. */
const unsigned char *index_hashes(struct index *index, uint32_t nth);
/* Is one of these unique parts (by its hash: perhaps) the name of a message of the base? 1, 0, or
 * -1: the base cannot be read. */
struct index_search {
	uint32_t *hashes;
	size_t count, room;
	bool failed;
	uint64_t filter[64]; /* a bit for each value of the low twelve bits that occurs */
};
void index_search_add(struct index_search *search, pop3_span unique);
int index_search(struct index *index, const struct index_search *search);
void index_search_finish(struct index_search *search);
/* Reads every block of the base: 0 if all are good. */
int index_verify(struct index *index, struct err *err);
/* Not counted by us yet? */
bool index_unverified(const struct index *index, uint32_t ordinal,
		      const struct index_message *message);

#endif
