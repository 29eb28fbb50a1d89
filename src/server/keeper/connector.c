/*
 * A connector: a keeper whose maildrops are on other POP3 servers (maildrop/remote/). It has the
 * network, the certificates of authorities, the passwords of sections, and no file of mail; auth
 * names section and user, and it dials no other server than that section's. Messages of fronts are
 * hostile, and so is all that comes from a network; auth is believed.
 */
#include "server/keeper/keeper.h"

#include "base/secret.h"
#include "base/text.h"
#include "config/remote.h"
#include "maildrop/remote/remote.h"
#include "server/keeper/body.h"
#include "server/keeper/delivery.h"
#include "server/keeper/opening.h"
#include "server/keeper/session.h"
#include "server/keeper/takeover.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

enum { SECRETS_MAX = 1 << 20, DNS_PORT = 53 };

struct keeper_secrets {
	size_t size;
	char text[]; /* name NUL value NUL … */
};

static struct keeper *root_struct(struct child *child)
{
	bool is_new;
	struct keeper *keeper = child_state(child, sizeof(*keeper), &is_new);

	if (!is_new)
		return keeper;
	keeper->child = child;
	keeper->remotes = (struct keeper_root){
		.index = CONFIG_ROOTS_MAX, .fd = -1, .state_fd = -1, .remote = true};
	return keeper;
}

static void take_secrets(struct keeper *keeper, const struct ipc_remotes *message, int fd)
{
	if (keeper->secrets || !message->size || message->size > SECRETS_MAX)
		return;
	keeper->secrets = calloc(1, sizeof(*keeper->secrets) + message->size + 2);
	if (keeper->secrets &&
	    pread(fd, keeper->secrets->text, message->size, 0) == (ssize_t)message->size)
		keeper->secrets->size = message->size;
}

/* The password of a section; empty: it has none. */
static pop3_span secret_of(const struct keeper *keeper, const char *name)
{
	const struct keeper_secrets *secrets = keeper->secrets;
	pop3_span text = {secrets ? secrets->text : "", secrets ? secrets->size : 0};
	const char *at, *value;

	while (text_take_pair(&text, &at, &value))
		if (strcmp(at, name) == 0)
			return span_of(value);
	return (pop3_span){"", 0};
}

static void monitor_message(struct child *child, enum ipc_type type, const void *message, int *fds)
{
	if (type == IPC_REMOTES)
		take_secrets(root_struct(child), message, fds[0]);
}

/* auth names a section that there is, and users with the names that the users file allows. */
static void open_remote(struct peer *auth, const struct ipc_open_remote *message)
{
	struct keeper *keeper = auth->child->state;
	const struct config *config = keeper->child->config;
	pop3_span user = ipc_text(message, 0), name = ipc_text(message, 2);
	pop3_span secret = ipc_text(message, 3);
	const struct config_remote *section;
	char login[IPC_TEXT_MAX], path[sizeof(section->name) + IPC_TEXT_MAX + 2];

	if (message->remote >= config->remote_count) {
		peer_break(auth, "a remote section that is not there");
		return;
	}
	section = &config->remotes[message->remote];
	if (!name.size && config_remote_login(section, user, login, sizeof(login)) == 0)
		name = span_of(login);
	if (!secret.size)
		secret = secret_of(keeper, section->name);
	snprintf(path, sizeof(path), "%s/%.*s", section->name, (int)user.size, user.data);
	keeper_open_remote(auth, message, span_of(path), name, secret);
}

/* A recipient of a section's. Its server is asked when the message is here. */
static void recipient(struct peer *auth, const struct ipc_recipient_remote *message)
{
	const struct config *config = auth->child->config;
	pop3_span user = ipc_text(message, 0);
	char path[sizeof(config->remotes[0].name) + IPC_TEXT_MAX + 2];

	if (message->remote >= config->remote_count ||
	    !config->remotes[message->remote].lmtp_port) {
		peer_break(auth, "a remote section that is not there, or without lmtp");
		return;
	}
	snprintf(path, sizeof(path), "%s/%.*s", config->remotes[message->remote].name,
		 (int)user.size, user.data);
	keeper_recipient_remote(auth, message, span_of(path));
}

