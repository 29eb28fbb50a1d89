/* See join.h. */
#include "server/front/join.h"

#include "base/hash_map.h"
#include "base/table.h"
#include "server/front/session.h"

#include <stdlib.h>

enum { ENTRIES = 64 }; /* of a listing, read at once */

bool join_add(struct session *session, struct link *keeper, const struct ipc_opened *message,
	      int *fds)
{
	struct part *part;

	if (!session->joining)
		session->joining = calloc(JOIN_PARTS, sizeof(*session->joining));
	if (!session->joining) {
		part_send_close(link_peer(keeper), message->session);
		conn_abort(&session->client.conn);
		return false;
	}
	part = &session->joining[message->part - PART_HERE];
	if (part_is_open(part)) {
		peer_break(link_peer(keeper), "it opens what is open already");
		return false;
	}
	part_open(part, session, keeper, message, fds);
	return part_is_open(&session->joining[0]) && part_is_open(&session->joining[1]);
}

struct part *join_part(const struct session *session, const struct link *keeper)
{
	for (unsigned i = 0; session->joining && i < JOIN_PARTS; i++)
		if (link_of(&session->joining[i].keeper) == keeper)
			return &session->joining[i];
	return NULL;
}

struct part *join_take(struct session *session)
{
	struct part *parts = session->joining;

	session->joining = NULL;
	return parts;
}

void join_drop(struct session *session)
{
	struct part *parts = join_take(session);

	for (unsigned i = 0; parts && i < JOIN_PARTS; i++)
		part_close(&parts[i]);
	free(parts);
}

/* ---- unique ids ---- */

/* Calls take with each unique id until it is false: 0. -1: the index is wrong. */
static int each_id(struct part *part, bool (*take)(struct hash_map *ids, pop3_span id),
		   struct hash_map *ids)
{
	struct index_entry entries[ENTRIES];
	uint32_t next = 1;

	while (next <= part->count) {
		int got = part_entries(part, next, true, entries, ENTRIES);

		for (int i = 0; i < got; i++)
			if (!take(ids, entries[i].unique_id))
				return 0;
		if (got < 0)
			return -1;
		next += (uint32_t)got;
	}
	part_trim(part);
	return 1;
}

static bool put(struct hash_map *ids, pop3_span id)
{
	return hash_map_put(ids, hash_octets(id.data, id.size)) != NULL;
}

static bool is_new(struct hash_map *ids, pop3_span id)
{
	return !hash_map_find(ids, hash_octets(id.data, id.size));
}

int join_ids_differ(struct part parts[JOIN_PARTS])
{
	struct hash_map ids;
	int differ = -1;

	hash_map_init(&ids, (size_t)parts[0].count + 1);
	if (each_id(&parts[0], put, &ids) > 0)
		differ = each_id(&parts[1], is_new, &ids);
	hash_map_finish(&ids);
	return differ;
}
