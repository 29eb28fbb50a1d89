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

struct peer *auth_find_connector(const struct auth *auth, uint64_t hash)
{
	for (struct peer *peer = auth->child->peers; peer; peer = peer->next)
		if (peer->role == ROLE_CONNECTOR && peer->group_size &&
		    peer->index == hash % peer->group_size)
			return peer;
	return NULL;
}

/* The fields of OPEN_REMOTE about the app password; and what it opens. */
struct open_as {
	char label[APP_LABEL_MAX + 1]; /* "": the main password */
	bool no_delete;
	enum ipc_part part;
};

static struct open_as as_of(const struct app_password *app)
{
	struct open_as as = {.no_delete = app && app->no_delete};

	if (app)
		memcpy(as.label, app->label, sizeof(as.label));
	return as;
}

/* How a refusal by the other server comes back. */
enum open_judge {
	OPEN_TOLD,         /* to the front */
	OPEN_JUDGED,       /* by VERDICT; auth says what it means */
	OPEN_JUDGED_LOGGED /* by VERDICT, and the connector logs that server's words */
};

/* A restarted auth chooses the same. */
static struct peer *connector_of(const struct auth *auth, const struct user *user)
{
	return auth_find_connector(auth, hash_everywhere(user->name, strlen(user->name)));
}

/* The instance of the connector that was asked, 0: none. A user whose mail moves here is asked
 * about as one whose mail is there; what copies it may have that maildrop, and gives way. */
static uint64_t send_open(struct auth_session *session, const struct user *user,
			  const struct open_as *as, pop3_span secret, enum open_judge judge)
{
	struct auth *auth = session->front->child->state;
	struct peer *connector = connector_of(auth, user);
	uint32_t section = user->remote_section ? user->remote_section : user->migrate_section;
	struct ipc_open_remote message = {.front = session->front->instance,
					  .session = session->node.key,
					  .ticket = session->ticket,
					  .remote = section - 1,
					  .no_delete = as->no_delete,
					  .part = as->part,
					  .login_delay =
						  site_login_delay(auth->child->config, user),
					  .judge = judge,
					  .patient = !user->remote_section};
	pop3_span texts[] = {span_of(user->name), span_of(as->label), span_of(user->remote_user),
			     secret};

	if (!connector || secret.size > IPC_REMOTE_SECRET_MAX ||
	    auth_pass_on(connector, IPC_OPEN_REMOTE, &message, texts, 4) < 0)
		return 0;
	auth_slow(session); /* it waits for a network */
	return connector->instance;
}

/* The front gets that part of the maildrop. */
static void send_go(const struct auth_session *session, uint64_t connector, const struct user *user,
		    enum ipc_part part)
{
	struct ipc_verdict message = {
		.front = session->front->instance,
		.session = session->node.key,
		.ticket = session->ticket,
		.part = part,
		.login_delay = site_login_delay(session->front->child->config, user)};
	struct peer *peer = child_peer(session->front->child, ROLE_CONNECTOR, connector);

	if (peer)
		peer_send(peer, IPC_GO, &message);
}

static void ungrant(struct auth_session *session, enum reason reason)
{
	auth_unopened(session);
	auth_logout(session);
	auth_deny(session, reason, 0);
}

/* ---- access tokens ---- */

/* A token that is good by the clock may have been taken back: one that the other server refuses is
 * refreshed, once a login. */
struct remote_access {
	struct auth_session *session;
	struct ask *ask; /* NULL: the connector is asked */
	struct user user;
	struct open_as as;
	char *token;        /* that was sent, secret */
	uint64_t connector; /* whose VERDICT is waited for, 0: none */
	bool refreshed;     /* it was refused before */
};

static void drop_token(struct remote_access *access)
{
	if (access->token)
		wipe(access->token, strlen(access->token));
	free(access->token);
	access->token = NULL;
}

static void end_access(struct auth_session *session)
{
	struct remote_access *access = session->access;

	session->access = NULL;
	drop_token(access);
	wipe(access, sizeof(*access));
	free(access);
}

static void say_failed(const struct auth_session *session, const char *why)
{
	struct record record;

	record_begin(&record, RECORD_LOGIN_FAILED, session->ip, session->front->instance,
		     session->node.key);
	record_text(&record, RECORD_KEY_USER, span_of(session->access->user.name));
	record_words(&record, RECORD_KEY_REASON, why);
	record_write(&record);
}

