/*
 * RETR and TOP: a message on its way out, by value from the reader's batches, or from a lent
 * descriptor. Asks the keeper for what is not here yet. Stands between the mailbox and reader.c,
 * lent.c, link.c.
 */
#ifndef SERVER_FRONT_BODY_H
#define SERVER_FRONT_BODY_H

#include "server/front/lent.h"
#include "server/front/reader.h"
#include "server/front/stream.h"

struct session;

/* Of a mailbox, from its first RETR or TOP on. Its members are body.c's alone. */
struct body {
	struct reader reader;
	struct lent lent;
	struct stream stream;
};

/* Of NULL: nothing. Trimming gives back what an idle session can do without. */
void body_trim(struct body *body);
void body_destroy(struct body *body);

/* RETR, TOP; the session has a credit, and nothing is asked ahead (body_is_ahead). */
void body_event(struct session *session, const struct pop3_event *event);
/* Whether a request ahead of the client is unanswered: there may be one request at a time. */
bool body_is_ahead(const struct session *session);
/* RETR, TOP or QUIT waits for its answer. */
void body_hold(struct session *session, const struct pop3_event *event);
/* Asks for the next part of the message that goes out; waits for a credit if there is none. */
void body_ask_more(struct session *session);

/* Whether an answer to a request of type asked is about what was asked. */
bool body_fits(const struct session *session, enum ipc_type asked, enum ipc_type type,
	       const void *message);
/* Takes an answer that fits; takes descriptors out of fds. Returns whether a command was held for
 * it, which goes on now. */
bool body_message(struct session *session, enum ipc_type type, const void *message, int *fds,
		  struct pop3_event *ret_held);

/* The next piece, in WANT_BODY. Returns octets written; 0: not now, or the message is complete. */
size_t body_render(struct session *session, char *out, size_t cap);
void body_file_sent(struct session *session, bool failed);

#endif
