/* See unanswered.h. */
#include "server/auth/unanswered.h"

#include <stdlib.h>

enum {
	MOST = 16384,
	/* A process that answers a question so long after it was told that nobody waits does not
	 * read its channel. */
	LATE_MS = 30 * 1000,
};

struct unanswered_entry {
	struct table_node node; /* key: id */
	struct unanswered_entry *next;
	uint64_t instance, until;
	bool came;
};

void unanswered_init(struct unanswered *unanswered)
{
	table_init(&unanswered->table);
	unanswered->first = NULL;
	unanswered->end = &unanswered->first;
	unanswered->forgot_until = 0;
}

static void drop_first(struct unanswered *unanswered)
{
	struct unanswered_entry *entry = unanswered->first;

	unanswered->first = entry->next;
	if (!unanswered->first)
		unanswered->end = &unanswered->first;
	table_remove(&unanswered->table, &entry->node);
	free(entry);
}

void unanswered_add(struct unanswered *unanswered, uint64_t id, uint64_t instance, uint64_t now)
{
	struct unanswered_entry *entry;

	while (unanswered->first && unanswered->first->until <= now)
		drop_first(unanswered);
	if (unanswered->table.count >= MOST) {
		unanswered->forgot_until = now + LATE_MS;
		return;
	}
	entry = calloc(1, sizeof(*entry));
	if (!entry) {
		unanswered->forgot_until = now + LATE_MS;
		return;
	}
	entry->instance = instance;
	entry->until = now + LATE_MS;
	table_add(&unanswered->table, &entry->node, id);
	*unanswered->end = entry;
	unanswered->end = &entry->next;
}

bool unanswered_take(struct unanswered *unanswered, uint64_t id, uint64_t instance, uint64_t now)
{
	struct table_node *node = table_find(&unanswered->table, id);
	struct unanswered_entry *entry =
		node ? CONTAINER(node, struct unanswered_entry, node) : NULL;

	if (!entry)
		return now < unanswered->forgot_until;
	if (entry->came || entry->instance != instance || entry->until <= now)
		return false;
	entry->came = true;
	return true;
}
