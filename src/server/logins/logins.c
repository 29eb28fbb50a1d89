/*
 * See logins.h. Logins become lines on the loop and are written by one worker thread, as many at a
 * time as have come meanwhile; what does not fit in front of a slow disk is dropped and counted.
 * Rows of auth are hostile: a name that is none is passed over. The batch and what the job says of
 * it are the worker's while a job is under way, all else is the loop's.
 */
#include "server/logins/logins.h"

#include "base/log.h"
#include "base/table.h"
#include "base/text.h"
#include "sys/workers.h"
#include "users/last_logins.h"

#include <inttypes.h>
#include <string.h>
#include <sysexits.h>

enum {
	WAITING_MAX = 256 * 1024, /* octets of lines */
	SYNC_MS = 5000,           /* that a line may be lost in a power cut */
	SAY_AGAIN_MS = 60 * 1000,
	COMPACT_MIN = 1024 * 1024, /* octets that the file may grow by, whatever it had */
};

struct logins {
	struct child *child;
	int folder_fd;
	struct workers *workers;
	struct job job;
	bool working, ending;
	bool sync_due, compact_due;
	struct loop_timer sync; /* set while there are lines that are not flushed */
	bool unsynced;
	uint64_t size, compacted; /* of the file: now, after the last compaction */
	uint64_t dropped, said;
	size_t waiting_size;
	char waiting[WAITING_MAX];
	/* the job's */
	bool batch_sync, batch_compact;
	struct err err;
	int rc;
	size_t batch_size;
	char batch[WAITING_MAX];
};

/* ---- in the worker ---- */

static void run(struct job *job)
{
	struct logins *logins = CONTAINER(job, struct logins, job);
	struct last_logins_append append = {.lines = {logins->batch, logins->batch_size},
					    .make = true,
					    .sync = logins->batch_sync};
	uint64_t size = 0;

	logins->rc = 0;
	if (append.lines.size || append.sync)
		logins->rc =
			last_logins_append(logins->folder_fd, &append, &logins->size, &logins->err);
	if (logins->rc < 0 || !logins->batch_compact)
		return;
	logins->rc = last_logins_compact(logins->folder_fd, &size, &logins->err);
	if (logins->rc == 0)
		logins->size = size;
	/* where it cannot be done, it is tried again when the file has doubled, not at each line */
	logins->compacted = logins->size;
}

/* ---- on the loop ---- */

static void work(struct logins *logins)
{
	if (logins->working || (!logins->waiting_size && !logins->sync_due && !logins->compact_due))
		return;
	memcpy(logins->batch, logins->waiting, logins->waiting_size);
	logins->batch_size = logins->waiting_size;
	logins->waiting_size = 0;
	logins->batch_sync = logins->sync_due;
	logins->batch_compact = logins->compact_due;
	logins->sync_due = logins->compact_due = false;
	logins->working = workers_add(logins->workers, &logins->job, false) == 0;
}

static void say(struct logins *logins)
{
	uint64_t now = loop_now(logins->child->loop);

	if ((logins->rc == 0 && !logins->dropped) ||
	    (logins->said && now - logins->said < SAY_AGAIN_MS))
		return;
	if (logins->rc < 0)
		log_warning("last logins are not written down: %s", logins->err.text);
	if (logins->dropped)
		log_warning("%" PRIu64 " last logins were not written down: the disk was too slow",
			    logins->dropped);
	logins->dropped = 0;
	logins->said = now;
}

static void done(struct job *job)
{
	struct logins *logins = CONTAINER(job, struct logins, job);

	logins->working = false;
	say(logins);
	if (logins->batch_size && !logins->batch_sync && !logins->unsynced) {
		logins->unsynced = true;
		loop_timer_set(&logins->sync, SYNC_MS);
	}
	if (logins->rc == 0 && logins->size > 2 * logins->compacted + COMPACT_MIN)
		logins->compact_due = true;
	if (logins->ending && logins->unsynced) {
		logins->unsynced = false;
		logins->sync_due = true;
	}
	work(logins);
	if (logins->ending && !logins->working)
		child_exit(logins->child);
}

