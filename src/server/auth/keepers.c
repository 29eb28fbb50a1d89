/*
 * The choice of a keeper for a maildrop. The keeper runs as the owner of the mail, and is always
 * the same one for a user, so that one process decides whether a maildrop is in use. Mail of
 * another owner than the mail root's gets a keeper of its own, which the monitor starts on demand.
 * On auth's loop; see auth.h.
 */
#include "server/auth/keepers.h"

#include "base/log.h"
#include "base/text.h"
#include "users/site.h"

#include <stdlib.h>
#include <string.h>

enum {
	/* logins, and as many recipients, that wait for a keeper: all that several fronts may have
	 * asked for at once */
	WAITING_MAX = 8 * IPC_AUTH_CREDITS,
	WAIT_MS = 30 * 1000, /* for a keeper that is being started, or for room for one */
};

static struct peer *find_keeper(const struct auth *auth, uint32_t uid, uint64_t hash)
{
	for (struct peer *peer = auth->child->peers; peer; peer = peer->next)
		if (peer->role == ROLE_KEEPER && !peer->leaving && peer->uid == uid &&
		    peer->group_size && peer->index == hash % peer->group_size)
			return peer;
	return NULL;
}

static bool any_keeper(const struct auth *auth, uint32_t uid)
{
	for (struct peer *peer = auth->child->peers; peer; peer = peer->next)
		if (peer->role == ROLE_KEEPER && !peer->leaving && peer->uid == uid)
			return true;
	return false;
}

static bool anything_waits(const struct auth *auth, uint64_t key)
{
	const struct auth_waiting *waiting = auth->waiting;

	while (waiting && waiting->key != key)
		waiting = waiting->next;
	return waiting != NULL;
}

/* The monitor answers with a PEER or with KEEPER_REFUSED; it is asked once for all that wait. */
enum auth_keeper_found auth_want_keeper(struct auth *auth, uint32_t uid, const struct user *user)
{
	struct ipc_owner wanted = {.uid = uid, .root = user->root};
	pop3_span text = span_of(user_home(user));

	if (anything_waits(auth, uid) ||
	    ipc_send_texts(&auth->child->monitor, IPC_KEEPER_WANTED, &wanted, &text, 1) == 0)
		return KEEPER_STARTING;
	return KEEPER_NONE;
}

/* The uid that keeps the mail of user. */
static enum homes_answer find_owner(const struct auth *auth, const struct user *user,
				    uint32_t *ret_uid, uint64_t *ret_key)
{
	if (auth->homes)
		return homes_owner(auth->homes, user->root, user_home(user), ret_uid, ret_key);
	for (struct peer *peer = auth->child->peers; peer; peer = peer->next)
		if (peer->role == ROLE_KEEPER)
			*ret_uid = peer->uid;
	return HOMES_KNOWN;
}

enum auth_keeper_found auth_find_keeper(struct auth *auth, const struct user *user,
					struct peer **ret, uint64_t *ret_key)
{
	const char *home = user_home(user);
	/* a restarted auth chooses the same */
	uint64_t hash = hash_everywhere(home, strlen(home)) + user->root;
	uint32_t uid = 0;

	*ret = NULL;
	switch (find_owner(auth, user, &uid, ret_key)) {
	case HOMES_KNOWN:
		if (uid == HOMES_HIDDEN)
			uid = user->has_ids ? user->uid : 0;
		break;
	case HOMES_ASKED:
		return KEEPER_STARTING;
	case HOMES_DOWN:
		return KEEPER_NONE;
	}
	*ret_key = uid;
	*ret = find_keeper(auth, uid, hash);
	if (*ret)
		return KEEPER_FOUND;
	if (!auth->homes || any_keeper(auth, uid))
		return KEEPER_NONE; /* the keeper is being restarted */
	return KEEPER_ABSENT;
}

enum auth_keeper_found auth_keeper(struct auth *auth, const struct user *user, struct peer **ret,
				   uint64_t *ret_key)
{
	enum auth_keeper_found found = auth_find_keeper(auth, user, ret, ret_key);

	return found == KEEPER_ABSENT ? auth_want_keeper(auth, (uint32_t)*ret_key, user) : found;
}

int auth_pass_on(struct peer *keeper, enum ipc_type type, void *message, const pop3_span *texts,
		 unsigned count)
{
	if (ipc_post_texts(&keeper->chan, type, message, texts, count) < 0)
		return -1;
	keeper->passed++;
	return 0;
}

static void ungrant(struct auth_session *session)
{
	auth_unopened(session);
	auth_logout(session);
	auth_deny(session, REASON_STORE_DOWN, 0);
}

/* The fields of OPEN about the app password. */
struct open_as {
	char label[APP_LABEL_MAX + 1]; /* "": the main password */
	bool no_delete;
};

