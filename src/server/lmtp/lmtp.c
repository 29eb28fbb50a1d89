/* See lmtp.h. This file: the process, its peers, its settings. */
#include "server/lmtp/lmtp.h"

#include "base/log.h"
#include "server/lmtp/session.h"

#include <time.h>

enum {
	SESSIONS_MAX = 2000,
	IDLE_MS = 300 * 1000, /* RFC 5321 section 4.5.3.2.7 */
};
#define SPOOL_MIN                                                                       \
	(256ull << 20) /* octets of messages in memory, if four of the largest are less \
			*/

/* ---- peers ---- */

static void unanswered(struct table_node *node, void *context)
{
	(void)context;
	transaction_unanswered(CONTAINER(node, struct lmtp_session, client.node));
}

static void peer_up(struct peer *peer)
{
	struct lmtp_front *front = peer->child->state;

	if (peer->role == ROLE_AUTH) {
		if (front->auth) /* the end of the old one was not seen yet */
			table_each(&front->frame.clients, unanswered, NULL);
		front->auth = peer;
		return;
	}
	for (unsigned place = 0; place < LMTP_KEEPERS_MAX; place++) {
		if (front->keepers[place])
			continue;
		front->keepers[place] = peer;
		return;
	}
	log_error("an LMTP front can use no more than %d keepers: mail of the others is put off",
		  LMTP_KEEPERS_MAX);
}

static void keeper_gone(struct table_node *node, void *context)
{
	transaction_keeper_gone(CONTAINER(node, struct lmtp_session, client.node),
				*(unsigned *)context);
}

static void peer_gone(struct peer *peer)
{
	struct lmtp_front *front = peer->child->state;

	if (peer == front->auth) {
		front->auth = NULL;
		table_each(&front->frame.clients, unanswered, NULL);
	}
	for (unsigned place = 0; place < LMTP_KEEPERS_MAX; place++) {
		if (front->keepers[place] != peer)
			continue;
		front->keepers[place] = NULL;
		table_each(&front->frame.clients, keeper_gone, &place);
	}
}

static void peer_message(struct peer *peer, enum ipc_type type, const void *message, int *fds)
{
	struct lmtp_front *front = peer->child->state;
	struct client *client;

	(void)fds;
	/* auth and this process do not see a keeper's end at the same moment: a recipient that auth
	 * passed to the keeper after this process saw it end will not be answered */
	if (type == IPC_KEEPER_GONE) {
		table_each(&front->frame.clients, unanswered, NULL);
		return;
	}
	/* RESOLVED begins as the answers of keepers do */
	client = frame_find(&front->frame, ((const struct ipc_recipient_answer *)message)->session);
	transaction_message(client ? CONTAINER(client, struct lmtp_session, client) : NULL, peer,
			    type, message);
}

/* ---- the process ---- */

static const struct front_service service = {.connected = lmtp_session_start,
					     .end_idle = lmtp_session_end_idle,
					     .may_give_way = lmtp_session_may_give_way,
					     .give_way = lmtp_session_give_way};

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
	spool_init(&front->spool,
		   4 * config->lmtp_max_size > SPOOL_MIN ? 4 * config->lmtp_max_size : SPOOL_MIN,
		   transaction_evict);
	loop_deadlines_init(&front->idle, child->loop, IDLE_MS, lmtp_session_expired, front);
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
