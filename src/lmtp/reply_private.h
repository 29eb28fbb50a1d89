/*
 * The inside of the LMTP machine, for its own files alone: where it stands, how it replies.
 */
#ifndef LMTP_REPLY_PRIVATE_H
#define LMTP_REPLY_PRIVATE_H

#include "lmtp/lmtp.h"

enum lmtp_phase {
	PHASE_COMMAND,
	PHASE_MAIL, /* a transaction is open */
	PHASE_OWED, /* the program owes a reply to server->owed */
	PHASE_CONTENT,
	PHASE_REPLIES, /* the message is complete */
};

/* reply.c. Pieces of a reply, everything but printable ASCII replaced; what is too long is cut. */
void lmtp_put(struct lmtp_server *server, const char *text);
void lmtp_put_number(struct lmtp_server *server, uint64_t number);
void lmtp_put_end(struct lmtp_server *server);
/* One whole reply; 421 ends the session. enhanced may be NULL. */
void lmtp_reply(struct lmtp_server *server, uint16_t code, const char *enhanced, const char *text);
/* To a line that is refused for its form. Too many in a row: somebody who does not speak LMTP. */
void lmtp_refuse(struct lmtp_server *server, uint16_t code, const char *enhanced, const char *text);
/* To a command that was understood. */
void lmtp_accept(struct lmtp_server *server, uint16_t code, const char *enhanced, const char *text);
void lmtp_set_outcome(struct lmtp_outcome *outcome, uint16_t code, const char *enhanced,
		      const char *text);
/* The outcome that goes out next, NULL: not known yet, or none is due. */
const struct lmtp_outcome *lmtp_next_outcome(const struct lmtp_server *server);
void lmtp_forget_transaction(struct lmtp_server *server);

#endif
