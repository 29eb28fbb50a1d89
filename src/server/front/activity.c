/* See activity.h. */
#include "server/front/activity.h"

void activity_note(struct activity *activity, const struct conn *conn, uint64_t now, bool wrote)
{
	uint64_t traffic = conn->octets_in + conn->octets_out;

	if (!wrote && traffic == activity->traffic)
		return;
	activity->last = now;
	activity->traffic = traffic;
}

/* Octets that the socket took may lie in the system for long: then the peer's acknowledgements
 * count. */
uint64_t activity_idle(struct activity *activity, const struct conn *conn, uint64_t now)
{
	uint64_t silent = conn_silent(conn), idle;

	/* while a reply goes out, pieces of it leave unseen */
	if (conn_blocked(conn))
		activity_note(activity, conn, now, false);
	idle = now - activity->last;
	return silent < idle ? silent : idle;
}
