/* See briefing.h. Runs in the monitor, as root when that is root: it only sends, and reads nothing
 * that a child wrote. */
#include "server/monitor/briefing.h"

#include "base/log.h"
#include "base/text.h"
#include "server/monitor/bans.h"
#include "server/monitor/generation.h"

#include <string.h>
#include <unistd.h>

static void send_config(const struct briefing *b, struct slot *slot)
{
	struct ipc_config message = {.instance = slot->instance,
				     .role = slot->role,
				     .index = slot->index,
				     .uid = slot->uid,
				     .gid = slot->gid,
				     .change_ids = b->root,
				     .generation = b->generation};

	ipc_send_fds(&slot->chan, IPC_CONFIG, &message, &b->files->config_fd, 1);
}

static void send_counters(struct slot *slot)
{
	struct ipc_empty message;

	if (slot->page)
		ipc_send_fds(&slot->chan, IPC_COUNTERS, &message, &slot->page->fd, 1);
}

static void send_recorder(struct slot *slot)
{
	struct ipc_empty message;

	if (slot->page && slot->page->ring.fd >= 0)
		ipc_send_fds(&slot->chan, IPC_RECORDER, &message, &slot->page->ring.fd, 1);
}

void briefing_send_ring(struct slot *slot, const struct page *page, bool is_new)
{
	struct ipc_ring message = {.role = page->role, .id = page->ring.id};
	int fd;

	if (slot->role != ROLE_CONTROL || page->ring.fd < 0)
		return;
	memcpy(message.writers, page->ring.writers, sizeof(message.writers));
	if (!is_new) {
		ipc_send(&slot->chan, IPC_RING_WRITER, &message);
		return;
	}
	fd = pages_ring_to_read(page);
	if (fd < 0)
		return; /* /proc is not there: nothing is given away to be written */
	ipc_send_fds(&slot->chan, IPC_RING, &message, &fd, 1);
	close(fd);
}

static void send_rings(const struct briefing *b, struct slot *slot)
{
	for (const struct page *page = b->pages->first; page; page = page->next)
		briefing_send_ring(slot, page, true);
}

void briefing_send_page(struct slot *slot, const struct page *page)
{
	struct ipc_page message = {.role = page->role};

	bool reads = slot->role == ROLE_STATUS || slot->role == ROLE_CONTROL;

	if (reads && page->read_fd >= 0)
		ipc_send_fds(&slot->chan, IPC_PAGE, &message, &page->read_fd, 1);
}

/* Of all processes that are or were there. */
static void send_pages(const struct briefing *b, struct slot *slot)
{
	for (const struct page *page = b->pages->first; page; page = page->next)
		briefing_send_page(slot, page);
}

static void send_samples(const struct briefing *b, struct slot *slot)
{
	struct ipc_empty message;

	if (b->pages->samples_fd >= 0)
		ipc_send_fds(&slot->chan, IPC_SAMPLES, &message, &b->pages->samples_fd, 1);
}

static void send_directory(struct slot *slot, enum ipc_directory_kind kind, int fd)
{
	struct ipc_directory message = {.kind = kind};
	pop3_span none = {"", 0};

	if (fd >= 0)
		ipc_send_all(&slot->chan, IPC_DIRECTORY, &message, &none, 1, &fd, 1);
}

/* auth looks at owners only: what is known of the roots is for keepers. */
static void send_mail_roots(const struct generation_files *files, struct slot *slot)
{
	bool keeper = slot->role == ROLE_KEEPER;

	for (uint32_t i = 0; i < files->config->root_count; i++) {
		const struct mail_root *root = &files->roots[i].root;
		struct ipc_directory message = {.kind = DIRECTORY_MAIL, .root = i};
		pop3_span text = span_of(keeper ? root->mark : "");

		if (keeper)
			message.state = (uint32_t)atomic_load(&root->state);
		ipc_send_all(&slot->chan, IPC_DIRECTORY, &message, &text, 1, &files->roots[i].fd,
			     1);
	}
}

