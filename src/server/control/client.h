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
/* A page of auth's, if somebody still waits for it. */
void client_page(struct control *control, const struct peer *auth,
		 const struct ipc_who_page *message);
void client_penalties(struct control *control, const struct peer *auth,
		      const struct ipc_penalty_page *message);
/* A page or an answer of the monitor's about bans. */
void client_ban_page(struct control *control, const struct ipc_ban_page *page);
void client_flushed(struct control *control, const struct peer *auth,
		    const struct ipc_flushed *message);
void client_traced(struct control *control, const struct peer *auth,
		   const struct ipc_traced *message);
/* The same of lines; auth NULL: the monitor's. */
void client_lines(struct control *control, const struct peer *auth,
		  const struct ipc_lines *message);
/* That auth can be asked from now on. */
void client_auth_up(struct control *control, struct peer *auth);
/* That auth is gone. */
void client_auth_gone(struct control *control, const struct peer *auth);

#endif
