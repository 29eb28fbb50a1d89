/* See remote.h. */
#include "server/auth/remote.h"

#include "base/text.h"
#include "server/auth/keepers.h"
#include "users/site.h"

#include <string.h>

/* A restarted auth chooses the same. */
static struct peer *find_connector(const struct auth *auth, const struct user *user)
{
	uint64_t hash = hash_everywhere(user->name, strlen(user->name));

	for (struct peer *peer = auth->child->peers; peer; peer = peer->next)
		if (peer->role == ROLE_CONNECTOR && peer->group_size &&
		    peer->index == hash % peer->group_size)
			return peer;
	return NULL;
}

static int send_open(struct auth_session *session, const struct user *user,
		     const struct app_password *app, bool judge)
{
	struct auth *auth = session->front->child->state;
	struct peer *connector = find_connector(auth, user);
	struct ipc_open_remote message = {.front = session->front->instance,
					  .session = session->node.key,
					  .ticket = session->ticket,
					  .remote = user->remote_section - 1,
					  .no_delete = app && app->no_delete,
					  .login_delay =
						  site_login_delay(auth->child->config, user),
					  .judge = judge};
	pop3_span texts[] = {
		span_of(user->name), span_of(app ? app->label : ""), span_of(user->remote_user),
		judge ? login_password(session->login) : span_of(user->remote_password)};

	if (!connector || auth_pass_on(connector, IPC_OPEN_REMOTE, &message, texts, 4) < 0)
		return -1;
	*(judge ? &session->judging : &session->keeper) = connector->instance;
	auth_slow(session); /* it waits for a network */
	return 0;
}

static void send_go(struct auth_session *session, uint64_t instance, enum reason reason,
		    uint32_t login_delay)
{
	struct ipc_verdict message = {.front = session->front->instance,
				      .session = session->node.key,
				      .ticket = session->ticket,
				      .reason = reason,
				      .login_delay = login_delay};
	struct peer *connector = child_peer(session->front->child, ROLE_CONNECTOR, instance);

	if (connector)
		peer_send(connector, IPC_GO, &message);
}

void auth_open_remote(struct auth_session *session, const struct user *user,
		      const struct app_password *app)
{
	uint64_t instance = session->judging;

	if (instance) {
		session->judging = 0;
		session->keeper = instance;
		send_go(session, instance, REASON_OK,
			site_login_delay(session->front->child->config, user));
		return;
	}
	if (send_open(session, user, app, false) == 0)
		return;
	auth_unopened(session);
	auth_logout(session);
	auth_deny(session, REASON_STORE_DOWN, 0);
}

int auth_ask_remote(struct auth_session *session)
{
	return send_open(session, login_user(session->login), NULL, true);
}

struct auth_session *auth_verdict(struct auth *auth, struct peer *connector,
				  const struct ipc_verdict *message)
{
	struct peer *front = child_peer(auth->child, ROLE_FRONT, message->front);
	struct table_node *node =
		front && front->data ? table_find(front->data, message->session) : NULL;
	struct auth_session *session = node ? CONTAINER(node, struct auth_session, node) : NULL;
	struct ipc_verdict no = *message;

	if (session && session->judging == connector->instance &&
	    session->ticket == message->ticket)
		return session;
	no.reason = REASON_STORE_DOWN;
	if (message->reason == REASON_OK)
		peer_send(connector, IPC_GO, &no);
	return NULL;
}

void auth_remote_cancel(struct auth_session *session)
{
	if (session->judging)
		send_go(session, session->judging, REASON_STORE_DOWN, 0);
	session->judging = 0;
}
