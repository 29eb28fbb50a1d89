/*
 * Directories against what is known of them: which messages are new, gone or renamed. The first
 * steps of maildir_update; fresh.h, order.h and record.h are the later ones.
 */
#ifndef MAILDROP_MAILDIR_UPDATE_COMPARE_H
#define MAILDROP_MAILDIR_UPDATE_COMPARE_H

#include "maildrop/maildir/update/log.h"
#include "maildrop/maildir/update/model.h"
#include "maildrop/maildir/update/uidl.h"
#include "maildrop/maildir/files/place.h"

/* A second file with the unique part of a message that was found already. */
struct maildir_duplicate {
	uint32_t message;
	enum index_directory directory;
	size_t name; /* in the comparison's text */
	uint64_t inode;
};

struct maildir_comparison {
	struct maildir_place *place;
	struct maildir_model model;
	struct maildir_uidl uidl; /* if has_uidl: there are fresh messages */
	bool has_uidl;
	struct index_batch unknown;   /* of the log: what only a later version knows */
	bool scan[INDEX_DIRECTORIES]; /* which directories are looked at */
	struct index_stamp stamps[INDEX_DIRECTORIES];
	struct index_stamp before[INDEX_DIRECTORIES]; /* of the index; all zero: there is none */
	bool replaced[INDEX_DIRECTORIES]; /* it is another directory than the index knows */
	bool copied;                      /* both are, and the index came along */
	bool new_only;                    /* only the log's messages were loaded: a look at new/ */
	uint32_t not_loaded;              /* messages of the base, which new_only did not load */
	bool settled;    /* nothing moved while we looked: what was not seen is gone */
	bool left_out;   /* something could not be read now: look again next time */
	bool moved;      /* a fresh file was not where it was seen: look again now */
	uint32_t *order; /* fresh messages in the order they get */
	uint32_t order_count;
	struct maildir_duplicate *duplicates;
	size_t duplicate_count, duplicate_room;
	char *text;
	size_t text_size, text_room;
};

/* Reads the directories. Stamps of those that were looked at are set, with their trust. */
enum maildrop_status maildir_compare_scan(struct maildir_comparison *c, struct err *err);
/* Duplicates get names of their own; what is not there any more is marked MODEL_DEAD. */
enum maildrop_status maildir_compare_settle(struct maildir_comparison *c, struct err *err);
void maildir_compare_finish(struct maildir_comparison *c);

#endif