static void send_open(struct auth_session *session, struct peer *keeper, const struct user *user,
		      const struct open_as *as)
{
	struct ipc_open message = {.front = session->front->instance,
				   .session = session->node.key,
				   .ticket = session->ticket,
				   .no_delete = as->no_delete,
				   .root = user->root,
				   .placed = user->placed,
				   .login_delay =
					   site_login_delay(session->front->child->config, user)};
	pop3_span texts[] = {span_of(user->name), span_of(user_home(user)), span_of(as->label)};

	session->keeper = keeper->instance;
	if (auth_pass_on(keeper, user->migrate_section ? IPC_OPEN_MIGRATES : IPC_OPEN, &message,
			 texts, 3) < 0)
		ungrant(session);
}

/* ---- requests that wait for a keeper ---- */

static void expire(struct loop_timer *timer);

int auth_wait(struct auth *auth, struct auth_waiting *waiting, uint64_t key)
{
	uint64_t now = loop_now(auth->child->loop);

	if (!waiting->deadline)
		waiting->deadline = now + WAIT_MS;
	if (auth->waiting_count[waiting->kind] >= WAITING_MAX || waiting->deadline <= now)
		return -1;
	if (!auth->waiting)
		loop_timer_init(&auth->expiry, auth->child->loop, expire, auth);
	if (!auth->waiting || waiting->deadline < auth->waiting_until) {
		auth->waiting_until = waiting->deadline;
		loop_timer_set(&auth->expiry, waiting->deadline - now);
	}
	waiting->next = NULL;
	waiting->key = key;
	*(auth->waiting ? &auth->last_waiting->next : &auth->waiting) = waiting;
	auth->last_waiting = waiting;
	auth->waiting_count[waiting->kind]++;
	return 0;
}

static bool is_due(const struct auth_waiting *waiting, const uint64_t *key, uint64_t now)
{
	return key ? waiting->key == *key : waiting->deadline <= now;
}

/* Takes off the list what waits for key, or, key NULL, what has waited for too long; then wakes
 * each, which may wait anew. */
static void wake_waiting(struct auth *auth, const uint64_t *key, bool refused)
{
	struct auth_waiting **at = &auth->waiting, *due = NULL, **end = &due;
	uint64_t now = loop_now(auth->child->loop);

	auth->last_waiting = NULL;
	while (*at) {
		struct auth_waiting *waiting = *at;

		if (!is_due(waiting, key, now)) {
			auth->last_waiting = waiting;
			at = &waiting->next;
			continue;
		}
		*at = waiting->next;
		auth->waiting_count[waiting->kind]--;
		waiting->next = NULL;
		*end = waiting;
		end = &waiting->next;
	}
	if (!auth->waiting && due)
		loop_timer_cancel(&auth->expiry);
	while (due) {
		struct auth_waiting *waiting = due;

		due = waiting->next;
		waiting->wake(auth, waiting, refused);
	}
}

static void expire(struct loop_timer *timer)
{
	struct auth *auth = timer->context;
	uint64_t first = UINT64_MAX, now;

	wake_waiting(auth, NULL, true);
	now = loop_now(auth->child->loop);
	for (const struct auth_waiting *waiting = auth->waiting; waiting; waiting = waiting->next)
		if (waiting->deadline < first)
			first = waiting->deadline;
	auth->waiting_until = first;
	if (auth->waiting)
		loop_timer_set(timer, first > now ? first - now : 0);
}

struct waiting_login {
	struct auth_waiting waiting;
	uint64_t front, session, ticket;
	struct user user;
	struct open_as as;
};

static struct auth_session *find_session(struct auth *auth, const struct waiting_login *wait)
{
	struct peer *front = child_peer(auth->child, ROLE_FRONT, wait->front);
	struct table_node *node =
		front && front->data ? table_find(front->data, wait->session) : NULL;
	struct auth_session *session = node ? CONTAINER(node, struct auth_session, node) : NULL;

	return session && session->granted && session->ticket == wait->ticket ? session : NULL;
}

static void free_login(struct waiting_login *wait)
{
	explicit_bzero(wait, sizeof(*wait));
	free(wait);
}

/* Opens the maildrop, or waits; takes wait. */
static void open_or_wait(struct auth_session *session, struct waiting_login *wait)
{
	struct auth *auth = session->front->child->state;
	struct peer *keeper;
	uint64_t key;

	switch (auth_keeper(auth, &wait->user, &keeper, &key)) {
	case KEEPER_FOUND:
		send_open(session, keeper, &wait->user, &wait->as);
		break;
	case KEEPER_STARTING:
		if (auth_wait(auth, &wait->waiting, key) == 0) {
			auth_slow(session);
			return;
		}
		ungrant(session);
		break;
	case KEEPER_ABSENT:
	case KEEPER_NONE:
		ungrant(session);
		break;
	}
	free_login(wait);
}