/* Of each folder of mboxes, the owner's own, made if it is not there. Without one the mailboxes of
 * a folder that is not their owner's are not served. */
static void send_state_folders(const struct briefing *b, struct slot *slot)
{
	uid_t uid = b->root ? slot->uid : geteuid();
	struct err err;

	for (uint32_t i = 0; i < b->files->config->root_count; i++) {
		struct ipc_root_fd message = {.root = i};
		int fd;

		if (b->files->config->roots[i].store != CONFIG_MBOX)
			continue;
		fd = mail_root_owner_state(&b->files->roots[i].root, uid, slot->gid, true, &err);
		if (fd < 0) {
			log_warning("uid %lu has no folder for the indexes of its mailboxes in %s: "
				    "%s",
				    (unsigned long)uid, b->files->config->roots[i].path, err.text);
			continue;
		}
		ipc_send_fds(&slot->chan, IPC_STATE_FOLDER, &message, &fd, 1);
		close(fd);
	}
}

/* The folder of the process that makes lock files in it. */
static void send_locked_root(const struct generation_files *files, struct slot *slot)
{
	struct ipc_directory message = {.kind = DIRECTORY_MAIL, .root = slot->index};
	pop3_span none = {"", 0};

	if (slot->index < files->config->root_count)
		ipc_send_all(&slot->chan, IPC_DIRECTORY, &message, &none, 1,
			     &files->roots[slot->index].fd, 1);
}

void briefing_send_penalties(const struct briefing *b, struct slot *slot)
{
	struct ipc_penalties message = {.count = b->penalties->count};

	if (slot->role == ROLE_AUTH && b->penalties->fd >= 0)
		ipc_send_fds(&slot->chan, IPC_PENALTIES, &message, &b->penalties->fd, 1);
}

void briefing_send_bans(const struct bans *bans, struct slot *slot)
{
	struct ipc_bans message = {.count = bans->table_count};

	if (slot->role == ROLE_FRONT || slot->role == ROLE_MTA)
		ipc_send_fds(&slot->chan, IPC_BANS, &message, &bans->table_fd,
			     bans->table_count ? 1 : 0);
}

enum ipc_role briefing_role(enum config_service service)
{
	switch (service) {
	case SERVICE_LMTP:
		return ROLE_LMTP;
	case SERVICE_SASL:
	case SERVICE_SOCKETMAP:
	case SERVICE_POLICY:
		return ROLE_MTA;
	case SERVICE_CONTROL:
		return ROLE_CONTROL;
	case SERVICE_STATUS:
		return ROLE_STATUS;
	case SERVICE_POP3:
	case SERVICE_POP3S:
	case SERVICE_COUNT:
		break;
	}
	return ROLE_FRONT;
}

/* The caller knows that config has it. */
static size_t place_of(const struct config *config, const struct config_listener *listener)
{
	size_t i = 0;

	while (i + 1 < config->listener_count && !listeners_same(&config->listeners[i], listener))
		i++;
	return i;
}

void briefing_send_listener(const struct briefing *b, struct slot *slot,
			    const struct config_listener *listener)
{
	enum ipc_role role = briefing_role(listener->service);
	struct ipc_listener message = {.service = listener->service,
				       .place = (uint32_t)place_of(b->files->config, listener)};
	int fd = listeners_fd(b->listeners, listener, role == ROLE_FRONT ? slot->index : 0);

	if (fd >= 0 && slot->role == role)
		ipc_send_fds(&slot->chan, IPC_LISTENER, &message, &fd, 1);
}

static void send_listeners(const struct briefing *b, struct slot *slot)
{
	const struct config *config = b->files->config;

	for (uint32_t i = 0; i < config->listener_count; i++)
		briefing_send_listener(b, slot, &config->listeners[i]);
}

