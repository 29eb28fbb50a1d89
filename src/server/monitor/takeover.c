/*
 * A maildrop that keepers of two generations want: the question of one (TAKE) and the answer of the
 * other (TAKEN) go through the monitor, which remembers nothing of them. Only keepers with one uid
 * talk about their maildrops, so that none learns or ends what is not its own. Runs in the monitor;
 * messages of keepers are hostile, though their rows were checked.
 */
#include "server/monitor/generation.h"

#include "server/monitor/members.h"

#include <string.h>

static void ask(struct generation *g, const struct take_from *from, const struct ipc_take *message)
{
	struct ipc_take copy = {.asker = from->instance,
				.number = message->number,
				.idle = message->idle,
				.take = message->take};
	const struct config *config = &from->generation->config;
	pop3_span path = ipc_text(message, 0);

	/* the same mail folder, which may have another place in that configuration */
	if (message->root >= config->root_count)
		return;
	while (copy.root < g->config.root_count &&
	       strcmp(g->config.roots[copy.root].path, config->roots[message->root].path) != 0)
		copy.root++;
	if (copy.root == g->config.root_count)
		return;
	for (struct slot *slot = g->slots; slot; slot = slot->next)
		if (slot->role == ROLE_KEEPER && slot->has_chan && slot->uid == from->uid)
			(void)ipc_send_texts(&slot->chan, IPC_TAKE, &copy, &path, 1);
}

static void answer(struct generation *g, const struct take_from *from,
		   const struct ipc_taken *message)
{
	struct ipc_taken copy = *message;

	for (struct slot *slot = g->slots; slot; slot = slot->next)
		if (slot->role == ROLE_KEEPER && slot->has_chan && slot->uid == from->uid &&
		    slot->instance == message->asker)
			(void)ipc_send(&slot->chan, IPC_TAKEN, &copy);
}

void generation_take(struct generation *g, const struct take_from *from, enum ipc_type type,
		     const void *message)
{
	if (type == IPC_TAKE)
		ask(g, from, message);
	else
		answer(g, from, message);
}
