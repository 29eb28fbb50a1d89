/* See keeper.h. */
#include "server/keeper/keeper.h"

#include "maildrop/syscalls.h"
#include "maildrop/upkeep.h"
#include "server/counters.h"
#include "server/keeper/body.h"
#include "server/keeper/delivery.h"
#include "server/keeper/guard.h"
#include "server/keeper/hurry.h"
#include "server/keeper/idle.h"
#include "server/keeper/location.h"
#include "server/keeper/nodes.h"
#include "server/keeper/opening.h"
#include "server/keeper/session.h"
#include "server/keeper/takeover.h"
#include "server/keeper/usage.h"

#include "base/descriptor.h"
#include "base/log.h"
#include "base/text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

_Static_assert(MAIL_ROOT_UNMARKED + 1 == IPC_ROOT_STATES, "DIRECTORY knows every state of a root");
_Static_assert(CONFIG_ROOTS_MAX == IPC_ROOTS_MAX, "messages know every root");

enum {
	THREADS = 4,       /* where the configuration names no number */
	CONNECT_MS = 5000, /* a cluster is waited for so long at the start */
};

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

void keeper_peer_up(struct peer *peer)
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

void keeper_peer_gone(struct peer *peer)
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
	if (peer->role == ROLE_AUTH)
		keeper_judge_gone(peer);
	keeper_check_drained(peer->child->state, peer);
}

/* A request of a session that has ended, or never existed, gets its answer, too. */
static void answer_gone(struct peer *front, enum ipc_type type, uint64_t number)
{
	struct ipc_gone message = {.session = number, .reason = REASON_MAILDROP_TEMP};

	if (type == IPC_FETCH || type == IPC_READ_SLICE || type == IPC_READ_STREAM ||
	    type == IPC_COMMIT)
		peer_send(front, IPC_GONE, &message);
}

void keeper_front_message(struct peer *front, enum ipc_type type, const void *message)
{
	/* every message about a session has the session's number behind the head */
	uint64_t number = ((const struct ipc_session *)message)->session;
	struct keeper_session *session = keeper_session_find(front, number);

	if (!session)
		answer_gone(front, type, number);
	else if (type == IPC_CLOSE)
		keeper_close(session);
	else if (!keeper_session_ready(session))
		return;
	else if (type == IPC_FETCH)
		keeper_fetch(session, message);
	else if (type == IPC_READ_SLICE)
		keeper_slice(session, message);
	else if (type == IPC_READ_STREAM)
		keeper_stream(session, message);
	else if (type == IPC_DELETE)
		keeper_delete(session, message);
	else if (type == IPC_COMMIT)
		keeper_commit(session, message);
	else if (type == IPC_INDEX_WRONG)
		keeper_index_wrong(session);
	else if (type == IPC_BODY_WRONG)
		keeper_body_wrong(session, message);
	else if (type == IPC_HOLDER)
		keeper_holder(session, message);
}

static void auth_message(struct peer *auth, enum ipc_type type, const void *message)
{
	auth->passed++;
	if (type == IPC_OPEN || type == IPC_OPEN_MIGRATES)
		keeper_open(auth, message, type == IPC_OPEN_MIGRATES);
	else if (type == IPC_RCPT_OPEN)
		keeper_recipient(auth, message);
	else if (type == IPC_USAGE)
		keeper_usage(auth, message);
	else if (type == IPC_HURRY)
		keeper_hurry(auth, message);
	else if (type == IPC_NODES)
		keeper_nodes_tell(auth->child->state, message);
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
		keeper_front_message(peer, type, message);
}

void keeper_drain(struct child *child, uint64_t ms)
{
	(void)ms;
	keeper_places_hurry(child->state);
	keeper_check_drained(child->state, NULL);
}

static struct keeper *root_struct(struct child *child)
{
	bool is_new;
	struct keeper *keeper = child_state(child, sizeof(*keeper), &is_new);

