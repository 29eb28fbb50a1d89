/*
 * A maildrop's log as it is read: messages in the order in which they were added, each once,
 * whatever the log says twice. Grows with the log: what was appended since is fed. A message that
 * was deleted stays so, for its id is never used again. No I/O; the caller's memory; one thread.
 */
#ifndef MAILDROP_RADOS_LOG_LOG_H
#define MAILDROP_RADOS_LOG_LOG_H

#include "base/err.h"
#include "maildrop/rados/log/frame.h"

#include <stddef.h>

#define DROP_MESSAGES_MAX (1u << 24)

struct drop_message {
	unsigned char id[DROP_ID];
	uint64_t octets, stored, arrived;
	uint32_t flags, body_crc;
	uint32_t text;   /* its own unique id, in log->texts */
	uint8_t id_size; /* 0: id in hex digits */
	bool added;      /* false: only its deletion is known */
	bool deleted;
	bool gone; /* deleted, and its body is known to be removed */
};

/* Of a message, in the table by id. */
struct drop_slot {
	uint32_t number; /* its place in messages, and 1; 0: free */
	uint32_t tag;    /* octets of its id: others are not looked at */
};

struct drop_log {
	struct drop_message *messages;
	size_t count, room;
	struct drop_slot *slots;
	size_t slot_mask;
	char *texts;
	size_t text_size, text_room;
	uint64_t size;                 /* octets fed */
	uint64_t live_size;            /* octets of the frames of live messages */
	uint64_t live, octets, stored; /* messages that are not deleted */
	size_t unknown;                /* frames of later versions */
	uint32_t *deletions; /* messages that were live and are deleted, in this order: numbers */
	size_t deletion_count, deletion_room;
};

void drop_log_init(struct drop_log *log);
void drop_log_finish(struct drop_log *log);
/* The next octets, whole frames. -1: damaged (err says where), or no memory; what came before is
 * taken. */
int drop_log_feed(struct drop_log *log, pop3_span octets, struct err *err);
/* The message of that id; NULL: it is not known. */
struct drop_message *drop_log_find(const struct drop_log *log, const unsigned char id[DROP_ID]);
/* Its unique id. Lives until the next feeding, or as long as buf. */
pop3_span drop_log_unique_id(const struct drop_log *log, const struct drop_message *message,
			     char buf[DROP_ID_TEXT]);
/*
 * The log that says the same with as few octets as can be: live messages, and deleted ones whose
 * bodies are not known to be gone. The caller frees *ret. -1: no memory, or the log has frames of a
 * later version, which cannot be left out.
 */
int drop_log_compact(const struct drop_log *log, unsigned char **ret, size_t *ret_size);
void drop_id_text(const unsigned char id[DROP_ID], char ret[DROP_ID_TEXT]);
/* -1: it is no id. */
int drop_id_of(pop3_span text, unsigned char ret[DROP_ID]);

#endif
