/*
 * Unique ids that were brought from another server, beside the index of a mailbox
 * (….valija-uidl): data, for no rule gives them again. A message whose own id is in it is shown
 * with the one that was brought. Written once, before the first session; read wherever messages are
 * written into an index. Format: docs/maildrop-format.md. For the files of this folder and adopt/.
 */
#ifndef MAILDROP_MBOX_IDS_H
#define MAILDROP_MBOX_IDS_H

#include "base/hash_map.h"
#include "maildrop/mbox/place.h"
#include "maildrop/mbox/table.h"

struct mbox_ids {
	char *text; /* of the file; NULL: there is none */
	size_t size;
	struct hash_map places, seen; /* own ids: where the other one is; ids that were brought */
};

/* The ids of these messages, and perhaps of others: a few are found without a table of all. A file
 * that is not there is an empty one; lines that make no sense are skipped. -1 with errno;
 * mbox_ids_finish must be called then, too. */
int mbox_ids_load(struct mbox_ids *ids, const struct mbox_place *place,
		  const struct mbox_entry *entries, size_t count);
void mbox_ids_finish(struct mbox_ids *ids);
/* The record of a message for an index, with the id that was brought, if one was. */
void mbox_ids_encode(const struct mbox_ids *ids, const struct mbox_entry *entry,
		     struct index_message *ret);

#define MBOX_IDS_ORIGIN                                                          \
	" origin " /* how a line begins that says where the next lines come from \
		    */
/* Octets of a line with an id of so many. */
#define MBOX_IDS_LINE(id_size) ((size_t)(id_size) + 1 + MBOX_UNIQUE + 1)
/* Writes the line, which may be anywhere but has that room. Returns its size. */
size_t mbox_ids_line(char *buf, pop3_span id, const unsigned char own[MBOX_ID]);
/* Puts a file of these lines in its place, on the disk when 0 is returned; whole or not at all. -1
 * with errno. */
int mbox_ids_write(const struct mbox_place *place, const char *lines, size_t size);

#endif
