/* See nodes.h. */
#include "server/auth/nodes.h"

#include "base/random.h"
#include "server/auth/keepers.h"
#include "server/auth/session.h"

static bool has_nodes(const struct config *config)
{
	for (uint32_t i = 0; i < config->root_count; i++)
		if (config->roots[i].store == CONFIG_RADOS)
			return true;
	return false;
}

bool nodes_is_new(struct nodes *nodes, uint64_t id)
{
	uint32_t count = nodes->count < NODES_SEEN ? nodes->count : NODES_SEEN;

	for (uint32_t i = 0; i < count; i++)
		if (nodes->seen[i] == id)
			return false;
	nodes->seen[nodes->count++ % NODES_SEEN] = id;
	return true;
}

void nodes_tell(struct auth *auth, enum ipc_nodes_what what, uint32_t uid, pop3_span text)
{
	struct ipc_nodes message = {.what = what, .uid = uid};

	if (!has_nodes(auth->child->config) || random_octets(&message.id, sizeof(message.id)) < 0)
		return;
	(void)nodes_is_new(&auth->nodes, message.id); /* it may come back */
	for (struct peer *peer = auth->child->peers; peer; peer = peer->next)
		if (peer->role == ROLE_KEEPER &&
		    auth_pass_on(peer, IPC_NODES, &message, &text, 1) == 0)
			return;
}
