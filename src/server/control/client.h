/*
 * A connection to the control socket: one command at a time, its answer page by page. The next page
 * is asked for when the client has taken the one before, so a client that does not read holds up
 * nobody. On control's loop; what comes is hostile.
 */
#ifndef SERVER_CONTROL_CLIENT_H
#define SERVER_CONTROL_CLIENT_H

#include "server/control/root.h"

/* The deadlines of control that its clients use. */
void client_init(struct control *control);
void client_start(struct front_frame *frame, int *fd, const struct accepted *from);
void client_end_idle(struct front_frame *frame, struct client *client);
bool client_may_give_way(const struct client *client);
void client_give_way(struct client *client);

#endif
