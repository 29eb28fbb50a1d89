/* See store_lanes.h. */
#include "maildrop/store_lanes.h"

#include "base/log.h"

#include <stdlib.h>

enum {
	LOOK_MS = 1000,
	LONG_MS = 10000, /* then the log says so */
};
#define JOBS_MAX (1u << 20)

/* ---- filesystems ---- */

/* The filesystem of a maildrop, with one reference more. NULL: no memory. */
static struct store_device *take_device(struct store_lanes *lanes, const char *path)
{
	uint64_t number = maildrop_device(lanes->root_fd, path);
	struct store_device *device = lanes->devices;

	while (device && device->number != number)
		device = device->next;
	if (!device) {
		device = calloc(1, sizeof(*device));
		if (!device)
			return NULL;
		job_share_init(&device->share);
		device->number = number;
		device->next = lanes->devices;
		lanes->devices = device;
	}
	device->references++;
	return device;
}

static void release_device(struct store_lanes *lanes, struct store_device *device)
{
	struct store_device **at = &lanes->devices;

	if (!device || --device->references)
		return;
	while (*at != device)
		at = &(*at)->next;
	*at = device->next;
	free(device);
}

/* ---- jobs that take long ---- */

static void tell(const struct store_lanes *lanes, struct store_lane *lane, uint64_t seconds)
{
	const char *doing = job_lane_doing(lanes->workers, &lane->jobs);
	unsigned major = (unsigned)(lane->device->number >> 32),
		 minor = (unsigned)lane->device->number;

	lane->told = true;
	if (doing)
		log_warning("%s: %s takes %llu s and goes on: its filesystem (device %u:%u) does "
			    "not answer (look for it in /proc/self/mountinfo)",
			    lane->path, doing, (unsigned long long)seconds, major, minor);
	else
		log_warning("%s: waits for %llu s: other maildrops on its filesystem (device "
			    "%u:%u), which does not answer, use all threads that it may use",
			    lane->path, (unsigned long long)seconds, major, minor);
}

static void goes_on(const struct store_lanes *lanes, struct store_lane *lane)
{
	uint64_t seconds = (loop_now(lanes->loop) - lane->since) / 1000;

	if (lane->told)
		log_warning("%s: its filesystem answers again, after %llu s", lane->path,
			    (unsigned long long)seconds);
	lane->told = false;
}

static void look_at(const struct store_lanes *lanes, struct store_lane *lane, uint64_t now)
{
	if (lane->jobs.finished != lane->finished) {
		goes_on(lanes, lane);
		lane->finished = lane->jobs.finished;
		lane->since = now;
	}
	if (!job_lane_idle(&lane->jobs) && lane->device && !lane->told &&
	    now - lane->since >= LONG_MS)
		tell(lanes, lane, (now - lane->since) / 1000);
}

static void fired(struct loop_timer *timer)
{
	struct store_lanes *lanes = timer->context;
	uint64_t now = loop_now(lanes->loop);

	for (struct store_lane *lane = lanes->lanes; lane; lane = lane->next)
		look_at(lanes, lane, now);
	lanes->looked(lanes, now);
	lanes->looking = lanes->busy > 0;
	if (lanes->looking)
		loop_timer_set(timer, LOOK_MS);
}

/* ---- lanes ---- */

int store_lanes_init(struct store_lanes *lanes, const struct store_host *host, int root_fd,
		     struct err *err)
{
	lanes->loop = host->loop;
	lanes->root_fd = root_fd;
	loop_timer_init(&lanes->look, host->loop, fired, lanes);
	lanes->workers = workers_create(host->loop, host->threads, 0, JOBS_MAX, err);
	return lanes->workers ? 0 : -1;
}

struct store_lane *store_lane(struct store_lanes *lanes, struct store_where *where)
{
	struct store_lane *lane = where->lane;

	if (lane)
		return lane;
	lane = calloc(1, sizeof(*lane));
	if (!lane)
		abort(); /* a new process is better than a lock that is never freed */
	lane->path = where->path;
	job_lane_init(&lane->jobs);
	lane->device = take_device(lanes, where->path);
	lane->at = &lanes->lanes;
	lane->next = lanes->lanes;
	if (lane->next)
		lane->next->at = &lane->next;
	lanes->lanes = lane;
	where->lane = lane;
	return lane;
}

void store_lane_leave(struct store_lanes *lanes, struct store_where *where)
{
	struct store_lane *lane = where->lane;

	if (!lane)
		return;
	goes_on(lanes, lane);
	release_device(lanes, lane->device);
	*lane->at = lane->next;
	if (lane->next)
		lane->next->at = lane->at;
	where->lane = NULL;
	free(lane);
}

void store_lane_add(struct store_lanes *lanes, struct store_lane *lane, struct job *job,
		    const char *what)
{
	job->lane = &lane->jobs;
	job->share = lane->device ? &lane->device->share : NULL;
	job->what = what;
	if (job_lane_idle(&lane->jobs)) {
		goes_on(lanes, lane);
		lane->finished = lane->jobs.finished;
		lane->since = loop_now(lanes->loop);
	}
	lanes->busy++;
	if (!lanes->looking) {
		lanes->looking = true;
		loop_timer_set(&lanes->look, LOOK_MS);
	}
	workers_add(lanes->workers, job, true);
}

void store_lane_done(struct store_lanes *lanes)
{
	lanes->busy--;
}
