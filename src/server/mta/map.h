/*
 * Postfix's socketmap: "NAME KEY" in a netstring, "OK DATA", "NOTFOUND ", "TEMP REASON" or "PERM
 * REASON" back. The maps: "users" (an address whose mail is taken here; users, aliases, the
 * catch-all), "senders" (the users that an address leads to: who may send as it), "domains". On
 * mta's loop; what comes is hostile.
 */
#ifndef SERVER_MTA_MAP_H
#define SERVER_MTA_MAP_H

#include "server/mta/root.h"

/* The deadlines of mta that questions use. */
void map_init(struct mta *mta);
void map_session_start(struct front_frame *frame, int *fd, const struct accepted *from);

#endif