	if (!is_new)
		return keeper;
	keeper->child = child;
	for (uint32_t i = 0; i < CONFIG_ROOTS_MAX; i++) {
		keeper->roots[i] = (struct keeper_root){.index = i, .fd = -1, .state_fd = -1};
		keeper_locker_init(&keeper->roots[i].locker);
	}
	return keeper;
}

static void take_root(struct keeper *keeper, const struct ipc_directory *message, int *fd)
{
	struct keeper_root *root = &keeper->roots[message->root];

	close_fd(&root->fd);
	root->fd = *fd;
	*fd = -1;
	atomic_init(&root->root.state, (enum mail_root_state)message->state);
	(void)span_copy(ipc_text(message, 0), root->root.mark, sizeof(root->root.mark));
	root->root.path = keeper->child->config->roots[message->root].path;
}

static void take_state_folder(struct keeper *keeper, const struct ipc_root_fd *message, int *fd)
{
	struct keeper_root *root = &keeper->roots[message->root];

	close_fd(&root->state_fd);
	root->state_fd = *fd;
	*fd = -1;
}

/* May come before the store is there. */
static void take_away(struct keeper *keeper, const struct ipc_root *message)
{
	struct keeper_root *root = &keeper->roots[message->root];

	root->away = message->away != 0;
	if (root->store)
		store_away(root->store, root->away);
}

static void take_answer(struct keeper *keeper, const struct ipc_location_answer *message)
{
	if (!keeper_guard_answer(keeper, message))
		keeper_location_answer(keeper, message);
}

static void monitor_message(struct child *child, enum ipc_type type, const void *message, int *fds)
{
	struct keeper *keeper = root_struct(child);

	if (type == IPC_OWNER)
		keeper_take_owner(keeper, message);
	else if (type == IPC_LEAVE)
		keeper_asked_to_leave(keeper);
	else if (type == IPC_LOCATION_ANSWER)
		take_answer(keeper, message);
	else if (type == IPC_TAKE)
		keeper_take(keeper, message);
	else if (type == IPC_TAKEN)
		keeper_taken(keeper, message);
	else if (type == IPC_NODES_BAN)
		keeper_nodes_tell_ban(keeper, message);
	else if (type == IPC_ROOT_AWAY)
		take_away(keeper, message);
	else if (type == IPC_STATE_FOLDER)
		take_state_folder(keeper, message, &fds[0]);
	else if (type == IPC_LOCKER)
		keeper_locker_take(
			&keeper->roots[((const struct ipc_root_fd *)message)->root].locker,
			&fds[0]);
	else if (type == IPC_DIRECTORY)
		take_root(keeper, message, &fds[0]);
}

static int took(int result, uint64_t since)
{
	int error = errno;

	counters_took(COUNTER_FLUSH_SECONDS, since);
	errno = error;
	return result;
}

static int counted_fsync(int fd)
{
	uint64_t since = counters_clock();

	return took(maildrop_kernel.fsync(fd), since);
}

static int counted_fdatasync(int fd)
{
	uint64_t since = counters_clock();

	return took(maildrop_kernel.fdatasync(fd), since);
}

static struct maildrop_retention retention_of(const struct config *config, struct keeper_root *root)
{
	struct maildrop_retention retention = {.keep_seconds = config->keep_deleted_seconds,
					       .keep_octets = config->keep_octets,
					       .delete_seconds = config->delete_after_seconds};

	/* without memory for it there is upkeep only where something was deleted */
	if ((retention.keep_seconds || retention.delete_seconds) && !root->upkeep)
		root->upkeep = calloc(1, sizeof(*root->upkeep));
	retention.upkeep = root->upkeep;
	return retention;
}

/* They live as long as the process. */
static const struct rados_settings *rados_settings(struct keeper *keeper)
{
	const struct config *config = keeper->child->config;

	keeper->rados = (struct rados_settings){
		.conf = config->rados_conf,
		.pool = config->rados_pool,
		.bodies = *config->rados_bodies ? config->rados_bodies : config->rados_pool,
		.user = config->rados_user,
		.single_copy = config->rados_single_copy,
		.connect_ms = CONNECT_MS};
	return &keeper->rados;
}

