/* See lane.h. On the keeper's loop. */
#include "server/keeper/lane.h"

#include "server/keeper/watch.h"

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

/* The filesystem of a maildrop, with one reference more. NULL: no memory. */
static struct keeper_device *take_device(struct keeper *keeper, const char *path)
{
	uint64_t number = maildrop_device(keeper->mail_fd, path);
	struct keeper_device *device = keeper->devices;

	while (device && device->number != number)
		device = device->next;
	if (!device) {
		device = calloc(1, sizeof(*device));
		if (!device)
			return NULL;
		job_share_init(&device->share);
		device->number = number;
		device->next = keeper->devices;
		keeper->devices = device;
	}
	device->references++;
	return device;
}

static void release_device(struct keeper *keeper, struct keeper_device *device)
{
	struct keeper_device **at = &keeper->devices;

	if (!device || --device->references)
		return;
	while (*at != device)
		at = &(*at)->next;
	*at = device->next;
	free(device);
}

void keeper_lane_release(struct keeper *keeper, struct keeper_lane *lane)
{
	note_use(keeper);
	if (--lane->references)
		return;
	keeper_watch_leave(keeper, lane);
	release_device(keeper, lane->device);
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

void keeper_add_job(struct keeper *keeper, struct keeper_lane *lane, struct job *job,
		    const char *what)
{
	if (!lane->device)
		lane->device = take_device(keeper, lane->path);
	job->lane = &lane->jobs;
	job->share = lane->device ? &lane->device->share : NULL;
	job->what = what;
	keeper_watch_add(keeper, lane);
	keeper->busy++;
	workers_add(keeper->workers, job, true);
}

void keeper_job_over(struct keeper *keeper)
{
	keeper->busy--;
	keeper_check_drained(keeper, NULL);
}
