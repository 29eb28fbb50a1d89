/*
 * Postfix's socketmap: "NAME KEY" in a netstring, "OK DATA", "NOTFOUND ", "TEMP REASON" or "PERM
 * REASON" back. The maps: "users" (an address whose mail is taken here; users, aliases, the
 * catch-all), "senders" (the users that an address leads to: who may send as it), "domains". One
 * question of a connection at a time. On mta's loop; what comes is hostile.
 */
#ifndef SERVER_MTA_MAP_H
#define SERVER_MTA_MAP_H

#include "server/mta/root.h"

/* The deadlines of mta that questions use. */
void map_init(struct mta *mta);
void map_session_start(struct front_frame *frame, int *fd, const struct accepted *from);
bool map_session_is(const struct client *client);
void map_session_end_idle(struct client *client);
bool map_session_may_give_way(const struct client *client);
void map_session_give_way(struct client *client);
/* The answer of auth to the question of that number, if somebody still waits for it. */
void map_answer(struct mta *mta, const struct ipc_whose_answer *message);
/* auth is gone. */
void map_questions_fail(struct mta *mta);

#endif
