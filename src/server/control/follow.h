/*
 * Traces: a command that goes on with a session's dialogue, from the rings, until its time is over
 * or its client goes. Each auth process tells its fronts; one that comes later is told, too.
 */
#ifndef SERVER_CONTROL_FOLLOW_H
#define SERVER_CONTROL_FOLLOW_H

#include "server/control/caller.h"

void follow_init(struct control *control);
/* The target, "SECONDS USER", becomes the user's name. NULL, or what is wrong. */
const char *follow_take(struct caller *caller);
/* All fronts know it: lines of theirs are waited for. */
void follow_begin(struct caller *caller);
void follow_stop(struct caller *caller);
void follow_traced(struct control *control, const struct peer *auth,
		   const struct ipc_traced *message);
/* That auth can be asked from now on. */
void follow_auth_up(struct control *control, struct peer *auth);

#endif
