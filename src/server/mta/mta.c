/* See mta.h. This file: the process, its peers, its settings. */
#include "server/mta/mta.h"

#include "base/text.h"
#include "server/mta/credit.h"
#include "server/mta/map.h"
#include "server/mta/policy.h"
#include "server/mta/question.h"
#include "server/mta/sasl.h"
#include "server/mta/sasl_exchange.h"

#include <string.h>
#include <sys/resource.h>

enum {
	SESSIONS_MAX = 8192,
	IDLE_MS = 3600 * 1000,
	FDS_RESERVED = 64, /* channels, listening sockets */
};

/* ---- auth ---- */

static void lose_auth(struct mta *mta)
{
	mta->auth = NULL;
	mta->offered = false; /* new connections wait for the next one */
	sasl_exchanges_fail(mta);
	questions_fail(mta);
}

static void peer_up(struct peer *peer)
{
	struct mta *mta = peer->child->state;

	if (mta->auth) /* the end of the old one was not seen yet */
		lose_auth(mta);
	mta->auth = peer;
}

static void peer_gone(struct peer *peer)
{
	struct mta *mta = peer->child->state;

	if (peer == mta->auth)
		lose_auth(mta);
}

static void take_offer(struct mta *mta, const struct ipc_offer *message)
{
	if (span_copy(ipc_text(message, 1), mta->mechanisms, sizeof(mta->mechanisms)) < 0)
		return;
	mta->offered = true;
	mta_wake_all(mta);
}

static void peer_message(struct peer *peer, enum ipc_type type, const void *message, int *fds)
{
	struct mta *mta = peer->child->state;

	(void)fds;
	if (peer != mta->auth)
		return; /* another auth serves by now */
	if (type == IPC_OFFER)
		take_offer(mta, message);
	else if (type == IPC_WHOSE_ANSWER)
		question_answer(mta, message);
	else /* every message about a session has the session's number behind the head */
		sasl_exchange_message(mta, ((const struct ipc_session *)message)->session, type,
				      message);
}

/* ---- the process ---- */

static void connected(struct front_frame *frame, int *fd, const struct accepted *from)
{
	if (from->service == SERVICE_SOCKETMAP)
		map_session_start(frame, fd, from);
	else if (from->service == SERVICE_POLICY)
		policy_session_start(frame, fd, from);
	else
		sasl_session_start(frame, fd, from);
}

static void end_idle(struct front_frame *frame, struct client *client)
{
	if (question_session_is(client))
		question_session_end_idle(client);
	else
		sasl_session_end_idle(frame, client);
}

static bool may_give_way(const struct client *client)
{
	return question_session_is(client) ? question_session_may_give_way(client)
					   : sasl_session_may_give_way(client);
}

static void give_way(struct client *client)
{
	if (question_session_is(client))
		question_session_give_way(client);
	else
		sasl_session_give_way(client);
}

static const struct front_service service = {.connected = connected,
					     .end_idle = end_idle,
					     .may_give_way = may_give_way,
					     .give_way = give_way,
					     .sandbox = SANDBOX_FRONT};

static struct mta *root_struct(struct child *child)
{
	return frame_root(child, sizeof(struct mta), &service);
}

static void monitor_message(struct child *child, enum ipc_type type, const void *message, int *fds)
{
	struct mta *mta = root_struct(child);

	if (type == IPC_LISTENER)
		frame_listen(&mta->frame, message, &fds[0]);
	else if (type == IPC_BANS)
		frame_take_bans(&mta->frame, message, fds[0]);
	else if (type == IPC_PEER_UIDS)
		mta->peers = *(const struct ipc_uids *)message;
}

static size_t most_sessions(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur <= FDS_RESERVED)
		return 1;
	return limit.rlim_cur - FDS_RESERVED < SESSIONS_MAX ? limit.rlim_cur - FDS_RESERVED
							    : SESSIONS_MAX;
}

static int start(struct child *child, struct err *err)
{
	struct mta *mta = root_struct(child);

	table_init(&mta->exchanges);
	mta->exchanges_max = most_sessions();
	loop_deadlines_init(&mta->idle, child->loop, IDLE_MS, frame_expired, mta);
	sasl_exchanges_init(mta);
	table_init(&mta->questions);
	map_init(mta);
	policy_init(mta);
	return frame_start(&mta->frame, most_sessions(), err);
}

static void drain(struct child *child, uint64_t ms)
{
	frame_drain(&root_struct(child)->frame, ms);
}

const struct child_role mta_role = {
	.role = ROLE_MTA,
	.monitor_message = monitor_message,
	.start = start,
	.peer_up = peer_up,
	.peer_gone = peer_gone,
	.peer_message = peer_message,
	.drain = drain,
};
