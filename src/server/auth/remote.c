/* See remote.h. */
#include "server/auth/remote.h"

#include "base/secret.h"
#include "base/text.h"
#include "server/auth/keepers.h"
#include "server/record.h"
#include "users/site.h"

#include <stdlib.h>
#include <string.h>

enum {
	JUDGED_MAX = 64,   /* logins of a network that another server judges at a time */
	JUDGED_FAILED = 2, /* where some have failed not long ago */
};

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

/* The fields of OPEN_REMOTE about the app password. */
struct open_as {
	char label[APP_LABEL_MAX + 1]; /* "": the main password */
	bool no_delete;
};

static struct open_as as_of(const struct app_password *app)
{
	struct open_as as = {.no_delete = app && app->no_delete};

	if (app)
		memcpy(as.label, app->label, sizeof(as.label));
	return as;
}

static int send_open(struct auth_session *session, const struct user *user,
		     const struct open_as *as, pop3_span secret, bool judge)
{
	struct auth *auth = session->front->child->state;
	struct peer *connector = find_connector(auth, user);
	struct ipc_open_remote message = {.front = session->front->instance,
					  .session = session->node.key,
					  .ticket = session->ticket,
					  .remote = user->remote_section - 1,
					  .no_delete = as->no_delete,
					  .login_delay =
						  site_login_delay(auth->child->config, user),
					  .judge = judge};
	pop3_span texts[] = {span_of(user->name), span_of(as->label), span_of(user->remote_user),
			     secret};

	if (!connector || secret.size > IPC_REMOTE_SECRET_MAX ||
	    auth_pass_on(connector, IPC_OPEN_REMOTE, &message, texts, 4) < 0)
		return -1;
	*(judge ? &session->judging : &session->keeper) = connector->instance;
	auth_slow(session); /* it waits for a network */
	return 0;
}

static void ungrant(struct auth_session *session, enum reason reason)
{
	auth_unopened(session);
	auth_logout(session);
	auth_deny(session, reason, 0);
}

/* ---- access tokens ---- */

struct remote_access {
	struct auth_session *session;
	struct ask *ask;
	struct user user;
	struct open_as as;
};

static void free_access(struct remote_access *access)
{
	wipe(access, sizeof(*access));
	free(access);
}

static void say_no_token(const struct auth_session *session, const struct user *user,
			 const struct finding *finding)
{
	struct record record;

	record_begin(&record, RECORD_LOGIN_FAILED, session->ip, session->front->instance,
		     session->node.key);
	record_text(&record, RECORD_KEY_USER, span_of(user->name));
	record_words(&record, RECORD_KEY_REASON,
		     !finding || finding->status == USERS_DOWN
			     ? "no access token: the database of grants is down"
			     : "no access token: the user has to consent: valija remote login");
	record_write(&record);
}

static void took_token(void *context, struct finding *finding)
{
	struct remote_access *access = context;
	struct auth_session *session = access->session;

	session->access = NULL;
	if (!finding || !finding->access) {
		say_no_token(session, &access->user, finding);
		ungrant(session, !finding || finding->status == USERS_DOWN ? REASON_LOGIN_DOWN
									   : REASON_MAILDROP_PERM);
	} else if (send_open(session, &access->user, &access->as, span_of(finding->access), false) <
		   0) {
		ungrant(session, REASON_STORE_DOWN);
	}
	findings_free(finding);
	free_access(access);
}

static int ask_token(struct auth_session *session, const struct user *user,
		     const struct open_as *as, const struct config_database *database)
{
	struct auth *auth = session->front->child->state;
	struct remote_access *access = calloc(1, sizeof(*access));
	struct ask_question question = {.purpose = LOOKUP_LOGIN,
					.names = {span_of(user->name)},
					.name_count = 1,
					.access = database,
					.tls = session->tls != TLS_NONE,
					.loopback = limits_is_loopback(session->address),
					.class = QUEUE_CALM,
					.front = session->front->instance,
					.session = session->node.key};

	if (!access)
		return -1;
	memcpy(question.address, session->ip, sizeof(question.address));
	memcpy(question.network, limits_network(session->address), sizeof(question.network));
	access->session = session;
	access->user = *user;
	access->as = *as;
	access->ask = databases_ask(auth->databases, &question, took_token, access);
	if (!access->ask) {
		free_access(access);
		return -1;
	}
	session->access = access;
	auth_slow(session);
	return 0;
}

/* ---- opening ---- */

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
	const struct config *config = session->front->child->config;
	const struct config_remote *remote = &config->remotes[user->remote_section - 1];
	const struct open_as as = as_of(app);
	uint64_t instance = session->judging;
	int sent;

	if (instance) {
		auth_judging_over(session);
		session->keeper = instance;
		send_go(session, instance, REASON_OK, site_login_delay(config, user));
		return;
	}
	if (remote->credentials == CONFIG_REMOTE_OAUTH)
		sent = ask_token(session, user, &as, &config->databases[remote->database]);
	else
		sent = send_open(session, user, &as, span_of(user->remote_password), false);
	if (sent < 0)
		ungrant(session, REASON_STORE_DOWN);
}

enum auth_ask_remote auth_ask_remote(struct auth_session *session)
{
	const struct open_as as = as_of(NULL);
	const struct auth *auth = session->front->child->state;

	/* it is our address that the other server bans */
	if (*auth_judged(session) >=
	    (limits_has_failures(session->address, loop_now(auth->child->loop)) ? JUDGED_FAILED
										: JUDGED_MAX))
		return ASK_BUSY;
	if (send_open(session, login_user(session->login), &as, login_password(session->login),
		      true) < 0)
		return ASK_NONE;
	++*auth_judged(session);
	return ASK_SENT;
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
	if (session->access) {
		databases_cancel(session->access->ask);
		free_access(session->access);
		session->access = NULL;
	}
	if (session->judging)
		send_go(session, session->judging, REASON_STORE_DOWN, 0);
	auth_judging_over(session);
}
