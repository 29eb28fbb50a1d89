/*
 * A message whose size is a guess: it comes a piece at a time, in slots of the arena as long as
 * there are free ones, else by value, and the last piece says that it is the last. Of maildrops on
 * other servers. Sends nothing itself: stream_ask makes the READ_STREAM for what goes out next. For
 * body.c, on the front's loop; the octets are hostile mail.
 */
#ifndef SERVER_FRONT_STREAM_H
#define SERVER_FRONT_STREAM_H

#include "ipc/messages.h"
#include "sys/arena.h"

#include <pop3/server.h>

struct stream_piece {
	char *copy; /* of a packet's octets; NULL: they are in the slot, or there are none */
	struct arena_lease lease;
	uint32_t at, left;
};

/* Embedded, all zero at first. Its members are stream.c's alone. */
struct stream {
	uint64_t offset; /* of what is asked for next */
	struct stream_piece now, next;
	struct arena_lease lease; /* for the answer to the READ_STREAM that is unanswered */
	uint32_t number;          /* 0: no message goes out in this way */
	bool whole;               /* all of it goes out: the next piece is asked for ahead */
	bool asked;
	bool last; /* nothing follows what is here */
};

/* whole: RETR. */
void stream_open(struct stream *stream, uint32_t number, bool whole);
void stream_close(struct stream *stream);
bool stream_is_open(const struct stream *stream);
/* There is a piece to be asked for now. */
bool stream_wants(const struct stream *stream);
/* arena may be NULL. */
void stream_ask(struct stream *stream, struct arena *arena, struct ipc_stream *message);
/* Whether an answer to READ_STREAM (STREAM, BODY_FAILED) is about what was asked. */
bool stream_fits(const struct stream *stream, enum ipc_type type, const void *message);
/* Takes STREAM. -1: no memory. */
int stream_take(struct stream *stream, const struct ipc_stream *message);
/* The next piece; pop3 is in WANT_BODY. Returns octets written. */
size_t stream_render(struct stream *stream, struct pop3_server *pop3, char *out, size_t cap);

#endif