static void no_maildrop(struct auth_session *session, enum reason reason)
{
	end_access(session);
	ungrant(session, reason);
}

static void took_token(void *context, struct finding *finding)
{
	struct remote_access *access = context;
	struct auth_session *session = access->session;

	access->ask = NULL;
	if (!finding || finding->status == USERS_DOWN) {
		say_failed(session, "no access token: the database of grants is down");
		no_maildrop(session, REASON_LOGIN_DOWN);
	} else if (!finding->access) {
		say_failed(session,
			   "no access token: the user has to consent: valija remote login");
		no_maildrop(session, REASON_MAILDROP_PERM);
	} else if (access->refreshed && strcmp(finding->access, access->token) == 0) {
		say_failed(session, "the other server refuses an access token that is new");
		no_maildrop(session, REASON_MAILDROP_PERM);
	} else {
		drop_token(access);
		access->token = finding->access;
		finding->access = NULL;
		access->connector =
			send_open(session, &access->user, &access->as, span_of(access->token),
				  access->refreshed ? OPEN_JUDGED_LOGGED : OPEN_JUDGED);
		if (!access->connector)
			no_maildrop(session, REASON_STORE_DOWN);
	}
	findings_free(finding);
}

static int ask_token(struct auth_session *session)
{
	struct auth *auth = session->front->child->state;
	const struct config *config = session->front->child->config;
	struct remote_access *access = session->access;
	struct ask_question question = {
		.purpose = LOOKUP_LOGIN,
		.names = {span_of(access->user.name)},
		.name_count = 1,
		.token = access->token ? span_of(access->token) : (pop3_span){0},
		.access = &config->databases[config->remotes[access->user.remote_section - 1]
						     .database],
		.tls = session->tls != TLS_NONE,
		.loopback = limits_is_loopback(session->address),
		.class = QUEUE_CALM,
		.front = session->front->instance,
		.session = session->node.key};

	memcpy(question.address, session->ip, sizeof(question.address));
	memcpy(question.network, limits_network(session->address), sizeof(question.network));
	access->connector = 0;
	access->ask = databases_ask(auth->databases, &question, took_token, access);
	return access->ask ? 0 : -1;
}

static void open_with_token(struct auth_session *session, const struct user *user,
			    const struct open_as *as)
{
	struct remote_access *access = calloc(1, sizeof(*access));

	if (!access) {
		ungrant(session, REASON_STORE_DOWN);
		return;
	}
	access->session = session;
	access->user = *user;
	access->as = *as;
	session->access = access;
	if (ask_token(session) < 0)
		no_maildrop(session, REASON_STORE_DOWN);
	else
		auth_slow(session);
}

void auth_token_judged(struct auth_session *session, const struct ipc_verdict *message)
{
	struct remote_access *access = session->access;

	if (message->reason == REASON_OK) {
		session->keeper = access->connector;
		send_go(session, access->connector, &access->user, PART_WHOLE);
		end_access(session);
	} else if (message->reason != REASON_WRONG) {
		no_maildrop(session, (enum reason)message->reason);
	} else if (access->refreshed) {
		say_failed(session, "the other server refuses the access token");
		no_maildrop(session, REASON_MAILDROP_PERM);
	} else {
		access->refreshed = true;
		if (ask_token(session) < 0)
			no_maildrop(session, REASON_STORE_DOWN);
	}
}

/* ---- mail that moves here ---- */

int auth_moving(struct auth_session *session, const struct user *user,
		const struct app_password *app)
{
	auth_moving_over(session);
	session->moving = calloc(1, sizeof(*session->moving));
	if (!session->moving)
		return -1;
	session->moving->user = *user;
	session->moving->user.remote_section = user->migrate_section;
	session->moving->no_delete = app && app->no_delete;
	if (app)
		memcpy(session->moving->label, app->label, sizeof(app->label));
	session->moving->judged = session->judging != 0;
	session->moving->connector = session->judging;
	auth_judging_over(session);
	return 0;
}

/* ---- opening ---- */

/* The login was judged here. */
static void open_judged(struct auth_session *session, const struct user *user,
			const struct open_as *as)
{
	const struct config *config = session->front->child->config;

	if (config->remotes[user->remote_section - 1].credentials == CONFIG_REMOTE_OAUTH) {
		open_with_token(session, user, as);
		return;
	}
	session->keeper = send_open(session, user, as, span_of(user->remote_password), OPEN_TOLD);
	if (!session->keeper)
		ungrant(session, REASON_STORE_DOWN);
}