static void peer_message(struct peer *peer, enum ipc_type type, const void *message, int *fds)
{
	if (type == IPC_OPEN_REMOTE)
		open_remote(peer, message);
	else if (type == IPC_RCPT_REMOTE)
		recipient(peer, message);
	else if (type == IPC_DELIVER)
		keeper_deliver(peer, message, &fds[0]);
	else if (type == IPC_FORGET)
		keeper_forget(peer, message);
	else if (type == IPC_GO)
		keeper_go(peer, message);
	else
		keeper_front_message(peer, type, message);
}

/* The ports of the sections' servers; files only where names have to be looked up. */
static void add_rights(const struct config *config, struct sandbox *sandbox)
{
	bool names = false;

	sandbox->allow_connect = true;
	for (uint32_t i = 0; i < config->remote_count; i++) {
		const struct config_remote *remote = &config->remotes[i];

		sandbox->ports[sandbox->port_count++] = (uint16_t)remote->port;
		names |= !text_is_address(remote->host);
		if (!remote->lmtp_port)
			continue;
		sandbox->ports[sandbox->port_count++] = (uint16_t)remote->lmtp_port;
		names |= !text_is_address(remote->lmtp_host);
	}
	if (!names)
		return;
	sandbox->empty_root = false; /* a resolver's files are found by name */
	sandbox->ports[sandbox->port_count++] = DNS_PORT;
	sandbox_add_path(sandbox, "/etc", SANDBOX_READ);
	sandbox_add_path(sandbox, "/usr", SANDBOX_READ);
	sandbox_add_path(sandbox, "/run", SANDBOX_READ);
}

static enum remote_tls tls_of(uint32_t tls)
{
	return tls == CONFIG_REMOTE_TLS     ? REMOTE_TLS
	       : tls == CONFIG_REMOTE_CLEAR ? REMOTE_CLEAR
					    : REMOTE_STARTTLS;
}

static struct remote_server server_of(const struct config *config,
				      const struct config_remote *section)
{
	bool pin = strncmp(section->verify, "sha256//", 8) == 0;

	return (struct remote_server){.name = section->name,
				      .host = section->host,
				      .port = (uint16_t)section->port,
				      .tls = tls_of(section->tls),
				      .ca_file = pin ? NULL : section->verify,
				      .pin = pin ? section->verify : NULL,
				      .token = section->credentials == CONFIG_REMOTE_OAUTH,
				      .timeout_ms = section->timeout_seconds * 1000,
				      .lmtp_host = section->lmtp_port ? section->lmtp_host : NULL,
				      .lmtp_port = (uint16_t)section->lmtp_port,
				      .lmtp_tls = tls_of(section->lmtp_tls),
				      .host_name = config->host_name};
}

static int open_store(struct keeper *keeper, struct err *err)
{
	const struct config *config = keeper->child->config;
	struct remote_server *servers = calloc(config->remote_count, sizeof(*servers));

	if (!servers)
		return err_set(err, EX_OSERR, "out of memory");
	for (uint32_t i = 0; i < config->remote_count; i++)
		servers[i] = server_of(config, &config->remotes[i]);
	keeper->host.loop = keeper->child->loop;
	keeper->host.event = keeper_store_event;
	keeper->remotes.store = /* servers stay as long as the process */
		remote_store_create(&keeper->host, servers, config->remote_count, err);
	return keeper->remotes.store ? 0 : -1;
}

static int start(struct child *child, struct err *err)
{
	struct keeper *keeper = root_struct(child);
	struct sandbox sandbox;

	table_init(&keeper->places);
	table_init(&keeper->questions);
	table_init(&keeper->takes);
	keeper_opening_init(keeper);
	keeper->scratch = keeper_body_scratch();
	if (!keeper->scratch)
		return err_set(err, EX_OSERR, "out of memory");
	if (open_store(keeper, err) < 0)
		return -1;
	child_sandbox(child, SANDBOX_CONNECTOR, &sandbox);
	add_rights(child->config, &sandbox);
	if (sandbox_enter(&sandbox, err) < 0)
		return -1;
	return remote_store_start(keeper->remotes.store, err);
}

const struct child_role connector_role = {
	.role = ROLE_CONNECTOR,
	.monitor_message = monitor_message,
	.start = start,
	.peer_up = keeper_peer_up,
	.peer_gone = keeper_peer_gone,
	.peer_message = peer_message,
	.drain = keeper_drain,
};
