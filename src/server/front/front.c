/* See front.h. This file: the process, its peers, its settings. */
#include "server/front/front.h"

#include "base/log.h"
#include "base/text.h"
#include "build-config.h"
#include "server/certificates.h"
#include "server/counters.h"
#include "server/expiry.h"
#include "server/front/session.h"
#include "server/front/traffic.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

enum {
	GRACE_MS = 3000,   /* to go on with a session when valijad is about to end */
	FDS_A_SESSION = 4, /* its socket, base, delta, a message */
	FDS_RESERVED = 32, /* for channels to processes that are started anew, and their packets */
	HANDSHAKES_MAX = 2048, /* under way */
	TRIM_IDLE_MS = 5000,   /* an idle session's memory is given back after so long */
	EXPIRY_EVERY = 24 * 60 * 60 * 1000, /* ms between two looks at the certificates' dates */
};

/* ---- peers ---- */

/* Every session loses auth: its attempts, its stamp, its count. */
static void auth_over(struct front *front)
{
	struct link *link = front->auth;

	front->auth = NULL;
	link_finish(link);
}

static void peer_up(struct peer *peer)
{
	struct front *front = peer->child->state;
	struct link *link;

	if (peer->role == ROLE_KEYS) {
		signing_up(front, peer);
		return;
	}
	link = calloc(1, sizeof(*link));
	if (!link) {
		peer_break(peer, "out of memory");
		return;
	}
	peer->data = link;
	link_init(link, peer, peer->role == ROLE_AUTH ? &login_handler : &mailbox_handler);
	if (peer->role != ROLE_AUTH)
		return;
	if (front->auth) /* the end of the old one was not seen yet */
		auth_over(front);
	front->auth = link;
}

static void connect_one(struct table_node *node, void *context)
{
	(void)context;
	login_connect(CONTAINER(node, struct session, client.node));
}

static void peer_gone(struct peer *peer)
{
	struct front *front = peer->child->state;
	struct link *link = peer->data;

	if (peer->role == ROLE_KEYS)
		signing_gone(front, peer);
	if (!link)
		return;
	if (link == front->auth)
		auth_over(front);
	else
		link_finish(link);
	free(link);
}

/* The mechanisms show the password, or a token that is as good as one. */
static bool shows_secret(pop3_span mechanism)
{
	return config_mechanism_shows_secret(mechanism);
}

static bool binds_to_tls(pop3_span mechanism)
{
	static const char end[] = "-PLUS";
	const size_t n = sizeof(end) - 1;

	return mechanism.size > n && memcmp(mechanism.data + mechanism.size - n, end, n) == 0;
}

/* Writes those of all that are not without. */
static void some_mechanisms(const char *all, bool (*without)(pop3_span mechanism), char *ret,
			    size_t size)
{
	char copy[CONFIG_NAME_MAX], *rest = copy, *word;
	size_t used = 0;

	snprintf(copy, sizeof(copy), "%s", all);
	ret[0] = '\0';
	while ((word = strtok_r(rest, " ", &rest))) {
		if (without(span_of(word)))
			continue;
		used += (size_t)snprintf(ret + used, size - used, "%s%s", used ? " " : "", word);
	}
}

static void take_offer(struct front *front, const struct ipc_offer *message)
{
	if (span_copy(ipc_text(message, 0), front->mechanisms, sizeof(front->mechanisms)) < 0 ||
	    span_copy(ipc_text(message, 1), front->mechanisms_tls, sizeof(front->mechanisms_tls)) <
		    0)
		return;
	some_mechanisms(front->mechanisms, shows_secret, front->mechanisms_strict,
			sizeof(front->mechanisms_strict));
	some_mechanisms(front->mechanisms_tls, binds_to_tls, front->mechanisms_relayed,
			sizeof(front->mechanisms_relayed));
	snprintf(front->mechanisms_certified, sizeof(front->mechanisms_certified), "%s EXTERNAL",
		 front->mechanisms_tls);
}

/* If all connections of the site are in use, one of this front that has not logged in gives way to
 * the new one, once. */
static void greet(struct front *front, struct session *session, enum reason reason, pop3_span stamp)
{
	if (reason == REASON_CONNECTIONS && !session->asked_again &&
	    frame_make_room(&front->frame)) {
		session->asked_again = true;
		login_connect_again(session);
		return;
	}
	session_greet(session, reason, stamp);
}

static void auth_message(struct front *front, struct link *auth, enum ipc_type type,
			 const void *message)
{
	/* every message about a session has its number behind the head */
	struct session *session =
		session_find(front, ((const struct ipc_session *)message)->session);
	const struct ipc_connected *connected = message;

	if (auth != front->auth || !session)
		return; /* another auth serves by now, or the session has ended */
	if (type == IPC_KICK)
		session_kick(session);
	else if (type != IPC_CONNECTED)
		login_message(session, auth, type, message);
	else if (session->stage == STAGE_CONNECTING && login_is_known(session))
		greet(front, session, (enum reason)connected->reason, ipc_text(message, 0));
	else
		peer_break(link_peer(auth), "it answers a connection twice");
}

