/* See hold.h. */
#include "server/auth/hold.h"

#include "base/secret.h"

#include <stdlib.h>
#include <string.h>

enum {
	HELD_MAX = 1024,
};

struct auth_held {
	struct loop_timer timer;
	struct auth_session *session;
	auth_hold_over *over;
	size_t size;
	struct ipc_credentials message; /* its texts follow */
};

/* Takes it from its session. */
static void take_out(struct auth_held *held)
{
	struct auth *auth = held->session->front->child->state;

	held->session->held = NULL;
	auth->held--;
	loop_timer_cancel(&held->timer);
}

static void destroy(struct auth_held *held)
{
	wipe(&held->message, held->size);
	free(held);
}

void auth_hold_drop(struct auth_session *session)
{
	struct auth_held *held = session->held;

	if (!held)
		return;
	take_out(held);
	destroy(held);
}

static void fired(struct loop_timer *timer)
{
	struct auth_held *held = timer->context;

	take_out(held);
	held->session->hold_until = 0;
	held->over(held->session, IPC_SASL_START, &held->message);
	destroy(held);
}

bool auth_hold(struct auth_session *session, const struct ipc_credentials *message,
	       auth_hold_over *over)
{
	struct auth *auth = session->front->child->state;
	uint64_t now = loop_now(auth->child->loop);
	size_t size = sizeof(*message) + message->head.tail;
	struct auth_held *held;

	if (session->hold_until <= now || auth->held >= HELD_MAX)
		return false;
	held = malloc(sizeof(*held) + message->head.tail);
	if (!held)
		return false;
	held->session = session;
	held->over = over;
	held->size = size;
	memcpy(&held->message, message, size);
	loop_timer_init(&held->timer, auth->child->loop, fired, held);
	loop_timer_set(&held->timer, session->hold_until - now);
	session->held = held;
	auth->held++;
	auth_slow(session);
	return true;
}
