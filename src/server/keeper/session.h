/* A POP3 session at a keeper: its requests, and its end. A session exists only because auth opened
 * it for this session of this front (opening.h). On the keeper's loop. */
#ifndef SERVER_KEEPER_SESSION_H
#define SERVER_KEEPER_SESSION_H

#include "base/secret.h"
#include "server/keeper/place.h"
#include "server/record.h"

/* Of a session at another server, while it is being opened. */
struct keeper_login {
	uint64_t auth;    /* instance: it gets the VERDICT; 0: there is none */
	bool logged;      /* what that server says to a wrong secret is logged */
	bool judged;      /* VERDICT was sent: GO is waited for */
	unsigned patient; /* how often it is tried again, with the secret, while it is in use */
	/* in text; the secret is wiped when the store has it */
	pop3_span name, secret;
	size_t size;
	char text[];
};

/* While a maildrop is being opened, unless that was done at once. */
struct keeper_opening {
	struct store_open open;
	struct keeper_session *session;
	struct keeper_opening *next_waiting; /* in the place */
	struct loop_timer retry;             /* it was in use */
	struct loop_deadline deadline;
	struct table_node take; /* key: the number of TAKE; in keeper->takes if taking */
	struct store_holding holding;
	unsigned tries, patience; /* how often the lock was in use, and may be */
	bool taking;
	bool asked;        /* who has the maildrop */
	bool under_way;    /* the store has open */
	bool looked_again; /* for one that was not there, though the register has it */
};

struct keeper_session {
	struct table_node node; /* key: the front's session number */
	struct keeper *keeper;
	struct keeper_place *place;
	struct maildrop *maildrop;      /* NULL: not open (yet) */
	struct keeper_opening *opening; /* NULL: it is open, or it is being opened at once */
	struct keeper_login *login;     /* NULL: it is open, or its mail is here */
	struct store_op *reading;       /* of a message, under way; NULL: none */
	uint32_t *deletions;            /* the messages that QUIT deletes, ascending */
	uint32_t deletion_count, deletion_room;
	char *label;         /* of the app password; "": none */
	uint64_t front;      /* instance; 0: the front is gone */
	uint64_t ticket;     /* of OPEN; sent back to the front */
	uint64_t migrates;   /* instance of the auth that gets NOT_HERE; 0: it does not move here */
	uint64_t since;      /* counters_clock: when OPEN, then COMMIT came */
	unsigned jobs;       /* operations of the store, and questions, under way */
	unsigned credits;    /* unanswered requests of the front */
	uint32_t body_wrong; /* the message that the front found to be wrong; 0: none */
	uint32_t login_delay; /* of OPEN; sent back to the front */
	bool index_wrong;
	uint8_t part;       /* as in OPENED */
	bool placed;        /* the user's entry says where the maildrop is */
	bool no_delete;     /* the password may not delete */
	bool committing;    /* the store has deletions */
	bool asked;         /* HOLDER_ASK is unanswered */
	bool open, closing; /* open: OPENED was sent */
	char user[];        /* its name, for the log; behind it the label */
};

void keeper_login_make(struct keeper_session *session, pop3_span name, pop3_span secret);
void keeper_login_wipe(struct keeper_login *login);
void keeper_login_free(struct keeper_session *session);
/* The peer of the session's front. NULL: the front is gone. */
struct peer *keeper_session_front(const struct keeper_session *session);
/* Counts a request against the front's credits. False: the front had none left, and its channel was
 * broken. */
bool keeper_session_credit(struct keeper_session *session);
/* A request is answered. */
void keeper_session_credit_back(struct keeper_session *session);
/* An operation of the session begins; is done: frees the session when it was the last of a closed
 * one. */
void keeper_session_begin(struct keeper_session *session);
void keeper_session_done(struct keeper_session *session);
/* A line of the log about the session, with a reason. */
void keeper_session_failed(const struct keeper_session *session, enum record_event event,
			   const char *why);

/* The session of that number at a front. NULL: auth opened none, or it is over. */
struct keeper_session *keeper_session_find(struct peer *front, uint64_t number);
/* Whether the front may send requests now: from OPENED to QUIT. */
bool keeper_session_ready(const struct keeper_session *session);
void keeper_delete(struct keeper_session *session, const struct ipc_delete *message);
void keeper_commit(struct keeper_session *session, const struct ipc_commit *message);
void keeper_index_wrong(struct keeper_session *session);
void keeper_body_wrong(struct keeper_session *session, const struct ipc_body_wrong *message);
/* Ends a session: the front expects no more answers. */
void keeper_close(struct keeper_session *session);
/* The same where the front does not know yet: it gets the reason. */
void keeper_session_gone(struct keeper_session *session, enum reason reason);
/* Closes what was opened for a session that is over. */
void keeper_close_maildrop(struct keeper_session *session);
/* The session waits no more for its maildrop to be free. */
void keeper_stop_waiting(struct keeper_opening *opening);
/* The front is gone: its sessions end. */
void keeper_sessions_end(struct peer *front);
/* Sessions that wait for the GO of that auth, which never comes, end. */
void keeper_judge_gone(const struct peer *auth);

#endif
