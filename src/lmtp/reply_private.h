/*
 * The phases of the LMTP machine and its replies, for the files of this folder alone. The order of
 * the files, each calling only those behind it: lmtp.c (input), verbs.c (commands), command.c and
 * reply.c.
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

/* Pieces of a reply, everything but printable ASCII replaced; what is too long is cut. */
void lmtp_put(struct lmtp_server *server, const char *text);
void lmtp_put_number(struct lmtp_server *server, uint64_t number);
void lmtp_put_end(struct lmtp_server *server);
/* One whole reply; 421 ends the session. enhanced may be NULL. */
void lmtp_reply(struct lmtp_server *server, uint16_t code, const char *enhanced, const char *text);
/* Refuses a line for its form. Too many in a row (max_bad_commands): 421 instead, the session ends.
 */
void lmtp_refuse(struct lmtp_server *server, uint16_t code, const char *enhanced, const char *text);
/* Replies to a command whose form was good: the row of bad ones ends. */
void lmtp_accept(struct lmtp_server *server, uint16_t code, const char *enhanced, const char *text);
void lmtp_set_outcome(struct lmtp_outcome *outcome, uint16_t code, const char *enhanced,
		      const char *text);
/* The outcome that goes out next, NULL: not known yet, or none is due. */
const struct lmtp_outcome *lmtp_next_outcome(const struct lmtp_server *server);
void lmtp_forget_transaction(struct lmtp_server *server);

#endif
