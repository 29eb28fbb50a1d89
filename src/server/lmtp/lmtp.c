/* See lmtp_front.h. */
#include "server/lmtp/lmtp.h"

#include "base/log.h"

#include <stdlib.h>
#include <string.h>

#define SESSIONS_MAX 2000
#define IDLE_MS (300u * 1000) /* RFC 5321 section 4.5.3.2.7 */
#define SPOOL_MIN                                                                      \
	(256ull << 20) /* octets of messages in memory at once, or four of the largest \
			*/

static void unanswered(struct table_node *node, void *context)
{
	(void)context;
	letter_unanswered(CONTAINER(node, struct lmtp_session, node));
}

static void peer_up(struct peer *peer)
{
	struct lmtp_front *front = peer->child->state;

	if (peer->role == ROLE_AUTH) {
		if (front->auth) /* the end of the old one was not seen yet */
			table_each(&front->sessions, unanswered, NULL);
		front->auth = peer;
		return;
	}
	for (unsigned slot = 0; slot < LMTP_KEEPERS_MAX; slot++) {
		if (front->keepers[slot])
			continue;
		front->keepers[slot] = peer;
		return;
	}
	log_error("more keepers than an LMTP front can talk to");
}

static void keeper_gone(struct table_node *node, void *context)
{
	letter_keeper_gone(CONTAINER(node, struct lmtp_session, node), *(unsigned *)context);
}

static void peer_gone(struct peer *peer)
{
	struct lmtp_front *front = peer->child->state;

	if (peer == front->auth) {
		front->auth = NULL;
		table_each(&front->sessions, unanswered, NULL);
	}
	for (unsigned slot = 0; slot < LMTP_KEEPERS_MAX; slot++) {
		if (front->keepers[slot] != peer)
			continue;
		front->keepers[slot] = NULL;
		table_each(&front->sessions, keeper_gone, &slot);
	}
}

static void peer_message(struct peer *peer, enum ipc_type type, const void *message, int *fds)
{
	struct lmtp_front *front = peer->child->state;

	(void)fds;
	/* a keeper that dies does not leave auth and us at once: what auth passed to it after we
	 * saw it go is known to nobody */
	if (type == IPC_KEEPER_GONE)
		table_each(&front->sessions, unanswered, NULL);
	else
		letter_message(front, peer, type, message);
}

static bool take_connection(struct acceptor *acceptor, int *fd, const struct accepted *from)
{
	struct lmtp_front *front = acceptor->context;

	lmtp_session_start(front, fd, from->text);
	return front->sessions.count < SESSIONS_MAX;
}

static void listener_dead(struct acceptor *acceptor)
{
	struct lmtp_front *front = acceptor->context;
	struct ipc_empty message;

	ipc_send(&front->child->monitor, IPC_LISTENER_DEAD, &message);
}

/* -- the process -- */

static struct lmtp_front *root_struct(struct child *child)
{
	struct lmtp_front *front = child->state;

	if (front)
		return front;
	front = calloc(1, sizeof(*front));
	if (!front)
		abort();
	front->child = child;
	acceptor_init(&front->acceptor, child->loop, take_connection, listener_dead, front);
	table_init(&front->sessions);
	child->state = front;
	return front;
}

static void monitor_message(struct child *child, enum ipc_type type, const void *message, int *fds)
{
	struct lmtp_front *front = root_struct(child);

	if (type == IPC_LISTENER)
		acceptor_add(&front->acceptor, SERVICE_LMTP, &fds[0]);
	(void)message;
}

static void expired(struct loop_deadlines *deadlines, struct loop_deadline *deadline)
{
	struct lmtp_session *session = CONTAINER(deadline, struct lmtp_session, deadline);

	if (session->delivering &&
	    !conn_blocked(&session->conn)) { /* it waits for us, not we for it */
		loop_deadline_renew(deadlines, deadline);
		return;
	}
	if (lmtp_server_want(&session->lmtp) == LMTP_WANT_INPUT && !conn_blocked(&session->conn)) {
		lmtp_server_end(&session->lmtp, "4.4.2", "idle too long");
		conn_wake(&session->conn);
		loop_deadline_renew(deadlines, deadline);
		return;
	}
	conn_abort(&session->conn);
}

static void abort_one(struct table_node *node, void *context)
{
	(void)context;
	conn_abort(&CONTAINER(node, struct lmtp_session, node)->conn);
}

static void drain_over(struct loop_timer *timer)
{
	struct lmtp_front *front = timer->context;

	table_each(&front->sessions, abort_one, NULL);
}

static int start(struct child *child, struct err *err)
{
	struct lmtp_front *front = root_struct(child);
	const struct config *config = child->config;
	struct sandbox sandbox;

	front->settings =
		(struct lmtp_server_settings){.host_name = config->host_name,
					      .max_size = config->lmtp_max_size,
					      .max_recipients = config->lmtp_max_recipients,
					      .max_bad_commands = config->max_bad_commands,
					      .smtputf8 = true};
	if (!front->settings.max_recipients || front->settings.max_recipients > IPC_RECIPIENTS_MAX)
		front->settings.max_recipients = IPC_RECIPIENTS_MAX;
	front->spool_max =
		4 * config->lmtp_max_size > SPOOL_MIN ? 4 * config->lmtp_max_size : SPOOL_MIN;
	loop_deadlines_init(&front->idle, child->loop, IDLE_MS, expired, front);
	loop_timer_init(&front->drain_over, child->loop, drain_over, front);
	tzset();
	child_sandbox(child, SANDBOX_FRONT, &sandbox);
	if (sandbox_enter(&sandbox, err) < 0)
		return -1;
	acceptor_start(&front->acceptor);
	return 0;
}

static void end_idle(struct table_node *node, void *context)
{
	struct lmtp_session *session = CONTAINER(node, struct lmtp_session, node);

	(void)context;
	if (!lmtp_server_idle(&session->lmtp) ||
	    lmtp_server_want(&session->lmtp) != LMTP_WANT_INPUT)
		return;
	lmtp_server_end(&session->lmtp, "4.3.2", "shutting down");
	conn_wake(&session->conn);
}

static void drain(struct child *child, uint64_t ms)
{
	struct lmtp_front *front = root_struct(child);

	acceptor_stop(&front->acceptor);
	table_each(&front->sessions, end_idle, NULL);
	if (!front->sessions.count)
		child_exit(child);
	else
		loop_timer_set(&front->drain_over, ms);
}

const struct child_role lmtp_role = {
	.role = ROLE_LMTP,
	.monitor_message = monitor_message,
	.start = start,
	.peer_up = peer_up,
	.peer_gone = peer_gone,
	.peer_message = peer_message,
	.drain = drain,
};
