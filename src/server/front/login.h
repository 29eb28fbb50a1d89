/*
 * Logging in: credentials go to auth and are wiped here; the answer is a challenge or a denial (of
 * auth; it goes out after its delay), or the opened maildrop (of a keeper). Also what auth must
 * know of a connection: that it came, that it is over.
 */
#ifndef SERVER_FRONT_LOGIN_H
#define SERVER_FRONT_LOGIN_H

#include "ipc/messages.h"
#include "server/front/link.h"

struct login_denial;
struct session;

/* Embedded in the session, all zero at first. Its members are login.c's alone. */
struct login_state {
	struct link_user auth;       /* without a link: auth does not know of the session */
	uint64_t ticket;             /* of the login that was sent last: see struct ipc_open */
	struct login_denial *denial; /* waits for its delay */
	char *challenge;             /* on its way out */
	uint64_t since;              /* counters_clock: the greeting, then the credentials */
	uint8_t mechanism;           /* counters_mechanism of the login that was sent last */
	bool tried;                  /* there were credentials before */
	bool slow; /* no SLOW may come for that login: it has, or auth has answered */
};

/* Random numbers, not given to a login yet. One for a front, all zero at first, login.c's alone. */
struct login_tickets {
	uint64_t numbers[32];
	unsigned count;
};

extern const struct link_handler login_handler; /* for the link to auth */

/* Makes the session known to auth, if there is one that does not know of it. */
void login_connect(struct session *session);
/* The same after auth refused the connection: another has given way to it. */
void login_connect_again(struct session *session);
bool login_is_known(const struct session *session);
void login_event(struct session *session, const struct pop3_event *event); /* PASS, APOP, SASL */
/* SLOW, CHALLENGE, DENIED */
void login_message(struct session *session, struct link *auth, enum ipc_type type,
		   const void *message);
/* OPENED: whether a keeper answers the login that the session waits for. session may be NULL: it
 * has ended. */
bool login_waits(const struct session *session, const struct ipc_opened *message);
/* That login is over: with a mailbox, or without. */
void login_opened(struct session *session);
void login_unopened(struct session *session, enum reason reason);
/* OPEN_FAILED: login_unopened, if the session waits for it. */
void login_open_failed(struct session *session, const struct ipc_open_failed *message);
/* OPEN_IN_USE: the same, with what is known of the other session. */
void login_in_use(struct session *session, const struct ipc_open_in_use *message);
void login_gone(struct session *session); /* the connection is over */

#endif
