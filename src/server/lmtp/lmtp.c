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

static void peer_up(struct peer *peer)
{
	struct lmtp_front *front = peer->child->state;

	if (peer->role == ROLE_AUTH) {
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

static void unanswered(struct table_node *node, void *context)
{
	(void)context;
	letter_unanswered(CONTAINER(node, struct lmtp_session, client.node));
}

static void keeper_gone(struct table_node *node, void *context)
{
	letter_keeper_gone(CONTAINER(node, struct lmtp_session, client.node), *(unsigned *)context);
}

static void peer_gone(struct peer *peer)
{
	struct lmtp_front *front = peer->child->state;

	if (peer == front->auth) {
		front->auth = NULL;
		table_each(&front->frame.clients, unanswered, NULL);
	}
	for (unsigned slot = 0; slot < LMTP_KEEPERS_MAX; slot++) {
		if (front->keepers[slot] != peer)
			continue;
		front->keepers[slot] = NULL;
		table_each(&front->frame.clients, keeper_gone, &slot);
	}
}

static void peer_message(struct peer *peer, enum ipc_type type, const void *message, int *fds)
{
	struct lmtp_front *front = peer->child->state;

	(void)fds;
	/* a keeper that dies does not leave auth and us at once: what auth passed to it after we
	 * saw it go is known to nobody */
	if (type == IPC_KEEPER_GONE)
		table_each(&front->frame.clients, unanswered, NULL);
	else
		letter_message(front, peer, type, message);
}

/* -- the process -- */

static void end_idle(struct front_frame *frame, struct client *client)
{
	struct lmtp_session *session = CONTAINER(client, struct lmtp_session, client);

	(void)frame;
	if (!lmtp_server_idle(&session->lmtp) ||
	    lmtp_server_want(&session->lmtp) != LMTP_WANT_INPUT)
		return;
	lmtp_server_end(&session->lmtp, "4.3.2", "shutting down");
	conn_wake(&session->client.conn);
}

static const struct front_service service = {.connected = lmtp_session_start, .end_idle = end_idle};

static struct lmtp_front *root_struct(struct child *child)
{
	return frame_root(child, sizeof(struct lmtp_front), &service);
}

static void monitor_message(struct child *child, enum ipc_type type, const void *message, int *fds)
{
	struct lmtp_front *front = root_struct(child);

	if (type == IPC_LISTENER)
		acceptor_add(&front->frame.acceptor, SERVICE_LMTP, &fds[0]);
	(void)message;
}

static void expired(struct loop_deadlines *deadlines, struct loop_deadline *deadline)
{
	struct lmtp_session *session = CONTAINER(deadline, struct lmtp_session, client.deadline);

	if (session->delivering &&
	    !conn_blocked(&session->client.conn)) { /* it waits for us, not we for it */
		loop_deadline_renew(deadlines, deadline);
		return;
	}
	if (lmtp_server_want(&session->lmtp) == LMTP_WANT_INPUT &&
	    !conn_blocked(&session->client.conn)) {
		lmtp_server_end(&session->lmtp, "4.4.2", "idle too long");
		conn_wake(&session->client.conn);
		loop_deadline_renew(deadlines, deadline);
		return;
	}
	conn_abort(&session->client.conn);
}

static int start(struct child *child, struct err *err)
{
	struct lmtp_front *front = root_struct(child);
	const struct config *config = child->config;

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
	tzset();
	return frame_start(&front->frame, SESSIONS_MAX, err);
}

static void drain(struct child *child, uint64_t ms)
{
	frame_drain(&root_struct(child)->frame, ms);
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
