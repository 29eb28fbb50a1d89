/*
 * The choice of a keeper for a maildrop. The keeper runs as the owner of the mail, and is always
 * the same one for a user, so that one process decides whether a maildrop is in use. Mail of
 * another owner than the mail root's gets a keeper of its own, which the monitor starts on demand.
 * On auth's loop; see auth.h.
 */
#include "server/auth/keepers.h"

#include "base/log.h"
#include "base/text.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum {
	WAITING_MAX = 1024,
};

static struct peer *find_keeper(const struct auth *auth, uint32_t uid, uint64_t hash)
{
	for (struct peer *peer = auth->child->peers; peer; peer = peer->next)
		if (peer->role == ROLE_KEEPER && peer->uid == uid && peer->group_size &&
		    peer->index == hash % peer->group_size)
			return peer;
	return NULL;
}

static bool any_keeper(const struct auth *auth, uint32_t uid)
{
	for (struct peer *peer = auth->child->peers; peer; peer = peer->next)
		if (peer->role == ROLE_KEEPER && peer->uid == uid)
			return true;
	return false;
}

enum auth_keeper_found auth_keeper(struct auth *auth, const char *home, struct peer **ret,
				   uint32_t *ret_uid)
{
	struct ipc_owner wanted = {.uid = (uint32_t)auth->child->uid};
	uint64_t hash = hash_everywhere(home, strlen(home)); /* a restarted auth chooses the same */
	struct stat st;

	*ret_uid = 0;
	if (!auth->child->change_ids) { /* the monitor is not root: all processes share one uid */
		for (struct peer *peer = auth->child->peers; peer; peer = peer->next)
			if (peer->role == ROLE_KEEPER)
				*ret_uid = peer->uid;
	} else if ((fstatat(auth->mail_fd, home, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		    S_ISDIR(st.st_mode)) ||
		   fstat(auth->mail_fd, &st) == 0) { /* symbolic links are never followed */
		*ret_uid = wanted.uid = st.st_uid;
		wanted.gid = st.st_gid;
	}
	*ret = find_keeper(auth, *ret_uid, hash);
	if (*ret)
		return KEEPER_FOUND;
	if (!auth->child->change_ids || any_keeper(auth, *ret_uid))
		return KEEPER_NONE; /* the keeper is being restarted */
	return ipc_send(&auth->child->monitor, IPC_KEEPER_WANTED, &wanted) < 0 ? KEEPER_NONE
									       : KEEPER_STARTING;
}

static void ungrant(struct auth_session *session)
{
	auth_logout(session);
	auth_deny(session, REASON_STORE_DOWN, 0);
}

static void send_open(struct auth_session *session, struct peer *keeper, const char *name,
		      const char *home)
{
	struct ipc_open message = {.front = session->front->instance,
				   .session = session->node.key,
				   .ticket = session->ticket};
	pop3_span texts[] = {span_of(name), span_of(home)};

	session->keeper = keeper->instance;
	if (ipc_send_texts(&keeper->chan, IPC_OPEN, &message, texts, 2) < 0)
		ungrant(session);
}

struct waiting_login {
	struct auth_waiting waiting;
	struct user user;
};

static int wait_for_keeper(struct auth *auth, struct auth_session *session, const struct user *user,
			   uint32_t uid)
{
	struct auth_waiting **at = &auth->waiting;
	struct waiting_login *wait;
	int n = 0;

	for (; *at; at = &(*at)->next)
		if (++n > WAITING_MAX)
			return -1;
	wait = calloc(1, sizeof(*wait));
	if (!wait)
		return -1;
	wait->waiting =
		(struct auth_waiting){NULL, session->front->instance, session->node.key, uid};
	wait->user = *user;
	*at = &wait->waiting;
	return 0;
}

void auth_open(struct auth_session *session, const struct user *user)
{
	struct auth *auth = session->front->child->state;
	struct peer *keeper;
	uint32_t uid;

	switch (auth_keeper(auth, user_home(user), &keeper, &uid)) {
	case KEEPER_FOUND:
		send_open(session, keeper, user->name, user_home(user));
		return;
	case KEEPER_STARTING:
		if (wait_for_keeper(auth, session, user, uid) == 0)
			return;
		break;
	case KEEPER_NONE:
		break;
	}
	ungrant(session);
}

static struct auth_session *find_waiting(struct auth *auth, const struct auth_waiting *waiting)
{
	struct peer *front = child_peer(auth->child, ROLE_FRONT, waiting->front);
	struct table_node *node =
		front && front->data ? table_find(front->data, waiting->session) : NULL;

	return node ? CONTAINER(node, struct auth_session, node) : NULL;
}

/* Takes the logins that wait for uid off the list; opens or refuses each. */
static void wake_waiting(struct auth *auth, uint32_t uid, bool refused)
{
	struct auth_waiting **at = &auth->waiting;

	while (*at) {
		struct auth_waiting *waiting = *at;
		struct waiting_login *wait = (struct waiting_login *)waiting;
		struct auth_session *session;

		if (waiting->uid != uid) {
			at = &waiting->next;
			continue;
		}
		*at = waiting->next;
		session = find_waiting(auth, waiting);
		if (session && session->granted && refused)
			ungrant(session);
		else if (session && session->granted)
			auth_open(session, &wait->user);
		free(wait);
	}
}

void auth_keeper_up(struct auth *auth, struct peer *keeper)
{
	wake_waiting(auth, keeper->uid, false);
}

void auth_keeper_refused(struct auth *auth, uint32_t uid)
{
	wake_waiting(auth, uid, true);
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

	for (struct peer *peer = auth->child->peers; peer; peer = peer->next) {
		if (peer->role != ROLE_KEEPER && peer->data)
			table_each(peer->data, lose_keeper, &gone);
		/* auth keeps no list of the recipients that it passed on */
		if (peer->role == ROLE_LMTP)
			peer_send(peer, IPC_KEEPER_GONE, &message);
	}
}