static void sync_over(struct loop_timer *timer)
{
	struct logins *logins = timer->context;

	logins->unsynced = false;
	logins->sync_due = true;
	work(logins);
}

static void logged_in(struct logins *logins, const struct ipc_logged_in *message)
{
	char line[LAST_LOGINS_LINE_MAX];
	struct last_login login;
	size_t size;

	if (last_login_set(&login, message->mta ? LAST_LOGIN_SASL : LAST_LOGIN_POP3, message->day,
			   ipc_text(message, 0), ipc_text(message, 1)) < 0)
		return;
	size = last_login_print(&login, line);
	if (size > sizeof(logins->waiting) - logins->waiting_size) {
		logins->dropped++;
		return;
	}
	memcpy(logins->waiting + logins->waiting_size, line, size);
	logins->waiting_size += size;
	work(logins);
}

/* ---- the process ---- */

static void peer_message(struct peer *peer, enum ipc_type type, const void *message, int *fds)
{
	(void)fds;
	if (type == IPC_LOGGED_IN)
		logged_in(peer->child->state, message);
}

static void peer_up(struct peer *peer)
{
	(void)peer;
}

/* Ends when the last auth is gone, and what it sent is on the disk. */
static void end_if_done(struct child *child, const struct peer *gone)
{
	struct logins *logins = child->state;

	if (!child->draining || logins->ending)
		return;
	for (const struct peer *peer = child->peers; peer; peer = peer->next)
		if (peer != gone)
			return;
	logins->ending = true;
	loop_timer_cancel(&logins->sync);
	logins->sync_due |= logins->unsynced;
	logins->unsynced = false;
	work(logins);
	if (!logins->working)
		child_exit(child);
}

static void peer_gone(struct peer *peer)
{
	end_if_done(peer->child, peer);
}

static void drain(struct child *child, uint64_t ms)
{
	(void)ms;
	if (child->started)
		end_if_done(child, NULL);
	else
		child_exit(child);
}

static struct logins *root_struct(struct child *child)
{
	bool is_new;
	struct logins *logins = child_state(child, sizeof(*logins), &is_new);

	if (!is_new)
		return logins;
	logins->child = child;
	logins->folder_fd = -1;
	return logins;
}

static void monitor_message(struct child *child, enum ipc_type type, const void *data, int *fds)
{
	struct logins *logins = root_struct(child);
	const struct ipc_directory *message = data;

	if (type != IPC_DIRECTORY || message->kind != DIRECTORY_LOGINS || logins->folder_fd >= 0)
		return;
	logins->folder_fd = fds[0];
	fds[0] = -1;
}

static int start(struct child *child, struct err *err)
{
	struct logins *logins = root_struct(child);
	struct sandbox sandbox;

	if (logins->folder_fd < 0)
		return err_set(err, EX_SOFTWARE, "the monitor lent no folder");
	child_sandbox(child, SANDBOX_LOGINS, &sandbox);
	sandbox.paths[sandbox.path_count++] =
		(struct sandbox_path){logins->folder_fd, SANDBOX_READ | SANDBOX_WRITE};
	sandbox.max_files = LAST_LOGINS_MAX;
	if (sandbox_enter(&sandbox, err) < 0)
		return -1;
	logins->workers = workers_create(child->loop, 1, 0, 1, err);
	if (!logins->workers)
		return -1;
	logins->job = (struct job){.run = run, .done = done};
	loop_timer_init(&logins->sync, child->loop, sync_over, logins);
	logins->compact_due = true;
	work(logins);
	return 0;
}

const struct child_role logins_role = {
	.role = ROLE_LOGINS,
	.monitor_message = monitor_message,
	.start = start,
	.peer_up = peer_up,
	.peer_gone = peer_gone,
	.peer_message = peer_message,
	.drain = drain,
};
