/* See front_frame.h. */
#include "server/front_frame.h"

#include <stdlib.h>

static bool take_connection(struct acceptor *acceptor, int *fd, const struct accepted *from)
{
	struct front_frame *frame = acceptor->context;

	frame->service->connected(frame, fd, from);
	return frame->clients.count < frame->clients_max;
}

static void listener_dead(struct acceptor *acceptor)
{
	struct front_frame *frame = acceptor->context;
	struct ipc_empty message;

	ipc_send(&frame->child->monitor, IPC_LISTENER_DEAD, &message);
}

/* ---- start ---- */

static void abort_one(struct table_node *node, void *context)
{
	(void)context;
	conn_abort(&CONTAINER(node, struct client, node)->conn);
}

static void drain_over(struct loop_timer *timer)
{
	struct front_frame *frame = timer->context;

	table_each(&frame->clients, abort_one, NULL);
}

void *frame_root(struct child *child, size_t size, const struct front_service *service)
{
	struct front_frame *frame = child->state;

	if (frame)
		return frame;
	frame = calloc(1, size);
	if (!frame)
		abort();
	frame->child = child;
	frame->service = service;
	acceptor_init(&frame->acceptor, child->loop, take_connection, listener_dead, frame);
	table_init(&frame->clients);
	loop_timer_init(&frame->drain_over, child->loop, drain_over, frame);
	child->state = frame;
	return frame;
}

int frame_start(struct front_frame *frame, size_t clients_max, struct err *err)
{
	struct sandbox sandbox;

	frame->clients_max = clients_max;
	child_sandbox(frame->child, SANDBOX_FRONT, &sandbox);
	if (sandbox_enter(&sandbox, err) < 0)
		return -1;
	acceptor_start(&frame->acceptor);
	return 0;
}

/* ---- clients ---- */

void frame_add(struct front_frame *frame, struct client *client)
{
	loop_deadline_init(&client->deadline);
	table_add(&frame->clients, &client->node, ++frame->last_number);
}

void frame_remove(struct front_frame *frame, struct client *client)
{
	loop_deadline_cancel(&client->deadline);
	table_remove(&frame->clients, &client->node);
	if (frame->child->draining && !frame->clients.count)
		child_exit(frame->child);
}

struct client *frame_find(const struct front_frame *frame, uint64_t number)
{
	struct table_node *node = table_find(&frame->clients, number);

	return node ? CONTAINER(node, struct client, node) : NULL;
}

void frame_expired(struct loop_deadlines *deadlines, struct loop_deadline *deadline)
{
	(void)deadlines;
	conn_abort(&CONTAINER(deadline, struct client, deadline)->conn);
}

/* ---- the end ---- */

static void end_idle(struct table_node *node, void *context)
{
	struct front_frame *frame = context;

	frame->service->end_idle(frame, CONTAINER(node, struct client, node));
}

void frame_drain(struct front_frame *frame, uint64_t ms)
{
	acceptor_stop(&frame->acceptor);
	table_each(&frame->clients, end_idle, frame);
	if (!frame->clients.count)
		child_exit(frame->child);
	else
		loop_timer_set(&frame->drain_over, ms);
}
