/* See store_threads.h. A job owns nothing but itself: the operation it works on is the caller's,
 * and lives until done(). */
#include "maildrop/store_threads.h"

#include "base/table.h"
#include "maildrop/driver.h"
#include "maildrop/store_bodies.h"
#include "maildrop/store_lanes.h"
#include "sys/loop.h"

#include <stdlib.h>
#include <sysexits.h>
#include <unistd.h>

enum work {
	WORK_OPEN,
	WORK_FETCH,
	WORK_SLICE,
	WORK_WRONG,
	WORK_COMMIT,
	WORK_CLOSE,
	WORK_USAGE,
	WORK_DELIVER,
	WORK_MAKE
};
enum unwanted { WANTED, CANCELLED, TOO_LATE };

struct threads {
	struct store store;
	struct store_lanes lanes;
	struct maildrop_settings settings;
	struct thread_job *timed; /* jobs with a deadline */
	atomic_bool away;         /* workers read it */
};

struct thread_job {
	struct job job;
	struct threads *threads;
	struct store_lane *lane;
	struct store_where *where;
	struct maildrop *maildrop; /* NULL: the work opens none, or has closed it */
	struct store_op *op;
	struct thread_job *next, **at; /* in timed; at NULL: not */
	enum work work;
	_Atomic enum unwanted unwanted;
	bool more; /* to sweep */
	bool last; /* no more of it */
	struct store_proof proof;
	unsigned proofs; /* that were asked for */
};

enum { PROOFS_MAX = 3 }; /* its facts may change between a proof and the next try */

static struct threads *threads_of(struct store *store)
{
	return (struct threads *)store;
}

/* ---- in a worker ---- */

static enum maildrop_status usage(const struct thread_job *job, struct maildrop_usage *ret,
				  struct err *err)
{
	const struct threads *t = job->threads;

	return maildrop_usage(&t->settings, t->lanes.root_fd, job->where->path, ret, err);
}

static void deliver(const struct thread_job *job)
{
	struct store_deliver *op = (struct store_deliver *)job->op;
	const struct threads *t = job->threads;
	struct err ignored;

	if (op->head) {
		uint64_t size = op->delivery.message_size;
		ssize_t n = pread(op->delivery.message_fd, op->head,
				  size < op->head_room ? (size_t)size : op->head_room, 0);

		op->head_size = n > 0 ? (uint32_t)n : 0;
	}
	op->counted = op->counts && usage(job, &op->before, &ignored) == MAILDROP_OK;
	op->op.status = maildrop_deliver(&t->settings, t->lanes.root_fd, job->where->path,
					 &op->delivery, &op->op.err);
	op->counted = op->counted && op->op.status == MAILDROP_OK &&
		      usage(job, &op->after, &ignored) == MAILDROP_OK;
}

static void wrong(const struct thread_job *job)
{
	struct store_wrong *op = (struct store_wrong *)job->op;

	op->op.status = MAILDROP_OK;
	if (!op->number)
		maildrop_index_wrong(job->maildrop);
	else if (maildrop_body_wrong(job->maildrop, op->number, &op->op.err))
		op->op.status = MAILDROP_GONE;
}

static void close_slice(struct thread_job *job)
{
	job->more = !job->last && maildrop_sweep_slice(job->maildrop, &job->lane->hurry);
	if (job->more)
		return;
	maildrop_close(job->maildrop);
	job->maildrop = NULL;
	job->op->status = MAILDROP_OK;
}

static void open_here(const struct thread_job *job, struct store_open *op)
{
	const struct threads *t = job->threads;
	const char *path = job->where->path;

	if (op->who.flags & STORE_MIGRATES)
		op->op.status =
			maildrop_open_moving(&t->settings, t->lanes.root_fd, path,
					     op->who.flags & STORE_LOOKS ? NULL : &op->maildrop,
					     &op->partly, &op->op.err);
	else
		op->op.status = maildrop_open(&t->settings, t->lanes.root_fd, path, &op->maildrop,
					      &op->op.err);
}

static void work(struct thread_job *job)
{
	const struct threads *t = job->threads;
	struct store_op *op = job->op;

	switch (job->work) {
	case WORK_OPEN:
		atomic_store(&job->lane->hurry, false);
		open_here(job, (struct store_open *)op);
		break;
	case WORK_FETCH:
		store_bodies(job->maildrop, (struct store_fetch *)op);
		break;
	case WORK_SLICE:
		store_bodies_slice(job->maildrop, (struct store_slice *)op);
		break;
	case WORK_WRONG:
		wrong(job);
		break;
	case WORK_COMMIT:
		maildrop_attribute(job->maildrop, &((struct store_commit *)op)->by);
		op->status = maildrop_commit(job->maildrop, ((struct store_commit *)op)->numbers,
					     ((struct store_commit *)op)->count, &op->err);
		break;
	case WORK_CLOSE:
		close_slice(job);
		break;
	case WORK_USAGE:
		op->status = usage(job, &((struct store_usage *)op)->usage, &op->err);
		break;
	case WORK_DELIVER:
		deliver(job);
		break;
	case WORK_MAKE:
		op->status =
			maildrop_make(&t->settings, t->lanes.root_fd, job->where->path, &op->err);
		break;
	}
}