void briefing_send_certificates(struct slot *slot, const struct packed *packed, uint32_t number,
				uint32_t ask)
{
	struct ipc_certificates certificates = {.size = packed->sizes[PACKED_CERTIFICATES],
						.number = number,
						.ask = ask},
				keys = {.size = packed->sizes[PACKED_KEYS],
					.number = number,
					.ask = ask};

	ipc_send_fds(&slot->chan, IPC_CERTIFICATES, &certificates,
		     &packed->fds[PACKED_CERTIFICATES], 1);
	if (slot->role == ROLE_KEYS)
		ipc_send_fds(&slot->chan, IPC_KEYS, &keys, &packed->fds[PACKED_KEYS], 1);
}

void briefing_send_ticket_keys(const struct briefing *b, struct slot *slot)
{
	struct ipc_ticket_keys message;

	memcpy(message.keys, b->ticket_keys, sizeof(message.keys));
	ipc_send(&slot->chan, IPC_TICKET_KEYS, &message);
	explicit_bzero(&message, sizeof(message));
}

void briefing_send_away(const struct briefing *b, struct slot *slot)
{
	for (uint32_t i = 0; i < b->files->config->root_count && slot->role == ROLE_KEEPER; i++) {
		struct ipc_root message = {.away = b->mail_away[i], .root = i};

		ipc_send(&slot->chan, IPC_ROOT_AWAY, &message);
	}
}

static void send_owner(struct slot *slot)
{
	struct ipc_owner message = {.uid = slot->uid, .root = slot->home_root};
	pop3_span home = span_of(slot->on_demand ? slot->home : "");

	if (slot->on_demand)
		ipc_send_texts(&slot->chan, IPC_OWNER, &message, &home, 1);
}

static void send_database(const struct generation_files *files, struct slot *slot)
{
	const struct lookup_program *program = &files->lookups[slot->index];
	struct ipc_database message = {.size = program->secrets_size, .index = slot->index};

	ipc_send_fds(&slot->chan, IPC_DATABASE, &message, &program->secrets_fd, 1);
}

/* What files of remote sections have, in one memory file; fd -1: they name none. */
static void send_remotes(struct slot *slot, int fd, uint64_t size)
{
	struct ipc_remotes message = {.size = size};

	if (fd >= 0)
		ipc_send_fds(&slot->chan, IPC_REMOTES, &message, &fd, 1);
}

static void send_peer_uids(const struct generation_files *files, struct slot *slot)
{
	struct ipc_uids message = files->peer_uids;

	ipc_send(&slot->chan, IPC_PEER_UIDS, &message);
}

static void send_control_peers(const struct generation_files *files, struct slot *slot)
{
	struct ipc_control_peers message = files->control_peers;

	ipc_send(&slot->chan, IPC_CONTROL_PEERS, &message);
}

/* The worker threads of a keeper use it, not its loop. */
static void send_locker(struct slot *keeper, uint32_t root, int fd)
{
	struct ipc_root_fd message = {.root = root};

	ipc_send_fds(&keeper->chan, IPC_LOCKER, &message, &fd, 1);
}

/* Of each folder whose lock files are made by a locker, a channel that nobody is at: until the
 * locker runs, a keeper waits for it as for one that is gone, and never writes without the lock. */
static void send_lockers_to_come(const struct generation_files *files, struct slot *keeper)
{
	for (uint32_t i = 0; i < files->config->root_count; i++) {
		const struct files_root *root = &files->roots[i];
		int pair[2];

		if (!root->locked || root->lock_gid == (gid_t)-1 || chan_pair(pair, NULL) < 0)
			continue;
		close(pair[1]);
		send_locker(keeper, i, pair[0]);
		close(pair[0]);
	}
}

