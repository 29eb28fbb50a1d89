/*
 * A front's handshakes that wait for a signature of the process keys. A request that was sent is
 * remembered until its answer: when keys is started anew, it is sent again. Handshakes that find
 * too many others waiting go on in order of their arrival. How long a client's handshake may take
 * is the session's business (its deadline). Runs in POP3 fronts.
 */
#ifndef SERVER_FRONT_SIGNING_H
#define SERVER_FRONT_SIGNING_H

#include "ipc/messages.h"

struct front;
struct peer;
struct session;

/* A session's part; embedded, all zero at first. Its members are signing.c's alone. */
struct signing_user {
	struct session *next, **at; /* in one of the lists; at NULL: in none */
	uint64_t ticket;            /* of its request; 0: none */
};

/* A front's part; embedded, all zero at first. Its members are signing.c's alone. */
struct signing {
	struct peer *keys;    /* NULL: being restarted */
	unsigned unanswered;  /* requests: a credit each, also of sessions that have ended */
	struct session *sent; /* asked, or will be when keys is there */
	struct session *waiting, **waiting_end; /* for a turn or a credit */
	uint64_t last_ticket;
};

/* conn_handler.sign */
void signing_wanted(struct session *session);
/* The session ends, or its handshake is over: another may go on. */
void signing_stop(struct session *session);

/* The process keys: it is there, gone, or has sent SIGNED for session (NULL: it has ended). An
 * answer that fits no request is left alone. */
void signing_up(struct front *front, struct peer *keys);
void signing_gone(struct front *front, const struct peer *keys);
void signing_answer(struct front *front, struct session *session, const struct ipc_signed *message);

#endif