static void run(struct job *base)
{
	struct thread_job *job = (struct thread_job *)base;
	enum unwanted unwanted = atomic_load(&job->unwanted);

	if (unwanted == CANCELLED) {
		job->op->status = MAILDROP_CANCELLED;
		err_set(&job->op->err, EX_TEMPFAIL, "it is not wanted any more");
	} else if (unwanted == TOO_LATE) {
		job->op->status = MAILDROP_TEMP;
		err_set(&job->op->err, EX_TEMPFAIL, "its time was over before it began");
	} else if (!job->maildrop && atomic_load(&job->threads->away)) {
		job->op->status = MAILDROP_TEMP;
		err_set(&job->op->err, EX_TEMPFAIL,
			"the path of the mail folder leads elsewhere: see valijad's log before");
	} else {
		work(job);
	}
}

/* ---- on the loop ---- */

static void add(struct thread_job *job)
{
	static const char *const doing[] = {
		[WORK_OPEN] = "opening it",
		[WORK_FETCH] = "reading a message",
		[WORK_SLICE] = "reading a message",
		[WORK_WRONG] = "counting a message",
		[WORK_COMMIT] = "deleting messages",
		[WORK_CLOSE] = "closing it",
		[WORK_USAGE] = "counting for its quota",
		[WORK_DELIVER] = "a delivery",
		[WORK_MAKE] = "making the maildrop",
	};

	store_lane_add(&job->threads->lanes, job->lane, &job->job, doing[job->work]);
}

/* The next slice of a sweep, behind the jobs of others. Somebody who waits gets the maildrop closed
 * without it; a later session's close goes on there. */
static void sweep_on(struct thread_job *job)
{
	job->last = atomic_load(&job->lane->hurry);
	add(job);
}

static void leave_timed(struct thread_job *job)
{
	if (!job->at)
		return;
	*job->at = job->next;
	if (job->next)
		job->next->at = job->at;
}

static void end(struct thread_job *job)
{
	struct store_op *op = job->op;

	if (job->work == WORK_OPEN && op->status == MAILDROP_OK)
		store_opened(((struct store_open *)op)->maildrop, &job->threads->store, job->where);
	op->own = NULL;
	leave_timed(job);
	free(job);
	op->done(op);
}

/* Nothing was changed: all of the work is done again. */
static void proven(struct store_proof *proof, bool allowed, const char *why)
{
	struct thread_job *job = CONTAINER(proof, struct thread_job, proof);

	if (allowed) {
		add(job);
		return;
	}
	job->op->status = MAILDROP_GUARDED;
	err_set(&job->op->err, EX_TEMPFAIL, "%s", why);
	end(job);
}

static void done(struct job *base)
{
	struct thread_job *job = (struct thread_job *)base;
	const struct store_host *host = job->threads->store.host;

	store_lane_done(&job->threads->lanes);
	if (job->more) {
		sweep_on(job);
	} else if (job->op->status == MAILDROP_UNPROVEN && host->prove &&
		   job->proofs++ < PROOFS_MAX) {
		job->proof.done = proven;
		host->prove(job->where, &job->proof);
	} else {
		end(job);
	}
}

static struct thread_job *begin(struct store *store, struct store_where *where, struct store_op *op,
				enum work what)
{
	struct thread_job *job = calloc(1, sizeof(*job));
	struct threads *t = threads_of(store);

	if (!job)
		abort(); /* a new process is better than a lock that is never freed */
	job->job.run = run;
	job->job.done = done;
	job->threads = t;
	job->where = where;
	job->lane = store_lane(&t->lanes, where);
	job->op = op;
	job->work = what;
	op->own = job;
	if (!op->deadline)
		return job;
	job->next = t->timed;
	job->at = &t->timed;
	if (job->next)
		job->next->at = &job->next;
	t->timed = job;
	return job;
}

static void begin_in(struct maildrop *maildrop, struct store_op *op, enum work what)
{
	struct thread_job *job = begin(maildrop->store, maildrop->where, op, what);

	job->maildrop = maildrop;
	add(job);
}

/* At each look of the lanes, while jobs are under way. */
static void end_late(struct store_lanes *lanes, uint64_t now)
{
	const struct threads *t = CONTAINER(lanes, struct threads, lanes);

	for (struct thread_job *job = t->timed; job; job = job->next)
		if (job->op->deadline <= now && atomic_load(&job->unwanted) == WANTED)
			atomic_store(&job->unwanted, TOO_LATE);
}

