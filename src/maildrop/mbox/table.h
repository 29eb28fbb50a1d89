/*
 * The messages of a mailbox in memory, in the order of the file, and how messages that were known
 * are found again in a file that was changed: by the digest of their headers, the size of their
 * body and their order. For the files of this folder.
 */
#ifndef MAILDROP_MBOX_TABLE_H
#define MAILDROP_MBOX_TABLE_H

#include "maildrop/index/index.h"
#include "maildrop/mbox/scan.h"

#define MBOX_ID 16u /* octets of a unique id, shown as 32 hex digits */

struct mbox_entry {
	uint64_t start, stored, octets;
	uint32_t head;
	uint16_t from_size;
	bool hides;
	bool deleted; /* by its owner; still in the file */
	bool has_id;
	unsigned char digest[MBOX_DIGEST];
	unsigned char id[MBOX_ID];
};

struct mbox_table {
	struct mbox_entry *entries;
	size_t count, room;
	bool partial; /* known messages: only some of those that there were */
	bool failed;  /* memory was short, or a message has headers of 4 GB */
};

/* For mbox_read_messages; context: a table. c-client's own message is left out. */
void mbox_table_found(void *context, const struct mbox_message *message);
int mbox_table_add(struct mbox_table *table, const struct mbox_entry *entry); /* -1: no memory */
void mbox_table_finish(struct mbox_table *table);

/* Gives ids to all of table: those of known where a message is found again (it is deleted then, if
 * that one was), new ones to the others. -1: no memory. */
int mbox_table_match(struct mbox_table *table, const struct mbox_table *known);

/* As an index has it. The text of a message is its id and a name: the id once more, ":", the digest
 * of its headers if the id is not that, and the octets of headers and "From " line. */
void mbox_entry_encode(const struct mbox_entry *entry, struct index_message *ret);
/* -1: that is no message of an mbox. */
int mbox_entry_decode(const struct index_message *message, struct mbox_entry *ret);
/* Octets of such a name that are its unique part. */
#define MBOX_UNIQUE (2 * MBOX_ID)
/* Is a message that was read the one of the entry, where it stood? */
bool mbox_entry_is(const struct mbox_entry *entry, const struct mbox_message *message);

/* All of an index, with those that were deleted and may still be in the file. */
int mbox_table_load(struct mbox_table *table, struct index *index, struct err *err);

#endif
