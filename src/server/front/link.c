/*
 * Credits: a front has a bounded number of requests unanswered at each process it talks to;
 * sessions that want one more wait here, in order. See front.h.
 */
#include "server/front/front.h"

#include <stdlib.h>

static unsigned credits(const struct link *link)
{
	return link->peer->role == ROLE_AUTH ? IPC_AUTH_CREDITS : IPC_KEEPER_CREDITS;
}

void link_wait(struct link *link, struct session *session, const struct pop3_event *event)
{
	session->parked = malloc(sizeof(*event));
	if (!session->parked) {
		session_abort(session);
		return;
	}
	*session->parked = *event; /* its spans live while the machine waits for the reply to it */
	session->next_waiting = NULL;
	*link->waiting_tail = session;
	link->waiting_tail = &session->next_waiting;
}

void link_leave(struct link *link, struct session *session)
{
	struct session **at = &link->waiting;

	while (*at && *at != session)
		at = &(*at)->next_waiting;
	if (!*at)
		return;
	*at = session->next_waiting;
	while (*at)
		at = &(*at)->next_waiting;
	link->waiting_tail = at;
	free(session->parked);
	session->parked = NULL;
}

void link_credit(struct link *link)
{
	while (link->waiting && link->unanswered < credits(link)) {
		struct session *session = link->waiting;
		struct pop3_event event = *session->parked;

		link_leave(link, session);
		if (link->peer->role == ROLE_AUTH)
			login_send(session, &event);
		else
			mail_go_on(session, &event);
	}
}
