/*
 * A maildrop that is in use: for how long the session that has it has been idle, which its front
 * knows, and its end, where the site lets another login take over (`sessions`). A session of
 * another generation's keeper is asked for through the monitor, one of another machine through a
 * store that has STORE_NODES. The session ends first: what is
 * under way for it is finished, each later request of it is answered by GONE, and then the lock is
 * free. On the keeper's loop.
 */
#ifndef SERVER_KEEPER_TAKEOVER_H
#define SERVER_KEEPER_TAKEOVER_H

#include "server/keeper/session.h"

enum { KEEPER_RETRIES = 10 }; /* of a login that finds its maildrop in use */

/* A login found its maildrop in use, for the first time: asks who has it. */
void keeper_ask_holder(struct keeper_session *session);
/* The front's answer about one of its sessions. */
void keeper_holder(struct keeper_session *session, const struct ipc_holder *message);
/* Another keeper's question, and another keeper's answer. */
void keeper_take(struct keeper *keeper, const struct ipc_take *message);
void keeper_taken(struct keeper *keeper, const struct ipc_taken *message);
/* For struct store_host. */
void keeper_store_event(void *owner, enum store_event what);
void keeper_store_asked(void *owner, struct store_asked *asked);

#endif
