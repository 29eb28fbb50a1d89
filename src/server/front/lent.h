/*
 * A large message, lent as a descriptor or given by value in slices. What is lent is read without
 * waiting for a disk (RWF_NOWAIT), or sent by sendfile up to the end of the window that the keeper
 * has read into memory; what is not in memory in spite of that comes by value. Sends no message
 * itself: lent_ask makes the READ_SLICE for the next window or slice. The file belongs to a user
 * who may change it meanwhile.
 */
#ifndef SERVER_FRONT_LENT_H
#define SERVER_FRONT_LENT_H

#include "ipc/messages.h"
#include "sys/conn.h"

#include <pop3/server.h>

enum lent_state {
	LENT_READY,
	LENT_ASKED,   /* a READ_SLICE is unanswered, or waits for a credit */
	LENT_SENDING, /* sendfile is under way */
};

/* Embedded; lent_init. Its members are lent.c's alone. */
struct lent {
	uint64_t begin;  /* in the file: of the message */
	uint64_t offset; /* in the file: of what goes out next */
	uint64_t left;   /* octets to go out */
	uint64_t window; /* up to this offset the file is in memory */
	uint64_t size;   /* ASKED, SENDING: octets of it, from offset */
	char *slice;     /* octets from offset on that came by value; NULL: none */
	uint32_t slice_at, slice_left;
	uint32_t number; /* of the message */
	int fd;          /* -1: none is lent, or it comes in slices */
	uint8_t state;
	bool cold;      /* what comes next was not in memory: it is asked for by value */
	bool in_memory; /* reading never waits: the filesystem is memory */
	bool whole;     /* RETR; the next one is read for TOP if not */
	bool wire_form;
};

enum lent_step {
	LENT_DONE,     /* nothing more can be done now */
	LENT_WANTS,    /* the next octets are not here: ask with lent_ask */
	LENT_BROKEN,   /* the message became shorter while it was sent */
	LENT_BY_VALUE, /* of lent_send_file: use lent_render */
};

void lent_init(struct lent *lent);
/* The client wants another message, whole (RETR) or not (TOP): closes the one before. */
void lent_close(struct lent *lent, bool whole);
/* Takes *fd (sets it to -1); -1: the message comes in slices. */
void lent_take(struct lent *lent, const struct ipc_body_lent *message, int *fd);
bool lent_waits(const struct lent *lent); /* for a slice, or for sendfile */

/* Lets sendfile send all of it that is in the window but its last line break, if it can go out as
 * it is stored. */
enum lent_step lent_send_file(struct lent *lent, struct conn *conn);
/* conn_handler.file_sent. False: the connection is to be cut. */
bool lent_file_sent(struct lent *lent, bool failed, struct pop3_server *pop3);
/* The next piece, by way of scratch (CONN_SCRATCH octets); pop3 is in WANT_BODY. Adds octets
 * written to *used. */
enum lent_step lent_render(struct lent *lent, struct pop3_server *pop3, char *scratch, char *out,
			   size_t cap, size_t *used);

/* Makes the READ_SLICE for what goes out next. */
void lent_ask(struct lent *lent, struct ipc_slice *message);
/* Whether an answer to READ_SLICE (SLICE_READY, SLICE, BODY_FAILED) is about what was asked. */
bool lent_fits(const struct lent *lent, enum ipc_type type, const void *message);
/* Takes SLICE_READY or SLICE. Returns -1 without memory. */
int lent_slice(struct lent *lent, const struct ipc_slice *message);

#endif