/* Opens the store of a mail folder. */
static int open_store(struct keeper *keeper, struct keeper_root *root, struct err *err)
{
	const struct config *config = keeper->child->config;
	enum store_kind kind = (enum store_kind)config->roots[root->index].store;

	root->keeper = keeper;
	keeper_guard_init(&root->guard);
	root->settings = (struct maildrop_settings){.store_crlf = config->store_crlf,
						    .syscalls = &keeper->syscalls,
						    .host_name = config->host_name,
						    .root = &root->root,
						    .retention = retention_of(config, root),
						    .guard = &root->guard.guard,
						    .note = keeper_note,
						    .note_index = keeper_note_index,
						    .note_context = &keeper->notes};
	if (root->state_fd >= 0)
		root->settings.state_fd = root->state_fd;
	if (kind == STORE_MBOX)
		root->settings.locker = &root->locker.locker;
	if (kind == STORE_RADOS)
		root->settings.rados = rados_settings(keeper);
	root->store = store_create(kind, &keeper->host, &root->settings, root->fd, err);
	if (!root->store)
		return -1;
	store_away(root->store, root->away);
	return 0;
}

static int open_stores(struct keeper *keeper, struct err *err)
{
	const struct config *config = keeper->child->config;

	keeper->syscalls = maildrop_kernel;
	keeper->syscalls.fsync = counted_fsync;
	keeper->syscalls.fdatasync = counted_fdatasync;
	keeper_notes_init(&keeper->notes);
	keeper->host.loop = keeper->child->loop;
	keeper->host.event = keeper_store_event;
	keeper->host.asked = keeper_store_asked;
	keeper->host.told = keeper_store_told;
	keeper->host.context = keeper;
	keeper->host.prove = keeper_guard_prove;
	keeper->host.threads = config->keeper_threads ? config->keeper_threads : THREADS;
	for (uint32_t i = 0; i < config->root_count; i++)
		if (open_store(keeper, &keeper->roots[i], err) < 0)
			return -1;
	return 0;
}

/* Of a program whose store reaches out of this machine; NULL: of all others. */
static keeper_reach *reach;

void keeper_set_reach(keeper_reach *to)
{
	reach = to;
}

static void add_paths(const struct keeper_root *root, struct sandbox *sandbox)
{
	const int access = reach ? SANDBOX_READ : SANDBOX_READ | SANDBOX_WRITE;

	sandbox->paths[sandbox->path_count++] = (struct sandbox_path){root->fd, access};
	if (root->state_fd >= 0)
		sandbox->paths[sandbox->path_count++] =
			(struct sandbox_path){root->state_fd, access};
}

static int start(struct child *child, struct err *err)
{
	struct keeper *keeper = root_struct(child);
	struct sandbox sandbox;

	for (uint32_t i = 0; i < child->config->root_count; i++)
		if (keeper->roots[i].fd < 0)
			return err_set(err, EX_SOFTWARE, "the monitor gave no mail directory");
	table_init(&keeper->places);
	table_init(&keeper->questions);
	table_init(&keeper->proofs);
	table_init(&keeper->takes);
	keeper_opening_init(keeper);
	if (keeper_find_owner(keeper, err) < 0)
		return -1;
	child_sandbox(child, SANDBOX_KEEPER, &sandbox);
	for (uint32_t i = 0; i < child->config->root_count; i++)
		add_paths(&keeper->roots[i], &sandbox);
	if (reach && reach(child->config, &sandbox, err) < 0)
		return -1;
	if (sandbox_enter(&sandbox, err) < 0 || open_stores(keeper, err) < 0)
		return -1;
	keeper->scratch = keeper_body_scratch();
	keeper_idle_begin(keeper);
	return keeper->scratch ? 0 : err_set(err, EX_OSERR, "out of memory");
}

const struct child_role keeper_role = {
	.role = ROLE_KEEPER,
	.monitor_message = monitor_message,
	.start = start,
	.peer_up = keeper_peer_up,
	.peer_gone = keeper_peer_gone,
	.peer_message = peer_message,
	.drain = keeper_drain,
	.idle = keeper_idle,
};