void auth_open_remote(struct auth_session *session, const struct user *user,
		      const struct app_password *app)
{
	const struct open_as as = as_of(app);
	uint64_t instance = session->judging;

	if (!instance) {
		open_judged(session, user, &as);
		return;
	}
	auth_judging_over(session);
	session->keeper = instance;
	send_go(session, instance, user, PART_WHOLE);
}

/* The session whose keeper answers OPEN_MIGRATES; NULL: nobody waits for that. */
static struct auth_session *find_moving(const struct auth *auth, const struct peer *keeper,
					const struct ipc_verdict *message)
{
	struct peer *front = child_peer(auth->child, ROLE_FRONT, message->front);
	struct table_node *node =
		front && front->data ? table_find(front->data, message->session) : NULL;
	struct auth_session *session = node ? CONTAINER(node, struct auth_session, node) : NULL;

	return session && session->moving && session->granted &&
			       session->keeper == keeper->instance &&
			       session->ticket == message->ticket
		       ? session
		       : NULL; /* the client has gone */
}

/* The other server has it open, or had. */
static void open_moving(struct auth_session *session, const struct auth_moving *moving,
			enum ipc_part part)
{
	struct open_as as = {.no_delete = moving->no_delete, .part = part};

	memcpy(as.label, moving->label, sizeof(as.label));
	session->keeper = moving->connector;
	if (!moving->judged)
		open_judged(session, &moving->user, &as);
	else if (moving->connector)
		send_go(session, moving->connector, &moving->user, part);
	else
		ungrant(session, REASON_STORE_DOWN);
}

void auth_not_here(struct auth *auth, struct peer *keeper, const struct ipc_verdict *message)
{
	struct auth_session *session = find_moving(auth, keeper, message);
	struct auth_moving *moving = session ? session->moving : NULL;

	if (!moving)
		return;
	session->moving = NULL;
	open_moving(session, moving, message->part == PART_HERE ? PART_THERE : PART_WHOLE);
	wipe(moving, sizeof(*moving));
	free(moving);
}

void auth_here(struct auth *auth, struct peer *keeper, const struct ipc_verdict *message)
{
	struct auth_session *session = find_moving(auth, keeper, message);

	if (session)
		auth_moving_over(session);
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
	if (login_user(session->login)->migrate_section)
		auth_hurry(session->front->child->state, login_user(session->login), false);
	session->judging = send_open(session, login_user(session->login), &as,
				     login_password(session->login), OPEN_JUDGED);
	if (!session->judging)
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

	if (session && session->ticket == message->ticket &&
	    (session->judging == connector->instance ||
	     (session->access && session->access->connector == connector->instance)))
		return session;
	no.reason = REASON_STORE_DOWN;
	if (message->reason == REASON_OK)
		peer_send(connector, IPC_GO, &no);
	return NULL;
}

void auth_remote_cancel(struct auth_session *session)
{
	if (session->access) {
		if (session->access->ask)
			databases_cancel(session->access->ask);
		if (session->access->connector)
			auth_close_there(session, session->access->connector);
		end_access(session);
	}
	if (session->judging)
		auth_close_there(session, session->judging);
	auth_judging_over(session);
}

static void lose_connector(struct table_node *node, void *context)
{
	struct auth_session *session = CONTAINER(node, struct auth_session, node);
	const struct peer *connector = context;

	if (session->moving && session->moving->connector == connector->instance) {
		session->moving->connector = 0; /* the mail may be here */
	} else if (session->access && session->access->connector == connector->instance) {
		no_maildrop(session, REASON_STORE_DOWN);
	} else if (session->keeper == connector->instance) {
		ungrant(session, REASON_STORE_DOWN);
	} else if (session->judging == connector->instance) {
		auth_judging_over(session);
		login_destroy(session->login);
		session->login = NULL;
		auth_deny(session, REASON_STORE_DOWN, 0);
	}
}

void auth_connector_gone(const struct auth *auth, const struct peer *connector)
{
	struct peer gone = *connector;

	for (struct peer *peer = auth->child->peers; peer; peer = peer->next)
		if ((peer->role == ROLE_FRONT || peer->role == ROLE_MTA) && peer->data)
			table_each(peer->data, lose_connector, &gone);
}