static void send_role_things(const struct briefing *b, struct slot *slot)
{
	const struct generation_files *files = b->files;
	struct packed packed = {.fds = {files->certificates_fd, files->keys_fd},
				.sizes = {files->certificates_size, files->keys_size}};

	switch (slot->role) {
	case ROLE_KEYS:
		briefing_send_certificates(slot, &packed, files->certificates_number, 0);
		break;
	case ROLE_FRONT:
		briefing_send_certificates(slot, &packed, files->certificates_number, 0);
		briefing_send_ticket_keys(b, slot);
		send_listeners(b, slot);
		break;
	case ROLE_LMTP:
		send_listeners(b, slot);
		break;
	case ROLE_CONTROL:
		send_rings(b, slot);
		send_control_peers(files, slot);
		send_pages(b, slot);
		send_listeners(b, slot);
		break;
	case ROLE_MTA:
		send_peer_uids(files, slot);
		send_listeners(b, slot);
		break;
	case ROLE_AUTH:
		send_directory(slot, DIRECTORY_USERS, files->users_fd);
		send_directory(slot, DIRECTORY_ALIASES, files->aliases_fd);
		send_mail_roots(files, slot);
		send_control_peers(files, slot);
		send_remotes(slot, files->learn_fd, files->learn_size);
		briefing_send_penalties(b, slot);
		break;
	case ROLE_KEEPER:
		send_mail_roots(files, slot);
		briefing_send_away(b, slot);
		send_state_folders(b, slot);
		send_lockers_to_come(files, slot);
		send_owner(slot);
		break;
	case ROLE_LOOKUP:
		send_database(files, slot);
		break;
	case ROLE_STATUS:
		send_pages(b, slot);
		send_samples(b, slot);
		send_listeners(b, slot);
		break;
	case ROLE_LOGINS:
		send_directory(slot, DIRECTORY_LOGINS, files->logins_fd);
		break;
	case ROLE_LOCKER:
		send_locked_root(files, slot);
		break;
	case ROLE_CONNECTOR:
		send_remotes(slot, files->remotes_fd, files->remotes_size);
		break;
	case ROLE_MONITOR:
	case ROLE_COUNT:
		break;
	}
}

void briefing_send(const struct briefing *b, struct slot *slot)
{
	send_config(b, slot);
	send_counters(slot);
	send_recorder(slot);
	if (b->bans->table_count)
		briefing_send_bans(b->bans, slot);
	send_role_things(b, slot);
}

static bool work_together(enum ipc_role a, enum ipc_role b)
{
	bool front = a == ROLE_FRONT || a == ROLE_LMTP;

	return (front && (b == ROLE_AUTH || b == ROLE_KEEPER)) ||
	       (b == ROLE_CONNECTOR && (front || a == ROLE_AUTH)) ||
	       (a == ROLE_AUTH && (b == ROLE_KEEPER || b == ROLE_LOOKUP || b == ROLE_LOGINS)) ||
	       (a == ROLE_FRONT && b == ROLE_KEYS) || (a == ROLE_MTA && b == ROLE_AUTH) ||
	       (a == ROLE_CONTROL && b == ROLE_AUTH) || (a == ROLE_LOCKER && b == ROLE_KEEPER);
}

static void send_peer(struct slot *to, const struct slot *peer, int fd)
{
	struct ipc_peer message = {.instance = peer->instance,
				   .role = peer->role,
				   .index = peer->index,
				   .uid = peer->uid,
				   .group_size = peer->group_size};

	if (peer->role == ROLE_LOCKER) {
		send_locker(to, peer->index, fd);
		return;
	}
	ipc_send_fds(&to->chan, IPC_PEER, &message, &fd, 1);
}

int briefing_wire(struct slot *a, struct slot *b, struct err *err)
{
	int pair[2];

	if (!work_together(a->role, b->role) && !work_together(b->role, a->role))
		return 0;
	if (chan_pair(pair, err) < 0)
		return -1;
	send_peer(a, b, pair[0]);
	send_peer(b, a, pair[1]);
	close(pair[0]);
	close(pair[1]);
	return 0;
}
