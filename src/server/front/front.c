/* See front.h. */
#include "server/front/front.h"

#include "base/log.h"
#include "base/text.h"
#include "build-config.h"
#include "server/certificates.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sysexits.h>
#include <unistd.h>

#define GRACE_MS 3000   /* to go on with a session when valijad is about to end */
#define FDS_A_SESSION 4 /* its socket, base, delta, a message */
#define FDS_RESERVED 32 /* for channels to those that are started anew, and their packets */
#define SPARE_MS 5000   /* an idle session's memory is given back after so long */

/* -- peers -- */

static void lose_auth(struct table_node *node, void *context)
{
	(void)context;
	login_auth_lost(CONTAINER(node, struct session, client.node));
}

static void auth_over(struct front *front)
{
	struct link *link = front->auth;

	while (link->waiting)
		link_leave(link, link->waiting); /* each is answered below */
	front->auth = NULL;
	table_each(&front->frame.clients, lose_auth, NULL);
}

static void peer_up(struct peer *peer)
{
	struct front *front = peer->child->state;
	struct link *link = calloc(1, sizeof(*link));

	if (!link) {
		peer_break(peer, "out of memory");
		return;
	}
	link->peer = peer;
	link->waiting_tail = &link->waiting;
	peer->data = link;
	if (peer->role != ROLE_AUTH)
		return;
	if (front->auth) /* the end of the old one was not seen yet */
		auth_over(front);
	front->auth = link;
}

static void resume_one(struct table_node *node, void *context)
{
	(void)context;
	login_resume(CONTAINER(node, struct session, client.node));
}

static void peer_gone(struct peer *peer)
{
	struct front *front = peer->child->state;
	struct link *link = peer->data;

	if (!link)
		return;
	if (link == front->auth)
		auth_over(front);
	while (link->waiting)
		link_leave(link, link->waiting); /* each is aborted below */
	while (link->sessions) {
		struct session *session = link->sessions;

		link->sessions = session->next;
		session->link = NULL;
		session->at = NULL;
		session_abort(
			session); /* its keeper is gone, the lock with it: nothing was deleted */
	}
	arena_release(link->arena);
	free(link);
}

/* Clear-text mechanisms without those that show the password. */
static void strict_mechanisms(const char *all, char *ret, size_t size)
{
	char copy[CONFIG_NAME_MAX], *rest = copy, *word;
	size_t used = 0;

	snprintf(copy, sizeof(copy), "%s", all);
	ret[0] = '\0';
	while ((word = strtok_r(rest, " ", &rest))) {
		if (strcmp(word, "PLAIN") == 0 || strcmp(word, "LOGIN") == 0)
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
	strict_mechanisms(front->mechanisms, front->mechanisms_strict,
			  sizeof(front->mechanisms_strict));
	front->apop = message->apop;
}

static void peer_message(struct peer *peer, enum ipc_type type, const void *message, int *fds)
{
	struct front *front = peer->child->state;

	if (!peer->data)
		return;
	if (peer->role == ROLE_KEEPER)
		mail_message(peer->data, type, message, fds);
	else if (type == IPC_OFFER)
		take_offer(front, message);
	else
		login_message(peer->data, type, message);
	if (type == IPC_OFFER)
		table_each(&front->frame.clients, resume_one, NULL);
}

/* A descriptor that a keeper lends and that finds no room breaks the channel to it, so connections
 * are accepted only as long as all of them could have a maildrop and a message open. */
static size_t most_sessions(void)
{
	struct rlimit limit;
	int used = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0); /* the lowest that is free */
	rlim_t reserved = (rlim_t)(used > 0 ? used : 0) + FDS_RESERVED;

	if (used >= 0)
		close(used);
	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur <= reserved + FDS_A_SESSION)
		return 1;
	return (limit.rlim_cur - reserved) / FDS_A_SESSION;
}

/* -- the process -- */

static void end_idle(struct front_frame *frame, struct client *client);

static const struct front_service service = {.connected = session_start, .end_idle = end_idle};

static struct front *root_struct(struct child *child)
{
	return frame_root(child, sizeof(struct front), &service);
}

static void take_certificates(struct front *front, const struct ipc_certificates *message, int fd)
{
	struct err err;

	if (certificates_unpack(fd, message->size, front->frame.child->config, &front->tls, &err) <
	    0)
		log_error("no TLS: %s", err.text);
}

static void monitor_message(struct child *child, enum ipc_type type, const void *message, int *fds)
{
	struct front *front = root_struct(child);

	if (type == IPC_LISTENER)
		acceptor_add(&front->frame.acceptor,
			     (enum config_service)((const struct ipc_listener *)message)->service,
			     &fds[0]);
	else if (type == IPC_CERTIFICATES)
		take_certificates(front, message, fds[0]);
	else if (type == IPC_TICKET_KEYS && front->tls)
		tls_server_ticket_keys(front->tls, ((const struct ipc_ticket_keys *)message)->keys,
				       TLS_TICKET_KEYS);
}

/* A reply is going out or a command is being worked on: has the client read anything since? */
static void write_expired(struct loop_deadlines *deadlines, struct loop_deadline *deadline)
{
	struct session *session = CONTAINER(deadline, struct session, client.deadline);

	if (conn_blocked(&session->client.conn) &&
	    session->client.conn.octets_out == session->progress) {
		session_abort(session);
		return;
	}
	session->progress = session->client.conn.octets_out;
	loop_deadline_renew(deadlines, deadline);
}

static void spare_expired(struct loop_deadlines *deadlines, struct loop_deadline *deadline)
{
	(void)deadlines;
	mail_give_back(CONTAINER(deadline, struct session, spare));
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
	s->expire_days = config->expire_days;
	s->login_delay = -1;
	if (config->plain_without_tls)
		s->mechanisms = front->mechanisms;
	front->open = *s;
	if (config->plain_on_loopback) {
		front->open.plain_login = true;
		front->open.mechanisms = front->mechanisms;
	}
}

static int start(struct child *child, struct err *err)
{
	struct front *front = root_struct(child);
	const struct config *config = child->config;

	if (config->certificate_count && !front->tls)
		return err_set(err, EX_CONFIG, "the certificates cannot be used");
	init_settings(front);
	loop_deadlines_init(&front->handshake, child->loop, config->handshake_seconds * 1000u,
			    frame_expired, front);
	loop_deadlines_init(&front->login, child->loop, config->login_seconds * 1000u,
			    frame_expired, front);
	loop_deadlines_init(&front->idle, child->loop, config->idle_seconds * 1000u, frame_expired,
			    front);
	loop_deadlines_init(&front->write, child->loop, config->write_seconds * 1000u,
			    write_expired, front);
	loop_deadlines_init(&front->grace, child->loop, GRACE_MS, frame_expired, front);
	loop_deadlines_init(&front->spare, child->loop, SPARE_MS, spare_expired, front);
	return frame_start(&front->frame, most_sessions(), err);
}

/* -- the end -- */

static void end_idle(struct front_frame *frame, struct client *client)
{
	struct session *session = CONTAINER(client, struct session, client);

	/* with a new generation beside it there is no hurry: the time to log in runs anyway */
	if (!session_idle(session) || !frame->child->stopping)
		return;
	if (session->stage != STAGE_MAIL)
		session_abort(session);
	else
		loop_deadline_renew(&session->front->grace, &session->client.deadline);
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
