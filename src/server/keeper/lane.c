/* See lane.h. On the keeper's loop. */
#include "server/keeper/lane.h"

#include <stdlib.h>
#include <string.h>

static void note_use(struct keeper *keeper)
{
	if (keeper->on_demand)
		keeper->used = loop_now(keeper->child->loop);
}

struct keeper_lane *keeper_lane_take(struct keeper *keeper, pop3_span path)
{
	uint64_t key = hash_octets(path.data, path.size);
	struct keeper_lane *lane;

	note_use(keeper);
	for (struct table_node *node = table_find(&keeper->lanes, key); node;
	     node = table_next(node)) {
		lane = CONTAINER(node, struct keeper_lane, node);
		if (strlen(lane->path) == path.size &&
		    memcmp(lane->path, path.data, path.size) == 0) {
			lane->references++;
			return lane;
		}
	}
	lane = calloc(1, sizeof(*lane) + path.size + 1);
	if (!lane)
		return NULL;
	memcpy(lane->path, path.data, path.size);
	lane->references = 1;
	job_lane_init(&lane->jobs);
	table_add(&keeper->lanes, &lane->node, key);
	return lane;
}

void keeper_lane_release(struct keeper *keeper, struct keeper_lane *lane)
{
	note_use(keeper);
	if (--lane->references)
		return;
	table_remove(&keeper->lanes, &lane->node);
	free(lane);
}

void keeper_check_drained(struct keeper *keeper, const struct peer *gone)
{
	if (!keeper->child->draining || keeper->busy)
		return;
	for (struct peer *peer = keeper->child->peers; peer; peer = peer->next)
		if (peer != gone && peer->role != ROLE_AUTH)
			return;
	child_exit(keeper->child);
}

void keeper_add_job(struct keeper *keeper, struct keeper_lane *lane, struct job *job)
{
	job->lane = &lane->jobs;
	keeper->busy++;
	workers_add(keeper->workers, job, true);
}

void keeper_job_over(struct keeper *keeper)
{
	keeper->busy--;
	keeper_check_drained(keeper, NULL);
}
