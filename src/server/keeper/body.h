/* Lending messages to a front: FETCH and READ_SLICE of an open session, whose numbers are hostile.
 * For keeper.c, on the keeper's loop. */
#ifndef SERVER_KEEPER_BODY_H
#define SERVER_KEEPER_BODY_H

#include "server/keeper/session.h"

void keeper_fetch(struct keeper_session *session, const struct ipc_fetch *message);
void keeper_slice(struct keeper_session *session, const struct ipc_slice *message);
/* READ_STREAM, of a message whose size is a guess. */
void keeper_stream(struct keeper_session *session, const struct ipc_stream *message);
/* Makes the memory for keeper->scratch; NULL: no memory. */
void *keeper_body_scratch(void);

#endif
