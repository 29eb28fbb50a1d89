/* A POP3 session at a keeper: open, delete, commit and close. A session exists only because auth
 * opened it for this session of this front. On the keeper's loop; workers use the maildrop. */
#ifndef SERVER_KEEPER_SESSION_H
#define SERVER_KEEPER_SESSION_H

#include "server/keeper/lane.h"

struct parked;

struct keeper_session {
	struct table_node node; /* key: the front's session number */
	struct keeper *keeper;
	struct keeper_lane *lane;
	struct maildrop *maildrop; /* NULL: not open (yet) */
	struct keeper_session *next_waiting;
	struct parked *parked; /* waits for the lock */
	uint32_t *deletions;   /* the messages that QUIT deletes, ascending */
	uint32_t deletion_count, deletion_room;
	char *user;        /* its name, for the log */
	char *label;       /* behind it: of the app password; "": none */
	uint64_t front;    /* instance; 0: the front is gone */
	uint64_t ticket;   /* of OPEN; sent back to the front */
	uint64_t asked_at; /* milliseconds of the loop: when OPEN came */
	unsigned jobs;
	unsigned credits;    /* unanswered requests of the front */
	uint32_t body_wrong; /* the message that the front found to be wrong; 0: none */
	bool index_wrong;
	bool no_delete;     /* the password may not delete */
	bool absent;        /* an empty maildrop in memory: the user never had one */
	bool looked_again;  /* for one that was not there, though the register has it */
	bool committing;    /* the worker owns deletions */
	bool ending;        /* the close does not sweep any more; set while no job of it runs */
	bool open, closing; /* open: OPENED was sent; until then the worker owns maildrop */
};

/* The peer of the session's front. NULL: the front is gone. */
struct peer *keeper_session_front(const struct keeper_session *session);
/* Counts a request against the front's credits. False: the front had none left, and its channel was
 * broken. */
bool keeper_session_credit(struct keeper_session *session);
/* A request is answered. */
void keeper_session_credit_back(struct keeper_session *session);
/* A job of the session is done; frees it when it was the last of a closed one. */
void keeper_session_job_over(struct keeper_session *session);

void keeper_open(struct peer *auth, const struct ipc_open *message);
/* The session of that number at a front. NULL: auth opened none, or it is over. */
struct keeper_session *keeper_session_find(struct peer *front, uint64_t number);
/* Whether the front may send requests now: from OPENED to QUIT. */
bool keeper_session_ready(const struct keeper_session *session);
void keeper_delete(struct keeper_session *session, const struct ipc_delete *message);
void keeper_commit(struct keeper_session *session, const struct ipc_commit *message);
void keeper_index_wrong(struct keeper_session *session);
void keeper_body_wrong(struct keeper_session *session, const struct ipc_body_wrong *message);
void keeper_close(struct keeper_session *session);
/* Sessions that wait for their maildrop so long get an answer; it is closed when it is open. */
void keeper_sessions_expire(struct keeper *keeper, uint64_t ms);
/* The front is gone: its sessions end. */
void keeper_sessions_end(struct peer *front);

#endif
