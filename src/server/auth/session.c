/* See session.h. On auth's loop. */
#include "server/auth/session.h"

#include "base/random.h"
#include "base/secret.h"
#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

void auth_new_stamp(struct auth *auth, struct auth_session *session)
{
	unsigned char random[16];
	char hex[33], stamp[CONFIG_NAME_MAX + 80];

	if (random_octets(random, sizeof(random)) < 0)
		return;
	hex_encode(random, sizeof(random), hex);
	snprintf(stamp, sizeof(stamp), "<%s.%lld@%s>", hex, (long long)time(NULL),
		 auth->child->config->host_name);
	session->stamp = strdup(stamp);
}

uint16_t *auth_judged(const struct auth_session *session)
{
	struct auth *auth = session->front->child->state;

	return &auth->judged[hash_octets(limits_network(session->address), 16) % AUTH_JUDGED];
}

void auth_judging_over(struct auth_session *session)
{
	if (session->judging)
		--*auth_judged(session);
	session->judging = 0;
}

void auth_close_there(const struct auth_session *session, uint64_t connector)
{
	struct ipc_verdict message = {.front = session->front->instance,
				      .session = session->node.key,
				      .ticket = session->ticket,
				      .reason = REASON_STORE_DOWN};
	struct peer *peer = child_peer(session->front->child, ROLE_CONNECTOR, connector);

	if (peer)
		peer_send(peer, IPC_GO, &message);
}

void auth_moving_over(struct auth_session *session)
{
	if (session->moving && session->moving->connector)
		auth_close_there(session, session->moving->connector);
	if (session->moving)
		wipe(session->moving, sizeof(*session->moving));
	free(session->moving);
	session->moving = NULL;
}

void auth_logout(struct auth_session *session)
{
	struct auth *auth = session->front->child->state;

	session->granted = false;
	session->keeper = 0;
	auth_moving_over(session);
	if (session->user)
		limits_logout(&auth->limits, session->user);
	session->user = NULL;
}

void auth_unopened(struct auth_session *session)
{
	struct auth *auth = session->front->child->state;

	if (auth->delays && session->user)
		login_delays_forget(auth->delays, limits_user_name(session->user));
}

void auth_slow(struct auth_session *session)
{
	struct ipc_slow message = {.session = session->node.key, .ticket = session->ticket};

	if (session->slow)
		return;
	session->slow = true;
	peer_send(session->front, IPC_SLOW, &message);
}

void auth_deny(struct auth_session *session, enum reason reason, uint32_t delay)
{
	const struct config *config = session->front->child->config;
	struct ipc_denied message = {.session = session->node.key,
				     .ticket = session->ticket,
				     .reason = reason,
				     .delay = delay};

	message.close = reason == REASON_WRONG && config->max_failures &&
			session->failures >= config->max_failures;
	peer_send(session->front, IPC_DENIED, &message);
}
