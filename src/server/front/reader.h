/*
 * The bodies of a maildrop's messages that a keeper gives by value: for a client that reads its
 * messages in order, the next ones are asked for before the client asks. Decides which batch holds
 * a message, when to ask ahead and how many; sends nothing itself. Messages are those of ipc_check,
 * and fit what was asked (reader_fits); the octets are hostile mail. For body.c, on the front's
 * loop.
 *
 * At most one FETCH is unanswered: for the message that the client waits for (reader_fetch), or
 * ahead of it (reader_fetch_ahead). A command that needs the keeper while one is ahead is held.
 */
#ifndef SERVER_FRONT_READER_H
#define SERVER_FRONT_READER_H

#include "ipc/messages.h"
#include "sys/arena.h"

#include <pop3/server.h>

struct reader_batch;

/* Embedded; reader_init. Its members are reader.c's alone. */
struct reader {
	struct reader_batch *batch, *next_batch;
	pop3_span body;              /* what has not gone out yet; data NULL: no body by value */
	struct arena_lease lease;    /* for the answer to the FETCH that is unanswered */
	uint32_t count;              /* messages of the maildrop */
	uint32_t last;               /* the last message that the client asked for */
	uint32_t ahead;              /* how many are asked for at once */
	uint32_t asked, asked_count; /* the FETCH that is unanswered */
	uint32_t asked_ahead;        /* the last one that was asked for ahead; 0: none */
	uint32_t held_number;
	uint64_t held_lines;
	uint8_t held;  /* enum pop3_event_type of the command that is held; NONE: none is */
	bool is_ahead; /* the FETCH that is unanswered is ahead of the client */
};

void reader_init(struct reader *reader, uint32_t count);
/* Gives back batches, for as long as the client is idle. */
void reader_trim(struct reader *reader);
/* Gives back everything. */
void reader_finish(struct reader *reader);

/* RETR or TOP. True: the body is here (*ret_octets: its size on the wire), reader_render gives it.
 * False: ask the keeper with reader_fetch. */
bool reader_find(struct reader *reader, uint32_t number, uint64_t *ret_octets);
/* Makes the FETCH for the message that reader_find did not find. arena may be NULL. */
void reader_fetch(struct reader *reader, struct arena *arena, struct ipc_fetch *message);
/* After reader_find found one: makes the FETCH of those that come behind the batch. False:
 * nothing is to be asked for now. */
bool reader_fetch_ahead(struct reader *reader, struct arena *arena, struct ipc_fetch *message);
/* The FETCH that was made last could not be sent. */
void reader_not_sent(struct reader *reader);

/* Whether an answer (BODIES, BODY_LENT, BODY_SLICED, BODY_FAILED) is about the FETCH that is
 * unanswered. */
bool reader_fits(const struct reader *reader, enum ipc_type type, const void *message);
/* Takes a batch. Returns -1 without memory. */
int reader_take(struct reader *reader, const struct ipc_bodies *message);
/* The answer was of another kind: nothing came by value. */
void reader_not_taken(struct reader *reader);
/* Whether the FETCH that is (or was just) answered is ahead of the client. */
bool reader_is_ahead(const struct reader *reader);
/* The FETCH ahead is answered. Returns whether a command was held, which goes on now. */
bool reader_ahead_over(struct reader *reader, struct pop3_event *ret_held);
/* The FETCH for the message that the client waits for is answered with a batch: as reader_find;
 * false: the batch does not hold it. */
bool reader_find_asked(struct reader *reader, uint64_t *ret_octets);
/* A large message came: those behind it are not asked for with it. */
void reader_large(struct reader *reader);

/* Holds RETR, TOP or QUIT until reader_ahead_over. */
void reader_hold(struct reader *reader, const struct pop3_event *event);
/* Whether there is a body by value that goes out or has gone out. */
bool reader_has_body(const struct reader *reader);
void reader_drop_body(struct reader *reader);
/* The next piece of the body; pop3 is in WANT_BODY. Returns octets written. */
size_t reader_render(struct reader *reader, struct pop3_server *pop3, char *out, size_t cap);

#endif
