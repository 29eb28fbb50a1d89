/*
 * All messages of a maildrop in memory, found by the unique part of their names: what an index says
 * while it is compared with the directories. Lives only as long as that; for the files of this
 * folder only.
 */
#ifndef MAILDROP_MAILDIR_UPDATE_MODEL_H
#define MAILDROP_MAILDIR_UPDATE_MODEL_H

#include "maildrop/index/index.h"
#include "maildrop/maildir/files/name.h"

enum model_marks {
	MODEL_DEAD = 1,      /* not a message (any more): removed, or not to be shown */
	MODEL_DELETED = 2,   /* a DEL whose file may still be there; never shown */
	MODEL_SEEN = 4,      /* found in its directory */
	MODEL_MOVED = 8,     /* name, directory or inode differ from the index */
	MODEL_MEASURE = 16,  /* octets must be counted */
	MODEL_RESIZED = 32,  /* sizes differ from the index */
	MODEL_FRESH = 64,    /* not in the index yet */
	MODEL_NAMED = 128,   /* fresh, and has got its id */
	MODEL_CLAIMED = 256, /* fresh, and its sizes are what its name claims */
	MODEL_ODD = 512,     /* fresh, and its unique part cannot be its id */
	MODEL_KNOWN = 1024,  /* a message by the index */
};

struct model_message {
	uint64_t octets, stored, inode;
	union {
		uint64_t old_octets; /* of the index */
		uint64_t seconds;    /* fresh: of the name */
	};
	uint64_t old_stored;
	uint32_t text; /* id if INDEX_OWN_ID, then name */
	uint32_t next, hash;
	uint16_t flags, old_flags;
	uint16_t marks;
	uint8_t id_size, name_size, unique_size;
};

struct maildir_model {
	struct model_message *messages; /* those of the index by ordinal, then fresh and deleted */
	uint32_t count, room;
	char *text;
	size_t text_size, text_room;
	uint32_t *buckets;
	uint32_t mask;
	uint64_t seed;
	uint32_t indexed; /* how many are of the index */
	uint32_t first;   /* the ordinal of the first of those */
};

#define MODEL_NONE UINT32_MAX

int maildir_model_init(struct maildir_model *model); /* -1 with errno */
void maildir_model_finish(struct maildir_model *model);
/* Returns the message's place, MODEL_NONE with errno. With own id if id.size. Not found by name
 * until linked with the hash of its unique part. */
uint32_t maildir_model_add(struct maildir_model *model, pop3_span id, pop3_span name,
			   uint8_t unique_size);
uint32_t maildir_model_hash(const struct maildir_model *model, pop3_span unique);
int maildir_model_link(struct maildir_model *model, uint32_t at, uint32_t hash);
/* The next message (after `after`, or MODEL_NONE: the first) with this unique part. */
uint32_t maildir_model_find(const struct maildir_model *model, pop3_span unique, uint32_t hash,
			    uint32_t after);
/* Another name with the same unique part; another id than the beginning of the name. */
int maildir_model_set_id(struct maildir_model *model, uint32_t at, pop3_span id);
int maildir_model_rename(struct maildir_model *model, uint32_t at, pop3_span name);

pop3_span maildir_model_name(const struct maildir_model *model, uint32_t at);
pop3_span maildir_model_unique(const struct maildir_model *model, uint32_t at);
pop3_span maildir_model_id(const struct maildir_model *model, uint32_t at);

/* Takes what the index says from ordinal first on; damaged records are left out if `salvage`. -1
 * with err. */
int maildir_model_load(struct maildir_model *model, struct index *index, uint32_t first,
		       bool salvage, struct err *err);
/* The DELs of a delta whose files may still be there. */
int maildir_model_load_deleted(struct maildir_model *model, const struct index_delta *delta,
			       const struct maildrop_syscalls *sys, int delta_fd, struct err *err);
void maildir_model_message(const struct maildir_model *model, uint32_t at,
			   struct index_message *ret);

#endif
