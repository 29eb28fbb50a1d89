/*
 * The dialogue with an LMTP client: octets from the connection go into the machine of src/lmtp, its
 * events to transaction.c, its replies out. Runs in the LMTP front; every octet is hostile.
 */
#ifndef SERVER_LMTP_SESSION_H
#define SERVER_LMTP_SESSION_H

#include "server/lmtp/root.h"
#include "server/lmtp/transaction.h"

struct lmtp_session {
	struct client client;
	struct lmtp_server lmtp;
	struct lmtp_front *front;
	struct lmtp_transaction transaction;
	char peer_address[64]; /* "": a Unix socket */
	uint64_t sender;       /* spool_key */
	uint8_t address[16];   /* the same, for the log */
};

/* The functions of front_service. */
void lmtp_session_start(struct front_frame *frame, int *fd, const struct accepted *from);
void lmtp_session_end_idle(struct front_frame *frame, struct client *client);
bool lmtp_session_may_give_way(const struct client *client);
void lmtp_session_give_way(struct client *client);
/* For struct loop_deadlines. */
void lmtp_session_expired(struct loop_deadlines *deadlines, struct loop_deadline *deadline);

#endif
