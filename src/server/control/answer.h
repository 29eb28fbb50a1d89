/* Answers of auth processes and of the monitor, if somebody still waits for them. */
#ifndef SERVER_CONTROL_ANSWER_H
#define SERVER_CONTROL_ANSWER_H

#include "server/control/root.h"

void answer_page(struct control *control, const struct peer *auth,
		 const struct ipc_who_page *message);
void answer_penalties(struct control *control, const struct peer *auth,
		      const struct ipc_penalty_page *message);
/* A page or an answer of the monitor's about bans. */
void answer_ban_page(struct control *control, const struct ipc_ban_page *page);
void answer_flushed(struct control *control, const struct peer *auth,
		    const struct ipc_flushed *message);
/* auth NULL: the monitor's. */
void answer_lines(struct control *control, const struct peer *auth,
		  const struct ipc_lines *message);
/* That auth is gone. */
void answer_auth_gone(struct control *control, const struct peer *auth);
/* For the deadlines of questions: nothing came. */
void answer_late(struct loop_deadlines *deadlines, struct loop_deadline *deadline);

#endif
