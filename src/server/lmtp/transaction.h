/*
 * An LMTP transaction: its recipients and its message. A recipient is accepted when auth has
 * resolved it and every keeper concerned is ready for it; the message is collected in memory or in
 * the spool (message.h), and lent to those keepers; a recipient is answered when all its parts are
 * on disk (250), or else with the worst reason that a keeper gave. Runs in the LMTP front.
 */
#ifndef SERVER_LMTP_TRANSACTION_H
#define SERVER_LMTP_TRANSACTION_H

#include "ipc/messages.h"
#include "lmtp/lmtp.h"
#include "server/lmtp/spool.h"

#include <stdbool.h>

struct lmtp_session;
struct peer;

enum lmtp_stage {
	LMTP_COLLECTING, /* waits for the client */
	LMTP_ASKING,     /* a RCPT is under way; auth has not answered it yet */
	LMTP_RESOLVED,   /* … auth has named its keepers; not all of them have answered yet */
	LMTP_DELIVERING, /* the keepers have the message */
};

/* One for each session; begun anew by MAIL. Its members are for transaction.c and content.c
 * alone. */
struct lmtp_transaction {
	struct lmtp_recipient *recipients; /* accepted, then the one that is being asked about */
	struct lmtp_part *parts;           /* of all recipients */
	struct lmtp_early *early;          /* for the RCPT that is under way */
	uint32_t count, room, serials, number;
	uint32_t part_count, early_count, early_room;
	struct lmtp_knowing *knowing; /* keepers that may know of it: FORGET goes there */
	uint32_t knowing_count, knowing_room;
	bool crowded;      /* it has waited for one more keeper in vain */
	uint64_t declared; /* octets of the message as MAIL has them; 0: not known */
	uint64_t data_at;  /* when DATA came */
	struct spool_message memory, disk; /* room for the message, in one of them */
	struct lmtp_message *message;      /* NULL: none */
	uint64_t size;                     /* of the message, when it is complete */
	uint8_t stage;
	bool utf8;
	bool ending; /* the message is complete, but for what a worker writes */
	char sender[LMTP_SENDER_MAX + 1],
		asked[LMTP_ADDRESS_MAX + 1]; /* asked: the last RCPT, for the log */
};

void transaction_init(struct lmtp_transaction *transaction);
/* MAIL, RCPT, DATA, the message's end; content.h has what is between. */
void transaction_begin(struct lmtp_session *session, const struct lmtp_event *event);
void transaction_recipient(struct lmtp_session *session, const struct lmtp_event *event);
void transaction_data(struct lmtp_session *session);
void transaction_deliver(struct lmtp_session *session);
/* Ends the transaction, whatever it was at; keepers forget it. */
void transaction_forget(struct lmtp_session *session);
/* Logs a message that the machine refused for its size: as it was received, or at MAIL. */
void transaction_too_big(const struct lmtp_session *session, bool received);
bool transaction_delivering(const struct lmtp_session *session);

/* A message of auth or a keeper about a recipient. session NULL: it has ended. */
void transaction_message(struct lmtp_session *session, struct peer *peer, enum ipc_type type,
			 const void *message);
/* The keeper at that place is gone. */
void transaction_keeper_gone(struct lmtp_session *session, uint32_t place);
/* The process that would have answered the RCPT under way is gone. */
void transaction_unanswered(struct lmtp_session *session);

#endif
