/*
 * The files of a mailbox's index (docs/maildrop-format.md): base and delta, opened, appended to,
 * replaced. Only the session that has the lock writes. For the files of this folder.
 */
#ifndef MAILDROP_MBOX_INDEX_H
#define MAILDROP_MBOX_INDEX_H

#include "maildrop/index/write.h"
#include "maildrop/mbox/place.h"
#include "maildrop/mbox/table.h"

struct mbox_index {
	struct index index;
	int base_fd, delta_fd; /* -1: not open */
	bool open;
	bool memory; /* the state folder takes no file: nothing can be deleted */
};

void mbox_index_init(struct mbox_index *index);
/* 0; -1: missing, damaged, not readable; INDEX_NEWER. */
int mbox_index_open(const struct mbox_place *place, struct mbox_index *index, struct err *err);
void mbox_index_close(struct mbox_index *index);
/* One group of changes. On failure (-1 with errno) the delta is as before. */
int mbox_index_append(const struct mbox_place *place, struct mbox_index *index,
		      struct index_batch *batch);
/*
 * A new base of all entries of table, and a delta with the DELs of those that are deleted; both on
 * the disk when 0 is returned. cut: those that are deleted are not in the file any more, and left
 * out. stamps: mbox_stamp. Where the folder takes no file: in memory.
 */
int mbox_index_replace(const struct mbox_place *place, struct mbox_index *index,
		       const struct mbox_table *table, bool cut,
		       const struct index_stamp stamps[INDEX_DIRECTORIES]);

/* A DEL of that message, for a batch. */
void mbox_index_add_del(struct index_batch *batch, const struct index_message *message,
			uint32_t ordinal);
/* Of an index that cannot be opened: what its base knows, and the DELs of its delta. -1: the delta
 * cannot be read, or no memory. */
int mbox_index_salvage(const struct mbox_place *place, struct mbox_table *table);

/* The same in memory, for this session alone. */
int mbox_index_memory(const struct mbox_place *place, struct mbox_index *index,
		      const struct mbox_table *table, bool cut,
		      const struct index_stamp stamps[INDEX_DIRECTORIES]);

/* The file's state as the index keeps it, in the two stamps of a Maildir's folders. */
void mbox_stamp(const struct stat *st, struct index_stamp ret[INDEX_DIRECTORIES]);
enum mbox_change { MBOX_SAME, MBOX_GROWN, MBOX_OTHER };
enum mbox_change mbox_changed(const struct index *index, const struct stat *st);
/* Octets of the file that the index covers. */
uint64_t mbox_covered(const struct index *index);
/* A stamp that no file has: the next session looks at all of the file. */
int mbox_index_distrust(const struct mbox_place *place, struct mbox_index *index);

#endif
