/* Octets that sessions have sent to their clients so far, for auth, which answers a person's
 * `valija who`. The counts are those of the line of a session's end (ending.h). On the front's
 * loop. */
#ifndef SERVER_FRONT_TRAFFIC_H
#define SERVER_FRONT_TRAFFIC_H

#include "server/front/root.h"

/* Answers TRAFFIC; sessions that have ended are not in the answer. */
void traffic_answer(const struct front *front, struct peer *auth,
		    const struct ipc_traffic *message);

#endif
