/*
 * A login whose mail moves here from another server: what is here and what is there are opened by
 * two keepers, in any order; the one waits for the other. On the front's loop.
 */
#ifndef SERVER_FRONT_JOIN_H
#define SERVER_FRONT_JOIN_H

#include "server/front/part.h"

enum { JOIN_PARTS = 2 };

/* OPENED for a part: takes descriptors out of fds. Returns whether both are open; if the keeper
 * lies or there is no memory, it or the connection is cut. */
bool join_add(struct session *session, struct link *keeper, const struct ipc_opened *message,
	      int *fds);
/* The part that this keeper has opened; NULL: none. */
struct part *join_part(const struct session *session, const struct link *keeper);
/* Both parts, JOIN_PARTS of them, which are the caller's to close and to free. What is here stands
 * in front. */
struct part *join_take(struct session *session);
/* The login is over without them: what is open is closed. Nothing if nothing is. */
void join_drop(struct session *session);
/* Whether no two messages of both parts have one unique id. -1: that cannot be told. */
int join_ids_differ(struct part parts[JOIN_PARTS]);

#endif