static void keeper_message(struct front *front, struct link *keeper, enum ipc_type type,
			   const void *message, int *fds)
{
	struct session *session;

	if (type == IPC_ARENA) {
		link_set_arena(keeper, fds[0]);
		return;
	}
	session = session_find(front, ((const struct ipc_session *)message)->session);
	if (type == IPC_OPENED)
		mailbox_opened(keeper, session, message, fds);
	else if (type == IPC_GONE)
		mailbox_gone(keeper, session, message);
	else if (type == IPC_HOLDER_ASK)
		mailbox_asked(keeper, session);
	else
		mailbox_message(keeper, session, type, message, fds);
}

static void peer_message(struct peer *peer, enum ipc_type type, const void *message, int *fds)
{
	struct front *front = peer->child->state;

	if (peer->role == ROLE_KEYS)
		signing_answer(front,
			       session_find(front, ((const struct ipc_signed *)message)->session),
			       message);
	if (!peer->data)
		return;
	if (peer->role == ROLE_KEEPER || peer->role == ROLE_CONNECTOR) {
		keeper_message(front, peer->data, type, message, fds);
	} else if (type == IPC_TRACE_USER) {
		traces_set(front, message);
	} else if (type == IPC_OFFER) {
		take_offer(front, message);
		table_each(&front->frame.clients, connect_one, NULL);
	} else if (type == IPC_TRAFFIC) {
		traffic_answer(front, peer, message);
	} else {
		auth_message(front, peer->data, type, message);
	}
}

/* A descriptor that a keeper lends and that finds no room breaks the channel to it, so connections
 * are accepted only as long as all of them could have a maildrop and a message open. */
static size_t most_sessions(const struct child *child)
{
	struct rlimit limit;
	int used = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0); /* the lowest that is free */
	rlim_t reserved = (rlim_t)(used > 0 ? used : 0) + FDS_RESERVED;

	if (used >= 0)
		close(used);
	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return 1;
	if (child->change_ids) /* keepers that are started on demand; a low limit is shared */
		reserved += child->config->owner_keepers < limit.rlim_cur / 4
				    ? child->config->owner_keepers
				    : limit.rlim_cur / 4;
	if (limit.rlim_cur <= reserved + FDS_A_SESSION)
		return 1;
	return (limit.rlim_cur - reserved) / FDS_A_SESSION;
}

/* A handshake that is under way costs 41 KB, an idle session without TLS 3 KB. */
static size_t most_handshakes(size_t sessions)
{
	size_t half = sessions / 2 ? sessions / 2 : 1;

	return half < HANDSHAKES_MAX ? half : HANDSHAKES_MAX;
}

/* ---- the process ---- */

static const struct front_service service = {.connected = session_start,
					     .end_idle = session_end_idle,
					     .may_give_way = session_may_give_way,
					     .give_way = session_give_way,
					     .sandbox = SANDBOX_FRONT};

static struct front *root_struct(struct child *child)
{
	return frame_root(child, sizeof(struct front), &service);
}

static void take_server(const struct packed *packed, const struct config *config, uint32_t minimum,
			uint32_t first, struct tls_server **server)
{
	struct tls_server *fresh;
	struct err err;

	if (certificates_unpack(packed, config, minimum, &fresh, &err) < 0) {
		log_error(*server ? "changed certificates are not used: %s" : "no TLS: %s",
			  err.text);
		return;
	}
	if (!fresh)
		return;
	tls_server_succeed(fresh, *server, first);
	tls_server_destroy(*server); /* sessions keep the one that they have */
	*server = fresh;
}

/* At the start, and when the files have changed: then for handshakes that begin from here on. */
static void take_certificates(struct front *front, const struct ipc_certificates *message, int fd)
{
	struct packed packed = {.fds = {fd, -1}, .sizes = {message->size, 0}};
	const struct config *config = front->frame.child->config;
	const uint32_t first = message->number % IPC_KEY_SETS * IPC_KEYS_MAX;

	take_server(&packed, config, CONFIG_TLS_1_2, first, &front->tls);
	for (uint32_t i = CONFIG_TLS_1_3; i < CONFIG_TLS_COUNT; i++)
		if (certificates_minimum_used(config, i))
			take_server(&packed, config, i, first, &front->by_minimum[i]);
	if (front->frame.child->started && front->frame.child->index == 0)
		loop_timer_set(&front->expiry, 0);
}

static void take_ticket_keys(struct front *front, const struct ipc_ticket_keys *message)
{
	if (front->tls)
		tls_server_ticket_keys(front->tls, message->keys, TLS_TICKET_KEYS);
	for (size_t i = 0; i < TLS_MINIMA; i++)
		if (front->by_minimum[i])
			tls_server_ticket_keys(front->by_minimum[i], message->keys,
					       TLS_TICKET_KEYS);
}

