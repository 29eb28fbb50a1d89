/* A POP3 session at a keeper: open, delete, commit and close. It exists only because auth said so
 * for this session of this front. In a keeper, on its loop; what fronts send is hostile. */
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

void keeper_open(struct peer *auth, const struct ipc_open *message);
/* The session of that number at a front. NULL: nobody opened it, or it is over. */
struct keeper_session *keeper_session_find(struct peer *front, uint64_t number);
/* Whether the front may ask for anything now: not before it was told that the maildrop is open, and
 * not after its QUIT. */
bool keeper_session_ready(const struct keeper_session *session);
void keeper_delete(struct keeper_session *session, const struct ipc_delete *message);
void keeper_commit(struct keeper_session *session, const struct ipc_commit *message);
void keeper_index_wrong(struct keeper_session *session);
void keeper_close(struct keeper_session *session);
/* The front is gone, and its sessions with it. */
void keeper_sessions_end(struct peer *front);

#endif
