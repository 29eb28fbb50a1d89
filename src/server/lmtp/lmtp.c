/* See lmtp.h. This file: the process, its peers, its settings. */
#include "server/lmtp/lmtp.h"

#include "base/log.h"
#include "server/lmtp/content.h"
#include "server/lmtp/session.h"

#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

enum {
	SESSIONS_MAX = 2000,
	IDLE_MS = 300 * 1000, /* RFC 5321 section 4.5.3.2.7 */
	WRITERS = 4,          /* threads that write to the spool */
	FDS_A_SESSION = 4,    /* the socket, a message's memory file, a spool file twice */
	FDS_RESERVED = 64,    /* channels, listening sockets, what comes by a channel */
};
/* Octets, where the configuration says nothing. */
#define MEMORY (256ull << 20)
#define DISK (1ull << 30)

/* ---- peers ---- */

static void unanswered(struct table_node *node, void *context)
{
	(void)context;
	transaction_unanswered(CONTAINER(node, struct lmtp_session, client.node));
}

static int take_place(struct lmtp_front *front, struct peer *peer)
{
	uint32_t place = 0, room = front->keeper_room ? 2 * front->keeper_room : 16;
	struct peer **list;

	while (place < front->keeper_room && front->keepers[place])
		place++;
	if (place == front->keeper_room) {
		list = realloc(front->keepers, room * sizeof(*list));
		if (!list)
			return -1;
		memset(list + place, 0, (room - place) * sizeof(*list));
		front->keepers = list;
		front->keeper_room = room;
	}
	front->keepers[place] = peer;
	return 0;
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
	if (take_place(front, peer) < 0)
		peer_break(peer, "out of memory");
}

static void keeper_gone(struct table_node *node, void *context)
{
	transaction_keeper_gone(CONTAINER(node, struct lmtp_session, client.node),
				*(uint32_t *)context);
}

static void peer_gone(struct peer *peer)
{
	struct lmtp_front *front = peer->child->state;

	if (peer == front->auth) {
		front->auth = NULL;
		table_each(&front->frame.clients, unanswered, NULL);
	}
	for (uint32_t place = 0; place < front->keeper_room; place++) {
		if (front->keepers[place] != peer)
			continue;
		front->keepers[place] = NULL;
		front->left_tidily = peer->leaving;
		table_each(&front->frame.clients, keeper_gone, &place);
		front->left_tidily = false;
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
					     .give_way = lmtp_session_give_way,
					     .sandbox = SANDBOX_LMTP};

static struct lmtp_front *root_struct(struct child *child)
{
	return frame_root(child, sizeof(struct lmtp_front), &service);
}

static void monitor_message(struct child *child, enum ipc_type type, const void *message, int *fds)
{
	struct lmtp_front *front = root_struct(child);

	if (type == IPC_LISTENER)
		frame_listen(&front->frame, message, &fds[0]);
	else if (type == IPC_STOP_ACCEPTING)
		frame_stop_accepting(&front->frame);
	else if (type == IPC_SPOOL_FILE)
		stock_file(&front->stock, fds);
	else if (type == IPC_SPOOL_NONE)
		stock_none(&front->stock);
}

/* Descriptors may be few. A packet with descriptors that find no room breaks its channel, and the
 * monitor's ends this process: sessions must leave some. */
static size_t most_sessions(const struct child *child)
{
	struct rlimit limit;
	rlim_t reserved = FDS_RESERVED, most;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return 1;
	if (child->change_ids) /* keepers on demand; a low limit is shared */
		reserved += child->config->owner_keepers < limit.rlim_cur / 4
				    ? child->config->owner_keepers
				    : limit.rlim_cur / 4;
	if (limit.rlim_cur <= reserved + FDS_A_SESSION)
		return 1;
	most = (limit.rlim_cur - reserved) / FDS_A_SESSION;
	return most < SESSIONS_MAX ? most : SESSIONS_MAX;
}

/* At least four of the largest messages, unless the site says otherwise. */
static uint64_t room(const struct config *config, uint64_t configured, uint64_t standard)
{
	if (configured)
		return configured;
	return 4 * config->lmtp_max_size > standard ? 4 * config->lmtp_max_size : standard;
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
	spool_init(&front->memory, room(config, config->lmtp_memory, MEMORY), SPOOL_SMALL,
		   content_evict);
	spool_init(&front->disk, room(config, config->lmtp_spool_size, DISK), 0,
		   content_evict_from_disk);
	loop_deadlines_init(&front->idle, child->loop, IDLE_MS, lmtp_session_expired, front);
	tzset();
	front->frame.file_max = config->lmtp_max_size + CONN_SCRATCH;
	if (frame_start(&front->frame, most_sessions(child), err) < 0)
		return -1;
	stock_init(&front->stock, &child->monitor);
	front->workers = workers_create(child->loop, WRITERS, 0, SESSIONS_MAX, err);
	return front->workers ? 0 : -1;
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
