/* What is under way for a session, and what is done when nothing is. See pool_private.h. */
#include "maildrop/rados/pool_private.h"

void session_begin(struct pool_session *session)
{
	session->jobs++;
}

void session_done(struct pool_session *session)
{
	void (*step)(struct pool_session *) = session->next_step;

	if (--session->jobs || !step)
		return;
	session->next_step = NULL;
	step(session);
}

void session_after(struct pool_session *session, void (*step)(struct pool_session *session))
{
	if (session->jobs)
		session->next_step = step;
	else
		step(session);
}
