/*
 * The index of a Maildir on disk: opened for reading, or, under the log's short lock, for writing.
 * For update/, session/ and deliver.c.
 */
#ifndef MAILDROP_MAILDIR_UPDATE_LOG_H
#define MAILDROP_MAILDIR_UPDATE_LOG_H

#include "maildrop/index/index.h"
#include "maildrop/index/write.h"
#include "maildrop/maildir/files/place.h"

/* The destination of an update. */
enum maildir_target {
	TARGET_LOG,     /* appended; another process may have a session */
	TARGET_SESSION, /* we are the session: a long log may become a new base */
	TARGET_MEMORY,
};

/* Base and delta that belong together. */
struct maildir_index {
	struct index index;
	int base_fd, delta_fd;
	bool open;
	bool memory; /* of one session that could not write: nothing can be appended */
};

/* 0, or -1: missing, damaged, of different generations, of a newer version or unreadable (err says
 * which); writing: the delta's descriptor may be written to. */
int maildir_index_open(const struct maildir_place *place, bool writing, struct maildir_index *ret,
		       struct err *err);
void maildir_index_close(struct maildir_index *index);

/*
 * The index of a Maildir while this process holds the log's lock: no other process appends, and
 * index is up to date. index.open is false if the index is missing or damaged: build it again.
 */
struct maildir_log {
	struct maildir_place *place;
	struct maildir_index index;
};
/*
 * Takes the log's lock and opens the index for writing. Returns 0, or -1 with errno and no lock:
 * EAGAIN (the lock is taken; only without wait), or MAILDIR_NEWER (base or log has a later format
 * version: neither may be written or replaced).
 */
int maildir_log_begin(struct maildir_place *place, bool wait, struct maildir_log *ret);
/* Appends and takes note of what was appended. On failure (-1 with errno) the log is as before. */
int maildir_log_append(struct maildir_log *log, struct index_batch *batch);
void maildir_log_end(struct maildir_log *log);
/* The changes of a log that only a later version knows, for a new log: of no message of its base.
 * What cannot be read fails the batch. */
void maildir_carry_unknown(const struct maildir_place *place, const struct index_delta *delta,
			   int delta_fd, struct index_batch *carried);

/*
 * A new base and an empty delta in place of those that are there: fill gets a writer for `count`
 * messages. `carried` (or NULL) are the first changes of the new delta: DELs whose files may still
 * be there, and what only a later version knows; they are flushed before the old delta goes.
 * durable: everything is flushed, and recorded to be. log->index becomes the new one. 0, -1 with
 * errno: the old one is still there.
 */
typedef int maildir_fill(void *context, struct index_writer *writer);
struct maildir_contents {
	uint32_t count;
	maildir_fill *fill;
	void *context;
	struct index_stamp stamps[INDEX_DIRECTORIES];
	struct index_batch *carried;
	bool durable;
};
int maildir_log_replace(struct maildir_log *log, const struct maildir_contents *contents);
/* The same, but in two memory files that cannot be written to any more. */
int maildir_log_memory(struct maildir_log *log, const struct maildir_contents *contents);
/* Is the log, with that much more, worth a new base? */
bool maildir_log_long(const struct maildir_log *log, uint64_t more);
/* Base, delta and their names onto the disk, and a note of it. 0, -1 with errno. */
int maildir_log_flush(struct maildir_log *log);

#endif
