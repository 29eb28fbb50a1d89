/* A POP3 session at a keeper; see keeper.h. */
#ifndef SERVER_KEEPER_SESSION_H
#define SERVER_KEEPER_SESSION_H

#include "server/keeper/keeper.h"

struct parked;

struct keeper_session {
	struct table_node node; /* key: the front's session number */
	struct keeper *keeper;
	struct home *home;
	struct maildrop *maildrop; /* NULL: not open (yet) */
	struct keeper_session *next_waiting;
	struct parked *parked; /* waits for the lock */
	uint32_t *deletions;   /* what QUIT will delete, ascending */
	uint32_t deletion_count, deletion_room;
	uint64_t front;  /* instance; 0: it is gone */
	uint64_t ticket; /* of OPEN: given back to the front */
	unsigned jobs;
	unsigned credits; /* requests of the front that are not answered */
	bool index_wrong;
	bool committing;    /* the worker owns deletions */
	bool open, closing; /* open: OPENED was sent; until then the worker owns maildrop */
};

/* The front's channel, NULL: gone. */
struct peer *keeper_session_front(const struct keeper_session *session);
/* Counts a request against the front's credits; false: the front was broken. */
bool keeper_session_credit(struct keeper_session *session);
/* It is answered. */
void keeper_session_credit_back(struct keeper_session *session);
/* A job of the session is done; frees it when it was the last of a closed one. */
void keeper_session_job_over(struct keeper_session *session);

/* keeper_body.c */
void keeper_fetch(struct keeper_session *session, const struct ipc_fetch *message);
void *keeper_body_scratch(void); /* what keeper->scratch must be; NULL: no memory */
void keeper_slice(struct keeper_session *session, const struct ipc_slice *message);

#endif