static void wake_login(struct auth *auth, struct auth_waiting *waiting, bool refused)
{
	struct waiting_login *wait = (struct waiting_login *)waiting;
	struct auth_session *session = find_session(auth, wait);

	if (session && !refused) {
		open_or_wait(session, wait);
		return;
	}
	if (session)
		ungrant(session);
	free_login(wait);
}

void auth_open(struct auth_session *session, const struct user *user,
	       const struct app_password *app)
{
	struct open_as as = {.no_delete = app && app->no_delete};
	struct auth *auth = session->front->child->state;
	struct waiting_login *wait;
	struct peer *keeper;
	uint64_t key;

	if (app)
		memcpy(as.label, app->label, sizeof(as.label));
	if (auth_keeper(auth, user, &keeper, &key) == KEEPER_FOUND) {
		send_open(session, keeper, user, &as);
		return;
	}
	wait = calloc(1, sizeof(*wait));
	if (!wait) {
		ungrant(session);
		return;
	}
	wait->waiting.wake = wake_login;
	wait->waiting.kind = WAITING_LOGIN;
	wait->front = session->front->instance;
	wait->session = session->node.key;
	wait->ticket = session->ticket;
	wait->user = *user;
	wait->as = as;
	open_or_wait(session, wait);
}

/* ---- what gives way to a login ---- */

struct waiting_hurry {
	struct auth_waiting waiting;
	struct user user;
	bool start;
};

static void free_hurry(struct waiting_hurry *wait)
{
	explicit_bzero(wait, sizeof(*wait));
	free(wait);
}

static void send_hurry(struct peer *keeper, const struct user *user)
{
	struct ipc_hurry message = {.root = user->root};
	pop3_span home = span_of(user_home(user));

	(void)auth_pass_on(keeper, IPC_HURRY, &message, &home, 1);
}

/* Takes wait. */
static void hurry_or_wait(struct auth *auth, struct waiting_hurry *wait)
{
	enum auth_keeper_found found;
	struct peer *keeper;
	uint64_t key;

	found = wait->start ? auth_keeper(auth, &wait->user, &keeper, &key)
			    : auth_find_keeper(auth, &wait->user, &keeper, &key);
	if (found == KEEPER_FOUND)
		send_hurry(keeper, &wait->user);
	if (found != KEEPER_STARTING || auth_wait(auth, &wait->waiting, key) < 0)
		free_hurry(wait);
}

static void wake_hurry(struct auth *auth, struct auth_waiting *waiting, bool refused)
{
	struct waiting_hurry *wait = (struct waiting_hurry *)waiting;

	if (refused)
		free_hurry(wait);
	else
		hurry_or_wait(auth, wait);
}

void auth_hurry(struct auth *auth, const struct user *user, bool start)
{
	struct waiting_hurry *wait = calloc(1, sizeof(*wait));

	if (!wait)
		return;
	wait->waiting.wake = wake_hurry;
	wait->waiting.kind = WAITING_HURRY;
	wait->user = *user;
	wait->start = start;
	hurry_or_wait(auth, wait);
}

/* ---- keepers come and go ---- */

void auth_keeper_up(struct auth *auth, struct peer *keeper)
{
	uint64_t key = keeper->uid;

	wake_waiting(auth, &key, false);
}

void auth_keeper_refused(struct auth *auth, uint32_t uid)
{
	uint64_t key = uid;

	if (auth->homes)
		homes_forget(auth->homes, uid);
	wake_waiting(auth, &key, true);
}

void auth_home_settled(void *auth, uint64_t key)
{
	wake_waiting(auth, &key, false);
}

void auth_keeper_leaves(struct peer *keeper, const struct ipc_leave *message)
{
	struct ipc_leave yes = {.passed = keeper->passed};

	if (message->passed > keeper->passed) {
		peer_break(keeper, "it took requests that were not sent");
		return;
	}
	if (message->passed < keeper->passed)
		return; /* more are on their way: it is not idle */
	keeper->leaving = ipc_send(&keeper->chan, IPC_LEAVE, &yes) == 0;
}

static void lose_keeper(struct table_node *node, void *context)
{
	struct auth_session *session = CONTAINER(node, struct auth_session, node);
	const struct peer *keeper = context;

	if (session->keeper == keeper->instance)
		ungrant(session);
}

void auth_keeper_gone(struct auth *auth, const struct peer *keeper)
{
	struct ipc_empty message;
	struct peer gone = *keeper;

	if (gone.leaving)
		return; /* it had nothing to do */
	for (struct peer *peer = auth->child->peers; peer; peer = peer->next) {
		if (peer->role != ROLE_KEEPER && peer->data)
			table_each(peer->data, lose_keeper, &gone);
		/* auth keeps no list of the recipients that it passed on */
		if (peer->role == ROLE_LMTP)
			peer_send(peer, IPC_KEEPER_GONE, &message);
	}
}
