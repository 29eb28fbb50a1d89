/* See control.h. This file: the process, its peers. */
#include "server/control/control.h"

#include "server/control/answer.h"
#include "server/control/client.h"
#include "server/control/follow.h"

enum {
	CLIENTS_MAX = 64,
};

static const struct front_service service = {.connected = client_start,
					     .end_idle = client_end_idle,
					     .may_give_way = client_may_give_way,
					     .give_way = client_give_way,
					     .sandbox = SANDBOX_FRONT};

static struct control *root_struct(struct child *child)
{
	return frame_root(child, sizeof(struct control), &service);
}

static void peer_up(struct peer *peer)
{
	if (peer->role == ROLE_AUTH) /* others look for it when they need it */
		follow_auth_up(root_struct(peer->child), peer);
}

static void peer_gone(struct peer *peer)
{
	answer_auth_gone(root_struct(peer->child), peer);
}

static void peer_message(struct peer *peer, enum ipc_type type, const void *message, int *fds)
{
	(void)fds;
	if (type == IPC_TRACED)
		follow_traced(root_struct(peer->child), peer, message);
	else if (type == IPC_WHO_PAGE)
		answer_page(root_struct(peer->child), peer, message);
	else if (type == IPC_LINES)
		answer_lines(root_struct(peer->child), peer, message);
	else if (type == IPC_PENALTY_PAGE)
		answer_penalties(root_struct(peer->child), peer, message);
	else if (type == IPC_FLUSHED)
		answer_flushed(root_struct(peer->child), peer, message);
}

static void monitor_message(struct child *child, enum ipc_type type, const void *message, int *fds)
{
	struct control *control = root_struct(child);

	if (type == IPC_BAN_PAGE)
		answer_ban_page(control, message);
	else if (type == IPC_RING)
		rings_add(&control->rings, message, fds[0]);
	else if (type == IPC_RING_WRITER)
		rings_writer(&control->rings, message);
	else if (type == IPC_LISTENER)
		frame_listen(&control->frame, message, &fds[0]);
	else if (type == IPC_LINES)
		answer_lines(control, NULL, message);
	else if (type == IPC_CONTROL_PEERS)
		control->peers = *(const struct ipc_control_peers *)message;
	else if (type == IPC_PAGE)
		totals_take_page(&control->pages, message, fds[0]);
}

static int start(struct child *child, struct err *err)
{
	struct control *control = root_struct(child);

	client_init(control);
	return frame_start(&control->frame, CLIENTS_MAX, err);
}

static void drain(struct child *child, uint64_t ms)
{
	frame_drain(&root_struct(child)->frame, ms);
}

const struct child_role control_role = {
	.role = ROLE_CONTROL,
	.monitor_message = monitor_message,
	.start = start,
	.peer_up = peer_up,
	.peer_gone = peer_gone,
	.peer_message = peer_message,
	.drain = drain,
};
