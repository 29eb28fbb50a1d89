/* See client.h. */
#include "server/control/client.h"

#include "server/control/answer.h"
#include "server/control/caller.h"
#include "server/control/follow.h"
#include "server/control/question.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum {
	IDLE_MS = 60 * 1000,
	FRESH_MS = 1000,
	ANSWER_MS = 30 * 1000,
	MONITOR_MS = 300 * 1000, /* a reload takes as long as processes and disks need */
};

static const struct conn_handler handler;

static struct caller *caller_of(struct conn *conn)
{
	return CONTAINER(conn, struct caller, client.conn);
}

static struct caller *caller_with(struct client *client)
{
	return CONTAINER(client, struct caller, client);
}

/* ---- life ---- */

void client_start(struct front_frame *frame, int *fd, const struct accepted *from)
{
	struct control *control = CONTAINER(frame, struct control, frame);
	struct caller *caller = calloc(1, sizeof(*caller));
	struct ucred ucred;
	socklen_t size = sizeof(ucred);

	if (!caller || getsockopt(*fd, SOL_SOCKET, SO_PEERCRED, &ucred, &size) < 0 ||
	    size != sizeof(ucred)) {
		free(caller);
		return;
	}
	caller->control = control;
	caller->uid = ucred.uid;
	caller->gid = ucred.gid;
	loop_deadline_init(&caller->answer);
	frame_add(frame, &caller->client, from);
	loop_deadline_renew(&control->idle, &caller->client.deadline);
	conn_init(&caller->client.conn, frame->child->loop, fd, &handler, NULL);
}

static void end(struct caller *caller)
{
	caller->over = true;
	conn_wake(&caller->client.conn);
}

void client_end_idle(struct front_frame *frame, struct client *client)
{
	struct caller *caller = caller_with(client);

	if (caller->follows) {
		end(caller);
		return;
	}
	if (caller->runs || caller->out)
		return;
	if (caller->row || frame->child->stopping)
		end(caller);
	else /* its first command may be on its way */
		loop_deadline_renew(&caller->control->fresh, &client->deadline);
}

bool client_may_give_way(const struct client *client)
{
	(void)client;
	return true;
}

void client_give_way(struct client *client)
{
	conn_abort(&client->conn);
}

static void closed(struct conn *conn, enum conn_end why)
{
	struct caller *caller = caller_of(conn);

	(void)why;
	caller_answered(caller);
	follow_stop(caller);
	frame_remove(&caller->control->frame, &caller->client);
	free(caller->out);
	free(caller);
}

void client_init(struct control *control)
{
	table_init(&control->questions);
	loop_deadlines_init(&control->idle, control->frame.child->loop, IDLE_MS, frame_expired,
			    control);
	loop_deadlines_init(&control->fresh, control->frame.child->loop, FRESH_MS, frame_expired,
			    control);
	loop_deadlines_init(&control->answer, control->frame.child->loop, ANSWER_MS, answer_late,
			    control);
	follow_init(control);
	loop_deadlines_init(&control->patient, control->frame.child->loop, MONITOR_MS, answer_late,
			    control);
}

/* ---- commands ---- */

static void take_line(struct caller *caller, pop3_span line)
{
	struct command command;
	const char *wrong = command_parse(line, &command);

	loop_deadline_renew(&caller->control->idle, &caller->client.deadline);
	if (wrong) {
		caller_conclude(caller, "error", wrong);
		return;
	}
	caller->row = command.row;
	caller->ban = command.ban;
	caller->target_size = command.target.size;
	memcpy(caller->target, command.target.data, command.target.size);
	caller->step = 0;
	caller->auth = caller->cursor[0] = caller->cursor[1] = 0;
	caller->count = 0;
	wrong = caller_kind(caller) == STEP_TRACE ? follow_take(caller) : NULL;
	if (wrong)
		caller_conclude(caller, "error", wrong);
	else
		caller->runs = true;
}

/* Takes octets until a line is whole. Returns whether there was one. */
static bool take_input(struct caller *caller, pop3_span *in)
{
	size_t room = sizeof(caller->in) - caller->in_size, n = in->size < room ? in->size : room;
	const char *lf;
	size_t taken;

	if (n)
		memcpy(caller->in + caller->in_size, in->data, n);
	caller->in_size += n;
	in->data += n;
	in->size -= n;
	lf = memchr(caller->in, '\n', caller->in_size);
	if (!lf) {
		if (caller->in_size == sizeof(caller->in))
			caller->over = true;
		return false;
	}
	taken = (size_t)(lf - caller->in) + 1;
	take_line(caller, (pop3_span){caller->in, taken - 1});
	caller->in_size -= taken;
	memmove(caller->in, caller->in + taken, caller->in_size);
	return true;
}

static size_t pull(struct caller *caller, char *out, size_t cap)
{
	size_t left = caller->out_size - caller->out_at, n = left < cap ? left : cap;

	memcpy(out, caller->out + caller->out_at, n);
	caller->out_at += n;
	if (caller->out_at == caller->out_size) {
		free(caller->out);
		caller->out = NULL;
		if (caller->follows) /* the next line may be long in coming */
			loop_deadline_cancel(&caller->client.deadline);
	}
	return n;
}

static size_t exchange(struct conn *conn, pop3_span *in, char *out, size_t cap)
{
	struct caller *caller = caller_of(conn);
	size_t used = 0;

	for (;;) {
		if (caller->out)
			used += pull(caller, out + used, cap - used);
		if (caller->out || caller->asked || caller->over || caller->follows)
			break;
		if (caller->runs)
			question_go_on(caller);
		else if ((!in->size && !caller->in_size) || !take_input(caller, in))
			break;
	}
	if (caller->over && !caller->out)
		conn_close(conn);
	return used;
}

static bool busy(struct conn *conn)
{
	const struct caller *caller = caller_of(conn);

	return (caller->runs && !caller->follows) || caller->out;
}

static const struct conn_handler handler = {.exchange = exchange, .busy = busy, .closed = closed};
