/* TRACE of control: the fronts write the dialogue of a user's next sessions into the recorder, if
 * root asks for it. On auth's loop. */
#ifndef SERVER_AUTH_TRACE_H
#define SERVER_AUTH_TRACE_H

#include "server/child.h"

void auth_trace(struct peer *control, const struct ipc_trace *ask);

#endif