/* A server that is missing is an error of the start. */
static bool has_all_servers(const struct front *front)
{
	const struct config *config = front->frame.child->config;

	for (uint32_t i = CONFIG_TLS_1_3; i < CONFIG_TLS_COUNT; i++)
		if (certificates_minimum_used(config, i) && !front->by_minimum[i])
			return false;
	return front->tls != NULL;
}

static void warn(const char *text)
{
	log_warning("%s", text);
}

static void publish_ends(const struct front *front)
{
	uint32_t count = front->tls ? front->frame.child->config->certificate_count : 0;

	for (uint32_t i = 0; i < count; i++)
		counters_set(COUNTER_CERTIFICATE_END + i,
			     (uint64_t)tls_server_dates(front->tls, i).last);
}

static void look_at_dates(struct loop_timer *timer)
{
	struct front *front = timer->context;

	publish_ends(front);
	expiry_warn(front->frame.child->config, front->tls, (int64_t)time(NULL), warn);
	loop_timer_set(timer, EXPIRY_EVERY);
}

static void monitor_message(struct child *child, enum ipc_type type, const void *message, int *fds)
{
	struct front *front = root_struct(child);

	if (type == IPC_LISTENER)
		frame_listen(&front->frame, message, &fds[0]);
	else if (type == IPC_STOP_ACCEPTING)
		frame_stop_accepting(&front->frame);
	else if (type == IPC_BANS)
		frame_take_bans(&front->frame, message, fds[0]);
	else if (type == IPC_CERTIFICATES)
		take_certificates(front, message, fds[0]);
	else if (type == IPC_TICKET_KEYS)
		take_ticket_keys(front, message);
}

static void init_settings(struct front *front)
{
	const struct config *config = front->frame.child->config;
	struct pop3_server_settings *s = &front->strict;

	s->implementation = "Valija";
	s->mechanisms = front->mechanisms_strict;
	s->mechanisms_tls = front->mechanisms_tls;
	s->plain_login = config->plain_without_tls;
	s->plain_login_tls = true;
	s->stls = front->tls != NULL;
	s->max_bad_commands = (uint16_t)config->max_bad_commands;
	s->expire_days = config_expire_days(config);
	s->login_delay = config_announced_delay(config);
	s->login_delay_user = config->login_delay_max > 0;
	s->utf8 = s->lang = true;
	if (config->plain_without_tls)
		s->mechanisms = front->mechanisms;
	front->open = front->listed = front->relayed = front->certified = *s;
	front->certified.mechanisms_tls = front->mechanisms_certified;
	front->listed.plain_login = true;
	front->listed.mechanisms = front->mechanisms;
	front->relayed.mechanisms_tls = front->mechanisms_relayed;
	if (config->plain_on_loopback) {
		front->open.plain_login = true;
		front->open.mechanisms = front->mechanisms;
	}
}

static int start(struct child *child, struct err *err)
{
	struct front *front = root_struct(child);
	const struct config *config = child->config;

	if (config->certificate_count && !has_all_servers(front))
		return err_set(err, EX_CONFIG, "the certificates cannot be used");
	init_settings(front);
	front->takes_certificates = config_takes_certificates(config);
	front->utf8_headers = config->utf8_headers;
	loop_deadlines_init(&front->handshake, child->loop, config->handshake_seconds * 1000u,
			    session_expired, front);
	front->handshakes_max = most_handshakes(most_sessions(child));
	loop_deadlines_init(&front->login, child->loop, config->login_seconds * 1000u,
			    session_expired, front);
	loop_deadlines_init(&front->idle, child->loop, config->idle_seconds * 1000u,
			    session_expired, front);
	loop_deadlines_init(&front->write, child->loop, config->write_seconds * 1000u,
			    session_write_expired, front);
	loop_deadlines_init(&front->grace, child->loop, GRACE_MS, session_expired, front);
	loop_deadlines_init(&front->trim, child->loop, TRIM_IDLE_MS, session_trim_expired, front);
	loop_timer_init(&front->expiry, child->loop, look_at_dates, front);
	if (child->index == 0) {
		publish_ends(front); /* nobody reads 0, an end long ago, once this one is ready */
		loop_timer_set(&front->expiry, 0);
	}
	return frame_start(&front->frame, most_sessions(child), err);
}

static void drain(struct child *child, uint64_t ms)
{
	frame_drain(&root_struct(child)->frame, ms);
}

const struct child_role front_role = {
	.role = ROLE_FRONT,
	.monitor_message = monitor_message,
	.start = start,
	.peer_up = peer_up,
	.peer_gone = peer_gone,
	.peer_message = peer_message,
	.drain = drain,
};