static void away(struct store *store, bool is_away)
{
	atomic_store(&threads_of(store)->away, is_away);
}

static void leave(struct store *store, struct store_where *where)
{
	store_lane_leave(&threads_of(store)->lanes, where);
}

static void hurry(struct store *store, struct store_where *where)
{
	(void)store;
	if (where->lane)
		atomic_store(&where->lane->hurry, true);
}

static bool is_idle(const struct store_where *where)
{
	return !where->lane || job_lane_idle(&where->lane->jobs);
}

static enum maildrop_status try_open(struct store *store, struct store_where *where,
				     const struct store_who *who, struct maildrop **ret)
{
	struct threads *t = threads_of(store);
	enum maildrop_status status = MAILDROP_WAIT;

	/* the lock of a file names nobody */
	if (is_idle(where) && !atomic_load(&t->away) && !(who->flags & STORE_MIGRATES))
		status = maildrop_open_now(&t->settings, t->lanes.root_fd, where->path, ret);
	if (status == MAILDROP_OK)
		store_opened(*ret, store, where);
	return status;
}

static enum maildrop_status open_empty(struct store *store, struct store_where *where,
				       struct maildrop **ret, struct err *err)
{
	enum maildrop_status status =
		maildrop_open_empty(&threads_of(store)->settings, where->path, ret, err);

	if (status == MAILDROP_OK)
		store_opened(*ret, store, where);
	return status;
}

static void open_later(struct store *store, struct store_where *where, struct store_open *op)
{
	struct thread_job *job = begin(store, where, &op->op, WORK_OPEN);

	atomic_store(&job->lane->hurry, true);
	add(job);
}

static bool try_fetch(struct maildrop *maildrop, struct store_fetch *op)
{
	return store_bodies_now(maildrop, op);
}

static void fetch(struct maildrop *maildrop, struct store_fetch *op)
{
	begin_in(maildrop, &op->op, WORK_FETCH);
}

static void slice(struct maildrop *maildrop, struct store_slice *op)
{
	begin_in(maildrop, &op->op, WORK_SLICE);
}

static void begin_wrong(struct maildrop *maildrop, struct store_wrong *op)
{
	begin_in(maildrop, &op->op, WORK_WRONG);
}

static void commit(struct maildrop *maildrop, struct store_commit *op)
{
	begin_in(maildrop, &op->op, WORK_COMMIT);
}

static bool try_close(struct maildrop *maildrop)
{
	if (!maildrop_at_rest(maildrop))
		return false;
	maildrop_close(maildrop);
	return true;
}

static void close_later(struct maildrop *maildrop, struct store_close *op)
{
	struct thread_job *job = begin(maildrop->store, maildrop->where, &op->op, WORK_CLOSE);

	job->maildrop = maildrop;
	atomic_store(&job->lane->hurry, op->hurry);
	add(job);
}

static void begin_usage(struct store *store, struct store_where *where, struct store_usage *op)
{
	add(begin(store, where, &op->op, WORK_USAGE));
}

static void begin_delivery(struct store *store, struct store_where *where, struct store_deliver *op)
{
	add(begin(store, where, &op->op, WORK_DELIVER));
}

static void make(struct store *store, struct store_where *where, struct store_op *op)
{
	add(begin(store, where, op, WORK_MAKE));
}

static void cancel(struct store *store, struct store_op *op)
{
	struct thread_job *job = op->own;

	(void)store;
	if (job && job->work != WORK_COMMIT && job->work != WORK_CLOSE && job->work != WORK_DELIVER)
		atomic_store(&job->unwanted, CANCELLED);
}

static const struct store_ops ops = {
	.abilities = STORE_MAKES | STORE_QUOTA | STORE_MOVES,
	.away = away,
	.leave = leave,
	.hurry = hurry,
	.try_open = try_open,
	.open_empty = open_empty,
	.open = open_later,
	.try_fetch = try_fetch,
	.fetch = fetch,
	.slice = slice,
	.wrong = begin_wrong,
	.commit = commit,
	.try_close = try_close,
	.close = close_later,
	.usage = begin_usage,
	.deliver = begin_delivery,
	.make = make,
	.cancel = cancel,
};

struct store *store_threads_create(const struct maildrop_driver *driver,
				   const struct store_host *host,
				   const struct maildrop_settings *settings, int root_fd,
				   struct err *err)
{
	struct threads *t = calloc(1, sizeof(*t));

	if (!t) {
		err_set(err, EX_OSERR, "out of memory");
		return NULL;
	}
	t->store.ops = &ops;
	t->store.host = host;
	t->settings = *settings;
	t->settings.driver = driver;
	t->settings.local = maildrop_is_local(root_fd);
	t->lanes.looked = end_late;
	if (store_lanes_init(&t->lanes, host, root_fd, err) == 0)
		return &t->store;
	free(t);
	return NULL;
}
