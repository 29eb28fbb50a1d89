/* See watch.h. */
#include "server/keeper/watch.h"

#include "base/log.h"

enum {
	LOOK_MS = 1000,
	LONG_MS = 10000, /* then the log says so */
	OPEN_S = 60,     /* a client waits so long for its maildrop, or three quarters of the time
			    to log in */
};

static void tell(struct keeper *keeper, struct keeper_lane *lane, uint64_t seconds)
{
	const char *doing = job_lane_doing(keeper->workers, &lane->jobs);
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

static void goes_on(struct keeper *keeper, struct keeper_lane *lane)
{
	uint64_t seconds = (loop_now(keeper->child->loop) - lane->since) / 1000;

	if (lane->told)
		log_warning("%s: its filesystem answers again, after %llu s", lane->path,
			    (unsigned long long)seconds);
	lane->told = false;
}

struct look {
	struct keeper *keeper;
	bool hangs; /* a lane that the log has is still without an answer */
};

static void look_at(struct table_node *node, void *context)
{
	struct keeper_lane *lane = CONTAINER(node, struct keeper_lane, node);
	struct look *look = context;
	uint64_t now = loop_now(look->keeper->child->loop);

	if (lane->jobs.finished != lane->finished) {
		goes_on(look->keeper, lane);
		lane->finished = lane->jobs.finished;
		lane->since = now;
	}
	if (job_lane_idle(&lane->jobs) || !lane->device)
		return;
	if (!lane->told && now - lane->since >= LONG_MS)
		tell(look->keeper, lane, (now - lane->since) / 1000);
	look->hangs = look->hangs || now - lane->since >= LOOK_MS;
}

static uint64_t open_ms(const struct keeper *keeper)
{
	uint64_t login = keeper->child->config->login_seconds;

	return (login * 3 / 4 < OPEN_S ? login * 3 / 4 : OPEN_S) * 1000;
}

static void fired(struct loop_timer *timer)
{
	struct keeper *keeper = timer->context;
	struct look look = {.keeper = keeper};

	table_each(&keeper->lanes, look_at, &look);
	if (look.hangs)
		keeper->expire(keeper, open_ms(keeper));
	keeper->watching = keeper->busy > 0;
	if (keeper->watching)
		loop_timer_set(&keeper->watch, LOOK_MS);
}

void keeper_watch_add(struct keeper *keeper, struct keeper_lane *lane)
{
	if (job_lane_idle(&lane->jobs)) {
		goes_on(keeper, lane);
		lane->finished = lane->jobs.finished;
		lane->since = loop_now(keeper->child->loop);
	}
	if (keeper->watching)
		return;
	if (!keeper->watch.fired)
		loop_timer_init(&keeper->watch, keeper->child->loop, fired, keeper);
	keeper->watching = true;
	loop_timer_set(&keeper->watch, LOOK_MS);
}

void keeper_watch_leave(struct keeper *keeper, struct keeper_lane *lane)
{
	goes_on(keeper, lane);
}
