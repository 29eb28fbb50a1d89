/*
 * See logins.h. Logins, and passwords that were learned, become lines on the loop and are written
 * by one worker thread, as many at a time as have come meanwhile; what does not fit in front of a
 * slow disk is dropped and counted. Rows of auth are hostile: a name that is none is passed over.
 * The batch and what the job says of it are the worker's while a job is under way, all else is the
 * loop's.
 */
#include "server/logins/logins.h"

#include "base/log.h"
#include "base/table.h"
#include "base/text.h"
#include "sys/workers.h"
#include "users/last_logins.h"
#include "users/learned.h"

#include <inttypes.h>
#include <string.h>
#include <sysexits.h>

enum {
	WAITING_MAX = 256 * 1024, /* octets of lines */
	SYNC_MS = 5000,           /* that a line may be lost in a power cut */
	SAY_AGAIN_MS = 60 * 1000,
	COMPACT_MIN = 1024 * 1024, /* octets that the file may grow by, whatever it had */
};

enum { LAST, PASSWORDS, FILES };

/* A file of the folder. */
struct kind {
	const char *what;
	int (*append)(int folder_fd, pop3_span lines, bool sync, uint64_t *ret_size,
		      struct err *err);
	int (*compact)(int folder_fd, uint64_t *ret_size, struct err *err);
};

struct file {
	bool sync_due, compact_due;
	bool unsynced;            /* there are lines that are not flushed */
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

struct logins {
	struct child *child;
	int folder_fd;
	struct workers *workers;
	struct job job;
	bool working, ending;
	struct loop_timer sync; /* set while timed: a file is unsynced */
	bool timed;
	struct file files[FILES];
};

/* ---- in the worker ---- */

static int append_last(int folder_fd, pop3_span lines, bool sync, uint64_t *ret_size,
		       struct err *err)
{
	struct last_logins_append append = {.lines = lines, .make = true, .sync = sync};

	return last_logins_append(folder_fd, &append, ret_size, err);
}

static const struct kind kinds[FILES] = {
	[LAST] = {"last logins", append_last, last_logins_compact},
	[PASSWORDS] = {"passwords that were learned", learned_append, learned_compact},
};

static void run_file(const struct logins *logins, const struct kind *kind, struct file *file)
{
	uint64_t size = 0;

	file->rc = 0;
	if (file->batch_size || file->batch_sync)
		file->rc =
			kind->append(logins->folder_fd, (pop3_span){file->batch, file->batch_size},
				     file->batch_sync, &file->size, &file->err);
	if (file->rc < 0 || !file->batch_compact)
		return;
	file->rc = kind->compact(logins->folder_fd, &size, &file->err);
	if (file->rc == 0)
		file->size = size;
	/* where it cannot be done, it is tried again when the file has doubled, not at each line */
	file->compacted = file->size;
}

static void run(struct job *job)
{
	struct logins *logins = CONTAINER(job, struct logins, job);

	for (int i = 0; i < FILES; i++)
		run_file(logins, &kinds[i], &logins->files[i]);
}

/* ---- on the loop ---- */

static bool is_due(const struct file *file)
{
	return file->waiting_size || file->sync_due || file->compact_due;
}

static void take_batch(struct file *file)
{
	memcpy(file->batch, file->waiting, file->waiting_size);
	file->batch_size = file->waiting_size;
	file->waiting_size = 0;
	file->batch_sync = file->sync_due;
	file->batch_compact = file->compact_due;
	file->sync_due = file->compact_due = false;
}

static void work(struct logins *logins)
{
	bool any = false;

	for (int i = 0; i < FILES; i++)
		any |= is_due(&logins->files[i]);
	if (logins->working || !any)
		return;
	for (int i = 0; i < FILES; i++)
		take_batch(&logins->files[i]);
	logins->working = workers_add(logins->workers, &logins->job, false) == 0;
}

static void say(const struct logins *logins, const struct kind *kind, struct file *file)
{
	uint64_t now = loop_now(logins->child->loop);

	if ((file->rc == 0 && !file->dropped) || (file->said && now - file->said < SAY_AGAIN_MS))
		return;
	if (file->rc < 0)
		log_warning("%s are not written down: %s", kind->what, file->err.text);
	if (file->dropped)
		log_warning("%" PRIu64 " %s were not written down: the disk was too slow",
			    file->dropped, kind->what);
	file->dropped = 0;
	file->said = now;
}

/* What is not flushed yet is flushed by the next batch. */
static void flush_next(struct logins *logins)
{
	for (int i = 0; i < FILES; i++) {
		logins->files[i].sync_due |= logins->files[i].unsynced;
		logins->files[i].unsynced = false;
	}
}

static void settle(struct logins *logins, struct file *file)
{
	if (file->batch_size && !file->batch_sync) {
		file->unsynced = true;
		if (!logins->timed)
			loop_timer_set(&logins->sync, SYNC_MS);
		logins->timed = true;
	}
	if (file->rc == 0 && file->size > 2 * file->compacted + COMPACT_MIN)
		file->compact_due = true;
}

static void done(struct job *job)
{
	struct logins *logins = CONTAINER(job, struct logins, job);

	logins->working = false;
	for (int i = 0; i < FILES; i++) {
		say(logins, &kinds[i], &logins->files[i]);
		settle(logins, &logins->files[i]);
	}
	if (logins->ending)
		flush_next(logins);
	work(logins);
	if (logins->ending && !logins->working)
		child_exit(logins->child);
}

static void sync_over(struct loop_timer *timer)
{
	struct logins *logins = timer->context;

	logins->timed = false;
	flush_next(logins);
	work(logins);
}

static void put(struct logins *logins, struct file *file, const char *line, size_t size)
{
	if (size > sizeof(file->waiting) - file->waiting_size) {
		file->dropped++;
		return;
	}
	memcpy(file->waiting + file->waiting_size, line, size);
	file->waiting_size += size;
	work(logins);
}

static void logged_in(struct logins *logins, const struct ipc_logged_in *message)
{
	char line[LAST_LOGINS_LINE_MAX];
	struct last_login login;

	if (last_login_set(&login, message->mta ? LAST_LOGIN_SASL : LAST_LOGIN_POP3, message->day,
			   ipc_text(message, 0), ipc_text(message, 1)) == 0)
		put(logins, &logins->files[LAST], line, last_login_print(&login, line));
}

static void take_learned(struct logins *logins, const struct ipc_learned *message)
{
	char line[LEARNED_LINE_MAX];
	struct learned learned;

	if (learned_set(&learned, ipc_text(message, 0), ipc_text(message, 1),
			ipc_text(message, 2)) == 0)
		put(logins, &logins->files[PASSWORDS], line, learned_print(&learned, line));
}

/* ---- the process ---- */

static void peer_message(struct peer *peer, enum ipc_type type, const void *message, int *fds)
{
	(void)fds;
	if (type == IPC_LOGGED_IN)
		logged_in(peer->child->state, message);
	else if (type == IPC_LEARNED)
		take_learned(peer->child->state, message);
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
	flush_next(logins);
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
	for (int i = 0; i < FILES; i++)
		logins->files[i].compact_due = true;
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
