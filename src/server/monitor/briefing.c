/* See briefing.h. Runs in the monitor, as root when that is root: it only sends, and reads nothing
 * that a child wrote. */
#include "server/monitor/briefing.h"

#include "base/text.h"

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

static void send_directory(struct slot *slot, enum ipc_directory_kind kind, int fd)
{
	struct ipc_directory message = {.kind = kind};
	pop3_span none = {"", 0};

	if (fd >= 0)
		ipc_send_all(&slot->chan, IPC_DIRECTORY, &message, &none, 1, &fd, 1);
}

static void send_mail_root(const struct generation_files *files, struct slot *slot)
{
	struct ipc_directory message = {.kind = DIRECTORY_MAIL,
					.state = (uint32_t)atomic_load(&files->root.state)};
	pop3_span text = span_of(files->root.mark);

	ipc_send_all(&slot->chan, IPC_DIRECTORY, &message, &text, 1, &files->mail_fd, 1);
}

enum ipc_role briefing_role(enum config_service service)
{
	switch (service) {
	case SERVICE_LMTP:
		return ROLE_LMTP;
	case SERVICE_SASL:
	case SERVICE_SOCKETMAP:
		return ROLE_MTA;
	case SERVICE_POP3:
	case SERVICE_POP3S:
	case SERVICE_COUNT:
		break;
	}
	return ROLE_FRONT;
}

void briefing_send_listener(const struct briefing *b, struct slot *slot,
			    const struct config_listener *listener)
{
	enum ipc_role role = briefing_role(listener->service);
	struct ipc_listener message = {.service = listener->service};
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

void briefing_send_ticket_keys(const struct briefing *b, struct slot *slot)
{
	struct ipc_ticket_keys message;

	memcpy(message.keys, b->ticket_keys, sizeof(message.keys));
	ipc_send(&slot->chan, IPC_TICKET_KEYS, &message);
	explicit_bzero(&message, sizeof(message));
}

void briefing_send_away(const struct briefing *b, struct slot *slot)
{
	struct ipc_root message = {.away = b->mail_away};

	if (slot->role == ROLE_KEEPER)
		ipc_send(&slot->chan, IPC_ROOT_AWAY, &message);
}

static void send_owner(struct slot *slot)
{
	struct ipc_owner message = {.uid = slot->uid};
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

static void send_peer_uids(const struct generation_files *files, struct slot *slot)
{
	struct ipc_uids message = files->peer_uids;

	ipc_send(&slot->chan, IPC_PEER_UIDS, &message);
}

static void send_role_things(const struct briefing *b, struct slot *slot)
{
	const struct generation_files *files = b->files;
	struct ipc_certificates certificates = {.size = files->certificates_size},
				keys = {.size = files->keys_size};

	switch (slot->role) {
	case ROLE_KEYS:
		ipc_send_fds(&slot->chan, IPC_CERTIFICATES, &certificates, &files->certificates_fd,
			     1);
		ipc_send_fds(&slot->chan, IPC_KEYS, &keys, &files->keys_fd, 1);
		break;
	case ROLE_FRONT:
		ipc_send_fds(&slot->chan, IPC_CERTIFICATES, &certificates, &files->certificates_fd,
			     1);
		briefing_send_ticket_keys(b, slot);
		send_listeners(b, slot);
		break;
	case ROLE_LMTP:
		send_listeners(b, slot);
		break;
	case ROLE_MTA:
		send_peer_uids(files, slot);
		send_listeners(b, slot);
		break;
	case ROLE_AUTH:
		send_directory(slot, DIRECTORY_USERS, files->users_fd);
		send_directory(slot, DIRECTORY_ALIASES, files->aliases_fd);
		send_directory(slot, DIRECTORY_MAIL, files->mail_fd);
		break;
	case ROLE_KEEPER:
		send_mail_root(files, slot);
		briefing_send_away(b, slot);
		send_owner(slot);
		break;
	case ROLE_LOOKUP:
		send_database(files, slot);
		break;
	case ROLE_MONITOR:
	case ROLE_COUNT:
		break;
	}
}

void briefing_send(const struct briefing *b, struct slot *slot)
{
	send_config(b, slot);
	send_role_things(b, slot);
}

static bool work_together(enum ipc_role a, enum ipc_role b)
{
	bool front = a == ROLE_FRONT || a == ROLE_LMTP;

	return (front && (b == ROLE_AUTH || b == ROLE_KEEPER)) ||
	       (a == ROLE_AUTH && (b == ROLE_KEEPER || b == ROLE_LOOKUP)) ||
	       (a == ROLE_FRONT && b == ROLE_KEYS) || (a == ROLE_MTA && b == ROLE_AUTH);
}

static void send_peer(struct slot *to, const struct slot *peer, int fd)
{
	struct ipc_peer message = {.instance = peer->instance,
				   .role = peer->role,
				   .index = peer->index,
				   .uid = peer->uid,
				   .group_size = peer->group_size};

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
