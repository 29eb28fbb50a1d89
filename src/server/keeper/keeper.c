/* See keeper.h. */
#include "server/keeper/keeper.h"

#include "maildrop/maildir/maildir.h"
#include "server/keeper/body.h"
#include "server/keeper/delivery.h"
#include "server/keeper/idle.h"
#include "server/keeper/location.h"
#include "server/keeper/session.h"

#include "base/log.h"
#include "base/text.h"

#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

_Static_assert(MAIL_ROOT_UNMARKED + 1 == IPC_ROOT_STATES, "DIRECTORY knows every state of a root");

#define JOBS_MAX (1u << 20)

/* Makes the memory for bodies. A front without an arena gets bodies in packets. */
static struct arena *share_arena(struct peer *front)
{
	struct ipc_arena message;
	int fd;
	struct arena *arena = arena_create(&fd);

	if (!arena)
		return NULL;
	ipc_send_fds(&front->chan, IPC_ARENA, &message, &fd, 1);
	close(fd);
	return arena;
}

static void peer_up(struct peer *peer)
{
	struct keeper_front *front;

	if (peer->role == ROLE_AUTH)
		return;
	front = calloc(1, sizeof(*front));
	if (!front) {
		peer_break(peer, "out of memory");
		return;
	}
	table_init(&front->sessions);
	table_init(&front->transactions);
	front->arena = peer->role == ROLE_FRONT ? share_arena(peer) : NULL;
	peer->data = front;
}

static void peer_gone(struct peer *peer)
{
	struct keeper_front *front = peer->data;

	if (front) {
		keeper_sessions_end(peer);
		keeper_transactions_end(peer);
		table_finish(&front->sessions);
		table_finish(&front->transactions);
		arena_release(front->arena);
		free(front);
	}
	keeper_check_drained(peer->child->state, peer);
}

/* A POP3 front's message about a session. A session that is not found has ended, or never
 * existed. */
static void session_message(struct peer *front, enum ipc_type type, const void *message)
{
	/* every message about a session has the session's number behind the head */
	uint64_t number = ((const struct ipc_session *)message)->session;
	struct keeper_session *session = keeper_session_find(front, number);

	if (!session)
		return;
	if (type == IPC_CLOSE)
		keeper_close(session);
	else if (!keeper_session_ready(session))
		return;
	else if (type == IPC_FETCH)
		keeper_fetch(session, message);
	else if (type == IPC_READ_SLICE)
		keeper_slice(session, message);
	else if (type == IPC_DELETE)
		keeper_delete(session, message);
	else if (type == IPC_COMMIT)
		keeper_commit(session, message);
	else if (type == IPC_INDEX_WRONG)
		keeper_index_wrong(session);
	else if (type == IPC_BODY_WRONG)
		keeper_body_wrong(session, message);
}

static void auth_message(struct peer *auth, enum ipc_type type, const void *message)
{
	auth->passed++;
	if (type == IPC_OPEN)
		keeper_open(auth, message);
	else if (type == IPC_RCPT_OPEN)
		keeper_recipient(auth, message);
}

static void leave(struct peer *peer)
{
	if (peer->role == ROLE_AUTH)
		keeper_may_leave(peer);
	else
		peer_break(peer, "it is not auth, but ends a keeper");
}

static void peer_message(struct peer *peer, enum ipc_type type, const void *message, int *fds)
{
	if (type == IPC_LEAVE)
		leave(peer);
	else if (peer->role == ROLE_AUTH)
		auth_message(peer, type, message);
	else if (type == IPC_DELIVER)
		keeper_deliver(peer, message, &fds[0]);
	else if (type == IPC_FORGET)
		keeper_forget(peer, message);
	else
		session_message(peer, type, message);
}

static void drain(struct child *child, uint64_t ms)
{
	(void)ms;
	keeper_check_drained(child->state, NULL);
}

static struct keeper *root_struct(struct child *child)
{
	struct keeper *keeper = child->state;

	if (keeper)
		return keeper;
	keeper = calloc(1, sizeof(*keeper));
	if (!keeper)
		abort();
	keeper->child = child;
	keeper->mail_fd = -1;
	child->state = keeper;
	return keeper;
}

static void monitor_message(struct child *child, enum ipc_type type, const void *message, int *fds)
{
	struct keeper *keeper = root_struct(child);
	const struct ipc_directory *directory = message;

	if (type == IPC_OWNER)
		keeper_take_owner(keeper, message);
	else if (type == IPC_LEAVE)
		keeper_asked_to_leave(keeper);
	else if (type == IPC_LOCATION_ANSWER)
		keeper_location_answer(keeper, message);
	else if (type == IPC_ROOT_AWAY)
		atomic_store(&keeper->mail_away, ((const struct ipc_root *)message)->away != 0);
	if (type != IPC_DIRECTORY)
		return;
	keeper->mail_fd = fds[0];
	fds[0] = -1;
	atomic_init(&keeper->root.state, (enum mail_root_state)directory->state);
	(void)span_copy(ipc_text(directory, 0), keeper->root.mark, sizeof(keeper->root.mark));
	keeper->root.path = child->config->mail;
	keeper->settings.root = &keeper->root;
}

static int start(struct child *child, struct err *err)
{
	struct keeper *keeper = root_struct(child);
	struct sandbox sandbox;

	if (keeper->mail_fd < 0)
		return err_set(err, EX_SOFTWARE, "the monitor gave no mail directory");
	keeper->settings.driver = &maildir_driver;
	keeper->settings.store_crlf = child->config->store_crlf;
	keeper->settings.host_name = child->config->host_name;
	keeper_notes_init(&keeper->notes);
	keeper->settings.note = keeper_note;
	keeper->settings.note_index = keeper_note_index;
	keeper->settings.note_context = &keeper->notes;
	keeper->settings.local = maildrop_is_local(keeper->mail_fd);
	table_init(&keeper->lanes);
	keeper->expire = keeper_sessions_expire;
	table_init(&keeper->questions);
	if (keeper_find_owner(keeper, err) < 0)
		return -1;
	child_sandbox(child, SANDBOX_KEEPER, &sandbox);
	sandbox.paths[sandbox.path_count++] =
		(struct sandbox_path){keeper->mail_fd, SANDBOX_READ | SANDBOX_WRITE};
	if (sandbox_enter(&sandbox, err) < 0)
		return -1;
	keeper->workers = workers_create(
		child->loop, child->config->keeper_threads ? child->config->keeper_threads : 4, 0,
		JOBS_MAX, err);
	keeper->scratch = keeper_body_scratch();
	keeper_idle_begin(keeper);
	return keeper->workers && keeper->scratch ? 0 : -1;
}

const struct child_role keeper_role = {
	.role = ROLE_KEEPER,
	.monitor_message = monitor_message,
	.start = start,
	.peer_up = peer_up,
	.peer_gone = peer_gone,
	.peer_message = peer_message,
	.drain = drain,
	.idle = keeper_idle,
};
